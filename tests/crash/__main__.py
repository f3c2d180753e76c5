"""The full form: ``python -m tests.crash``. Kills at every call that is traced, random moments, power cuts and faults.

The result goes to eval/results. About an hour on two cores."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.commits import commit
from tests.crash.campaign import Crash, Tally, each_fault, every_call, moments, run_all, traced
from tests.crash.machine import ROOT, memory_folder
from tests.crash.workshop import opened

_MOMENTS = 200
_TOLD = 50


def main() -> None:
    parser = argparse.ArgumentParser(prog="make test-crash", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no crash after so many; they are in random order")
    parser.add_argument("--results", type=Path, default=ROOT / "eval" / "results", help="the folder of the result")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, opened(Path(folder), workers=2) as (world, workers):
        jobs, counted = _jobs(world.scenarios(), workers[0], Path(folder))
        drawn = random.Random(1)  # noqa: S311
        drawn.shuffle(jobs)
        until = began + 60 * options.minutes
        tally = run_all(jobs, workers, lambda number, tally: _tell(number, len(jobs), tally), until)
    _write(options.results, tally, {"crashes": len(jobs), "traced": counted, "seconds": round(time.monotonic() - began)})
    for problem in [*tally.problems, *(f"no kill: {missed}" for missed in tally.missed)]:
        print(problem)
    sys.exit(bool(tally.problems or tally.missed))


def _jobs(scenarios: Any, worker: Any, folder: Path) -> tuple[list[Crash], dict[str, int]]:
    jobs: list[Crash] = []
    counted = {}
    for number, scenario in enumerate(scenarios):
        calls, took_s = traced(worker, scenario, folder / "trace")
        crashes = every_call(scenario, calls)
        counted[scenario.name] = len({crash.call for crash in crashes if not crash.power})
        jobs += crashes + each_fault(scenario, calls) + moments(scenario, took_s, _MOMENTS // len(scenarios), number)
    return jobs, counted


def _tell(number: int, count: int, tally: Tally) -> None:
    if number % _TOLD == 0:
        print(f"{number:,} of {count:,}, {len(tally.problems)} problems", file=sys.stderr, flush=True)


def _write(folder: Path, tally: Tally, run: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    record = {
        "date": now.isoformat(timespec="seconds"), "commit": commit(), **run, "kills": dict(tally.kills),
        "random_moments": tally.moments, "power_cuts": dict(tally.power_cuts), "faults": dict(tally.faults),
        "told": dict(tally.told), "left_out": tally.left_out, "missed": tally.missed, "problems": tally.problems,
    }  # fmt: skip
    file = folder / f"{now.date()}-crash.json"
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(tally.kills.values()):,} kills; see {file}", file=sys.stderr)


if __name__ == "__main__":
    main()
