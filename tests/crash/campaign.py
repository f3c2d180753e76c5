"""Every crash that is tried, and what came of it: jobs for workers that each have a process to fork from."""

from __future__ import annotations

import queue
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.crash.machine import (
    KILL_AFTER,
    KILL_BEFORE,
    POWER_CUTS,
    Call,
    Place,
    Plan,
    Zygote,
    after_power_cut,
)
from tests.crash.scenarios import DONE, Scenario, World

# Calls at which a process is killed. Between two of them nothing reaches the disk for certain but by writes.
KINDS = ("sync", "rename", "unlink", "rmdir", "mkdir", "link", "truncate", "create")
_KILLED = -9
_ATTEMPTS = 4  # threads do not always do the same in the same order


class Crash(NamedTuple):
    """One job: a scenario is killed at a call, or after a time; with ``power`` the machine stops, not only the process."""

    scenario: Scenario
    call: Call | None
    action: int = KILL_BEFORE
    after_s: float = 0.0
    power: Sequence[str] = ()

    def __str__(self) -> str:
        where = f"{self.call.kind} {self.call.pattern} #{self.call.occurrence}" if self.call else f"{self.after_s:.3f} s"
        when = "after" if self.action == KILL_AFTER or not self.call else "before"
        return f"{self.scenario.name}, {when} {where}"


@dataclass
class Tally:
    """What was tried. ``problems`` is empty, or something was lost."""

    kills: Counter[str] = field(default_factory=Counter)  # by kind of call
    moments: int = 0
    power_cuts: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)  # traced calls that did not come again
    problems: list[str] = field(default_factory=list)


class Worker:
    """Does one job after the other in a folder of its own."""

    def __init__(self, world: World, zygote: Zygote, folder: Path) -> None:
        self.world, self.zygote, self._folder = world, zygote, folder

    def crash(self, job: Crash, tally: Tally) -> None:
        """Run, kill, check; what is wrong is added to the tally."""
        for _ in range(_ATTEMPTS):
            place = Place.made(self._folder / "run", job.scenario.base)
            plan = Plan.kill(job.call, job.action) if job.call else Plan()
            outcome = job.scenario.run(self.zygote, place, plan, None if job.call else job.after_s)
            if outcome.status == _KILLED or not job.call:
                break
        else:
            tally.missed.append(str(job))
            return
        if outcome.status not in (_KILLED, *DONE):
            tally.problems.append(f"{job}: ended with {outcome.status}: {place.stderr.read_text(encoding='utf-8')[-500:]}")
        self._check(job, place, job.scenario.allowed(outcome), tally)

    def _check(self, job: Crash, place: Place, allowed: dict[str, list[str | None]], tally: Tally) -> None:
        for kind in job.power:
            with after_power_cut(place, kind, self._folder / "cut") as cut:
                self._checked(f"{job}, power cut ({kind})", job.scenario, cut, allowed, tally)
            tally.power_cuts[kind] += 1
        if job.power:
            return
        self._checked(str(job), job.scenario, place, allowed, tally)
        if job.call:
            tally.kills[job.call.kind] += 1
        else:
            tally.moments += 1

    def _checked(self, name: str, scenario: Scenario, place: Place, allowed: dict[str, list[str | None]], tally: Tally) -> None:
        problems = self.world.check(self.zygote, place, allowed, scenario.redo(place), scenario.undisturbed)
        tally.problems += [f"{name}: {problem}" for problem in problems]


def traced(worker: Worker, scenario: Scenario, folder: Path) -> tuple[list[Call], float]:
    """The calls of an undisturbed run at which it will be killed, and how long it takes."""
    import time

    place = Place.made(folder, scenario.base)
    began = time.monotonic()
    outcome = scenario.run(worker.zygote, place, Plan(), None)
    took_s = time.monotonic() - began
    assert outcome.status in DONE, f"{scenario.name}: {outcome}"
    calls = [call for call in place.calls() if call.kind in KINDS]
    shutil.rmtree(folder)
    return calls, took_s


def every_call(scenario: Scenario, calls: Iterable[Call]) -> list[Crash]:
    """Kills before and after each call, and power cuts before each."""
    kills = [Crash(scenario, call, action) for call in calls for action in (KILL_BEFORE, KILL_AFTER)]
    return kills + [Crash(scenario, call, KILL_BEFORE, power=POWER_CUTS) for call in calls]


def each_kind(scenario: Scenario, calls: Iterable[Call]) -> list[Crash]:
    """The last call of each kind and pattern, before it and after in turn, and one power cut of each kind with these."""
    last = {(call.kind, call.pattern): call for call in calls}
    kills = [Crash(scenario, call, KILL_AFTER if number % 2 else KILL_BEFORE) for number, call in enumerate(last.values())]
    synced = [call for call in last.values() if call.kind in ("sync", "rename", "unlink")]
    return kills + [
        Crash(scenario, call, KILL_AFTER, power=(POWER_CUTS[number % len(POWER_CUTS)],)) for number, call in enumerate(synced)
    ]


def moments(scenario: Scenario, took_s: float, count: int, seed: int) -> list[Crash]:
    """Kills at random moments of a run."""
    drawn = random.Random(seed)  # noqa: S311
    return [Crash(scenario, None, after_s=drawn.uniform(0, took_s)) for _ in range(count)]


def run_all(jobs: Sequence[Crash], workers: Sequence[Worker], tell: Callable[[int, Tally], None] = lambda _, __: None) -> Tally:
    """Do the jobs on all workers."""
    tally, idle = Tally(), queue.SimpleQueue[Worker]()
    for worker in workers:
        idle.put(worker)

    def do(job: Crash) -> None:
        worker = idle.get()
        try:
            worker.crash(job, tally)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers)) as threads:
        for number, _ in enumerate(threads.map(do, jobs), 1):
            tell(number, tally)
    return tally
