"""What a process and its children hold: memory, files, threads, mapped regions, as Linux counts them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.servers import children

_MIB = 1024.0  # kB


class Usage(NamedTuple):
    """Of a tree of processes. ``anonymous_mib`` is memory of its own; ``pss_mib`` adds its share of mapped files."""

    at_s: float
    pss_mib: float
    anonymous_mib: float
    files: int
    threads: int
    regions: int
    processes: int


def usage(pid: int, since: float) -> Usage | None:
    """Of the process and its children, or None if one of them ended meanwhile."""
    try:
        tree = [pid, *children(pid)]
        rolled = [_rollup(one) for one in tree]
        return Usage(
            round(time.monotonic() - since, 2), sum(one["Pss"] for one in rolled) / _MIB,
            sum(one["Pss_Anon"] for one in rolled) / _MIB,
            sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in tree),
            sum(len(list(Path(f"/proc/{one}/task").iterdir())) for one in tree),
            sum(len(Path(f"/proc/{one}/maps").read_bytes().splitlines()) for one in tree), len(tree),
        )  # fmt: skip
    except (OSError, KeyError):
        return None


def _rollup(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.partition(":")[0]: float(line.split()[1]) for line in lines}


class Sampler:
    """Looks once a second, in a thread of its own, until it is stopped."""

    def __init__(self, pid: int, every_s: float = 1.0) -> None:
        self.samples: list[Usage] = []
        self._pid, self._every, self._since, self._stopped = pid, every_s, time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[Usage]:
        """What was seen."""
        self._stopped.set()
        self._thread.join()
        return self.samples

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            if seen := usage(self._pid, self._since):
                self.samples.append(seen)


class Trend(NamedTuple):
    """Of one quantity over the last two thirds of the time: its mean, and how much the fitted line rose in that time."""

    mean: float
    rise: float
    last: float

    @property
    def share(self) -> float:
        """The rise as a share of the mean."""
        return self.rise / self.mean if self.mean else 0.0


def trend(samples: list[Usage], name: str) -> Trend:
    """A straight line (least squares) through what was seen after a third of the time."""
    import numpy as np

    late = samples[len(samples) // 3 :]
    if len(late) < 2:
        raise ValueError("too few samples: run for longer")
    at, values = np.array([one.at_s for one in late]), np.array([float(getattr(one, name)) for one in late])
    slope = float(np.polyfit(at, values, 1)[0])
    return Trend(round(float(values.mean()), 2), round(slope * float(at[-1] - at[0]), 2), float(round(values[-1], 2)))
