"""Every crash that is tried, and what came of it: jobs for workers that each have a process to fork from."""

from __future__ import annotations

import errno
import itertools
import math
import queue
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.crash.machine import (
    FAIL_ONCE,
    KILL_AFTER,
    KILL_BEFORE,
    POWER_CUTS,
    Call,
    Place,
    Plan,
    Zygote,
    after_power_cut,
)
from tests.crash.scenarios import DONE, Outcome, Reply, Scenario, World

# Calls at which a process is killed. Between two of them nothing reaches the disk for certain but by writes.
KINDS = ("sync", "rename", "unlink", "rmdir", "mkdir", "link", "truncate", "create")
_KILLED = -9
_ATTEMPTS = 6  # threads do not always do the same in the same order


class Crash(NamedTuple):
    """One job: a scenario is killed at a call, or after a time; with ``power`` the machine stops, not only the process."""

    scenario: Scenario
    call: Call | None
    action: int = KILL_BEFORE
    after_s: float | None = None  # without a call: None is after the end
    power: Sequence[str] = ()
    error: int = 0  # the call fails with it, instead of a kill

    @property
    def plan(self) -> Plan:
        """What the shim is told."""
        call = self.call
        return Plan(self.action, call.kind, call.pattern, call.occurrence, self.error) if call else Plan()

    def __str__(self) -> str:
        where = f"{self.call.kind} {self.call.pattern} #{self.call.occurrence}" if self.call else f"{self.after_s} s"
        when = errno.errorcode[self.error] if self.error else "before" if self.call and self.action == KILL_BEFORE else "after"
        return f"{self.scenario.name}, {when} {where}"


@dataclass
class Tally:
    """What was tried. ``problems`` is empty, or something was lost."""

    kills: Counter[str] = field(default_factory=Counter)  # by kind of call
    moments: int = 0
    power_cuts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # by error
    told: Counter[str] = field(default_factory=Counter)  # how runs with a fault ended: what the user saw of it
    left_out: int = 0  # for want of time
    missed: list[str] = field(default_factory=list)  # traced calls that did not come again
    problems: list[str] = field(default_factory=list)


class Worker:
    """Does one job after the other in a folder of its own."""

    def __init__(self, world: World, zygote: Zygote, folder: Path) -> None:
        self.world, self.zygote, self._folder = world, zygote, folder

    def crash(self, job: Crash, tally: Tally) -> None:
        """Run, kill, check; what is wrong is added to the tally."""
        for attempt in range(_ATTEMPTS):
            if job.call and attempt > 1:  # how often a call comes can depend on time: the one before it, then
                job = job._replace(call=job.call._replace(occurrence=max(1, job.call.occurrence - 1)))
            place = Place.made(self._folder / "run", job.scenario.base)
            outcome = job.scenario.run(self.zygote, place, job.plan, None if job.call else job.after_s)
            if outcome.status == _KILLED or not job.call or job.error:
                break
        else:
            tally.missed.append(str(job))
            return
        said = place.stderr.read_text(encoding="utf-8")
        if not _is_well(outcome, said, failed=bool(job.error)):
            replies = [reply for reply in outcome.replies if not _is_told(reply)]
            tally.problems.append(f"{job}: ended with {outcome.status}: {replies[:1]} {said[-1500:]}")
        if job.error:
            tally.told.update(_seen(outcome))
        self._check(job, place, job.scenario.allowed(outcome), tally)

    def _check(self, job: Crash, place: Place, allowed: dict[str, list[str | None]], tally: Tally) -> None:
        for kind in job.power:
            with after_power_cut(place, kind, self._folder / "cut") as cut:
                self._checked(f"{job}, power cut ({kind})", job.scenario, cut, allowed, tally)
            tally.power_cuts[kind] += 1
        if job.power:
            return
        self._checked(str(job), job.scenario, place, allowed, tally)
        if job.error:
            tally.faults[errno.errorcode[job.error]] += 1
        elif job.call:
            tally.kills[job.call.kind] += 1
        else:
            tally.moments += 1

    def _checked(self, name: str, scenario: Scenario, place: Place, allowed: dict[str, list[str | None]], tally: Tally) -> None:
        problems = self.world.check(self.zygote, place, allowed, scenario.redo(place), scenario.undisturbed)
        tally.problems += [f"{name}: {problem}" for problem in problems]


def _is_well(outcome: Outcome, said: str, *, failed: bool) -> bool:
    """Whether a run was killed, or did what it should, or told in one line, without a traceback, why it could not."""
    if "Traceback" in said or not all(_is_told(reply) for reply in outcome.replies):
        return False
    return outcome.status in (_KILLED, *DONE) or (failed and outcome.status == 1 and "passages: " in said)


def _is_told(reply: Reply) -> bool:
    return reply.status in (0, 200, 204, 404, 503, 507)


def _seen(outcome: Outcome) -> set[str]:
    refused = {f"answered {reply.status}" for reply in outcome.replies if reply.status >= 400}
    return refused or {"the command says why" if outcome.status == 1 else "nothing: it is done again, or was no matter"}


def traced(worker: Worker, scenario: Scenario, folder: Path) -> tuple[list[Call], float]:
    """The calls of an undisturbed run, and how long it takes."""
    place = Place.made(folder, scenario.base)
    began = time.monotonic()
    outcome = scenario.run(worker.zygote, place, Plan(), None)
    took_s = time.monotonic() - began
    assert outcome.status in DONE, f"{scenario.name}: {outcome}"
    calls = place.calls()
    shutil.rmtree(folder)
    return calls, took_s


def every_call(scenario: Scenario, calls: Sequence[Call]) -> list[Crash]:
    """Kills before and after each call, and two kinds of power cut after each that changes names or syncs."""
    calls = [call for call in calls if call.kind in KINDS]
    kills = [Crash(scenario, call, action) for call in calls for action in (KILL_BEFORE, KILL_AFTER)]
    return kills + _power_cuts(scenario, calls, 2)


def each_kind(scenario: Scenario, calls: Sequence[Call], tried: set[tuple[str, str]]) -> list[Crash]:
    """The last call of each kind and pattern that was not ``tried``, before it and after in turn; some power cuts."""
    last = {(call.kind, call.pattern): call for call in calls if call.kind in KINDS}
    fresh = [call for name, call in last.items() if name not in tried]
    tried.update(last)
    kills = [Crash(scenario, call, KILL_AFTER if number % 2 else KILL_BEFORE) for number, call in enumerate(fresh)]
    turns = itertools.cycle(POWER_CUTS[len(tried) % len(POWER_CUTS) :] + POWER_CUTS[: len(tried) % len(POWER_CUTS)])
    cuts = [Crash(scenario, call, KILL_AFTER, power=[next(turns)]) for call in _changing(last.values())[::3]]
    return [*kills, *cuts, Crash(scenario, None, power=[POWER_CUTS[0], next(turns)])]


def _power_cuts(scenario: Scenario, calls: Iterable[Call], count: int) -> list[Crash]:
    """``count`` kinds in turn after each call that syncs or changes names, and all of them after the end."""
    turns = itertools.cycle(POWER_CUTS)
    cuts = [Crash(scenario, call, KILL_AFTER, power=[*itertools.islice(turns, count)]) for call in _changing(calls)]
    return [*cuts, Crash(scenario, None, power=POWER_CUTS)]


def _changing(calls: Iterable[Call]) -> list[Call]:
    return [call for call in calls if call.kind in ("sync", "rename", "unlink")]


def each_fault(scenario: Scenario, calls: Iterable[Call]) -> list[Crash]:
    """The disk is full, or fails, at the first and the last call of each kind and pattern."""
    first: dict[tuple[str, str], Call] = {}
    last: dict[tuple[str, str], Call] = {}
    for call in calls:
        if call.kind not in ("open", "rmdir"):
            first.setdefault((call.kind, call.pattern), call)
            last[call.kind, call.pattern] = call
    errors = (errno.ENOSPC, errno.EIO)
    return [
        Crash(scenario, call, FAIL_ONCE, error=errors[number % 2])
        for number, call in enumerate(dict.fromkeys([*first.values(), *last.values()]))
    ]


def moments(scenario: Scenario, took_s: float, count: int, seed: int) -> list[Crash]:
    """Kills at random moments of a run."""
    drawn = random.Random(seed)  # noqa: S311
    return [Crash(scenario, None, after_s=round(drawn.uniform(0, took_s), 3)) for _ in range(count)]


def run_all(
    jobs: Sequence[Crash],
    workers: Sequence[Worker],
    tell: Callable[[int, Tally], None] = lambda _, __: None,
    until: float = math.inf,
) -> Tally:
    """Do the jobs on all workers; none is begun after ``until``, on the clock of :func:`time.monotonic`."""
    tally, idle = Tally(), queue.SimpleQueue[Worker]()
    for worker in workers:
        idle.put(worker)

    def do(job: Crash) -> None:
        worker = idle.get()
        try:
            if time.monotonic() > until:
                tally.left_out += 1
                return
            worker.crash(job, tally)
        except Exception as error:  # one that cannot be judged is no success, and the others go on
            tally.problems.append(f"{job}: {error!r}")
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers)) as threads:
        for number, _ in enumerate(threads.map(do, jobs), 1):
            tell(number, tally)
    return tally
