"""How far indexing is, on standard error: a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from indexer.synced import Progress

Report = Callable[["Progress"], None]
EVERY_S = 10.0


def progress(quiet: bool) -> AbstractContextManager[Report | None]:
    """What a sync reports to, if it is not to be ``quiet``."""
    if quiet:
        return nullcontext(None)
    console = Console(stderr=True)
    return _bar(console) if console.is_terminal else nullcontext(Lines())


class Lines:
    """A line every ten seconds, so that a log shows that something happens, and a short run says nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._said = clock()

    def __call__(self, progress: Progress) -> None:
        """Say it, if it is time."""
        now = self._clock()
        if now - self._said < EVERY_S:
            return
        self._said = now
        share = f"{progress.done_bytes / progress.total_bytes:.0%}, " if progress.total_bytes else ""
        print(f"indexing: {share}{_rate(progress, now - self._began)}", file=sys.stderr, flush=True)


@contextmanager
def _bar(console: Console) -> Iterator[Report]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = ("indexing", BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    began = time.monotonic()
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def report(progress: Progress) -> None:
            rate = _rate(progress, time.monotonic() - began)
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes, rate=rate)

        yield report


def _rate(progress: Progress, seconds: float) -> str:
    return f"{progress.passages:,} passages, {progress.passages / max(seconds, 1e-3):,.0f}/s"
