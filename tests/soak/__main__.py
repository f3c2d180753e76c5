"""``python -m tests.soak --seconds 600``: prints what was seen as JSON, and ends with status 1 if anything must not be."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.commits import commit
from tests.servers import Api, Server, environment, serving
from tests.soak import equality, texts
from tests.soak.usage import Sampler, Usage, trend
from tests.soak.workers import Indexer, Searcher, Soak, Writer

LOWERED = Path(__file__).parent / "lowered"
WRITERS = 4
SEARCHERS = 32
# What a flat line may still seem to rise over the last two thirds of ten minutes, as a share of its mean. A leak of 1 kB a
# request would be 30,000 requests, 30 MB, of 1,000 MB; and allocators, whose heap is fullest at the worst moment yet, rise
# by 1 to 3 %. A shorter run is still warming up, so its bound is wider.
FLAT = {"anonymous_mib": 0.05, "pss_mib": 0.08, "files": 0.1, "threads": 0.1, "regions": 0.1}
FULL_S = 600
WAL_MIB = 64


def main() -> int:
    """The soak; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_S, help="how long the servers are used (600)")
    parser.add_argument("--searchers", type=int, default=SEARCHERS, help="who ask at once (32)")
    parser.add_argument("--questions", type=int, default=200, help="asked of both indexes at the end (200)")
    parser.add_argument("--out", type=Path, help="a file for the result, beside standard output")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        record = soak(place, options.seconds, options.searchers, options.questions)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    text = json.dumps(record, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")
    return 1 if record["faults"] else 0


def soak(place: Path, seconds: float, searchers: int, questions: int) -> dict[str, Any]:
    """Everything at once on one index in ``place``, then the comparison."""
    index, folder, lowered = place / "index", place / "files", environment(PYTHONPATH=str(LOWERED))
    shared = Soak()
    indexer = Indexer(shared, folder, index, lowered)
    indexer.sync(share=1.0)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(index, name, lowered, ready=False)) for name in ("first", "second")]
        for server in servers:
            server.wait_until_ready()
        samplers, files = [Sampler(server.pid) for server in servers], Files(index)
        began = time.monotonic()
        _use(shared, servers, indexer, seconds, searchers, stack)
        took = time.monotonic() - began
        _say(f"used for {took:.0f} s, {len(shared.faults)} faults")
        used = [sampler.stop() for sampler in samplers]
        documents = _settled(shared, servers[0])
        files.stop()
        said = [server.said.read_text(errors="replace") for server in servers]
    _say("the servers have ended; the index is compared with one made from scratch")
    found = equality.compared(index, place / "other", folder, documents, questions)
    memory = {server: _memory(samples, seconds) for server, samples in zip(("first", "second"), used, strict=True)}
    faults = shared.faults + found.pop("faults") + [f"{name}: {one}" for name, of in memory.items() for one in of.pop("faults")]
    faults += [line for text in said for line in text.splitlines() if "Traceback" in line or line.startswith("ERROR")]
    if files.wal_mib > WAL_MIB:
        faults.append(f"the log of SQLite grew to {files.wal_mib:.0f} MiB")
    return {
        "date": datetime.now(UTC).date().isoformat(), "commit": commit(), "what": "soak", "seconds": round(took, 1),
        "writers": WRITERS, "searchers": searchers, "counts": dict(sorted(shared.counts.items())),
        "folds_seen": dict(files.folds), "wal_most_mib": round(files.wal_mib, 1), "memory": memory, "equality": found,
        "faults": faults[:50], "fault_count": len(faults),
    }  # fmt: skip


def _use(shared: Soak, servers: list[Server], indexer: Indexer, seconds: float, searchers: int, stack: ExitStack) -> None:
    def api(number: int) -> Api:
        return stack.enter_context(servers[number % 2].api())

    work: list[Callable[[], None]] = [indexer.run]
    work += [Writer(shared, number, api(number), api(number + 1)).run for number in range(WRITERS)]
    work += [Searcher(shared, number, api(number)).run for number in range(searchers)]
    threads = [threading.Thread(target=_reported, args=(shared, one), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    shared.stopped.set()
    for thread in threads:
        thread.join(90)
        if thread.is_alive():
            shared.fault("a request was not answered within 90 seconds of the end")


def _reported(shared: Soak, work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:
        shared.fault(f"a worker failed: {error!r}")


def _settled(shared: Soak, server: Server) -> dict[str, str]:
    """The documents at the end; what was not acknowledged is put in order first, so that it is known."""
    dice = random.Random(1)
    shared.stopped = threading.Event()
    with server.api() as api:
        for name, changes in sorted(shared.truth.changes.items()):
            if changes[-1].acknowledged == float("inf"):
                text = texts.document(name, 0, dice)[0]
                shared.truth.begin(name, text)
                reply = shared.call(partial(api.put, name, text))
                if reply is None or reply.status != 200:
                    shared.fault(f"{name} could not be put at the end: {reply}")
                shared.truth.acknowledge(name)
    return shared.truth.final()


def _memory(samples: list[Usage], seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {"samples": len(samples), "faults": []}
    slack = 1.0 if seconds >= FULL_S else 3.0 if seconds >= 100 else 20.0
    for name, bound in FLAT.items():
        line = trend(samples, name)
        found[name] = {**line._asdict(), "rise_share": round(line.share, 4), "bound": round(bound * slack, 3)}
        if line.share > bound * slack:
            found["faults"].append(f"{name} rose by {line.share:.1%} of {line.mean}")
    return found


class Files:
    """Looks at the index folder five times a second: how large SQLite's log becomes, and how often derived files were replaced,
    at least."""

    def __init__(self, index: Path) -> None:
        self._index, self.wal_mib, self.folds = index, 0.0, Counter[str]()
        self._seen: dict[str, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.2):
            with suppress(OSError):
                self.wal_mib = max(self.wal_mib, (self._index / "catalog.sqlite-wal").stat().st_size / 2**20)
            for name in ("words", "vectors"):
                with suppress(OSError):
                    number = (self._index / f"{name}.json").stat().st_ino
                    self.folds[name] += self._seen.get(name) not in (None, number)
                    self._seen[name] = number


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
