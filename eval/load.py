"""Load: what the real server bears. Clients over HTTP measure throughput, arrivals at a share of it how long users wait."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.indexes import Told
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    from eval.loops import Asker, Run
    from eval.serving import Served
    from eval.sets import JudgedSet

CLIENTS = (1, 4, 16, 64)
SHARES = (0.5, 0.8, 1.2)  # of the throughput: at ease, busy, more than it bears
QUESTIONS = 400  # in each measurement: the 99th percentile is then the fourth worst
WARM_UP = 20

Clients = Annotated[list[int] | None, typer.Option(min=1, metavar="N", help="Clients at once; 1, 4, 16 and 64. Repeatable.")]
Questions = Annotated[int, typer.Option(min=1, metavar="N", help="Questions in each measurement.")]
Url = Annotated[str | None, typer.Option(metavar="URL", help="Measure the server that runs here, with what it holds.")]


class Plan(NamedTuple):
    """How many clients at once, and how many questions in each measurement."""

    clients: Sequence[int] = CLIENTS
    questions: int = QUESTIONS


class Target(NamedTuple):
    """A server and what is known of its collection."""

    served: Served
    passages: int


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None,
    url: Url = None, clients: Clients = None, questions: Questions = QUESTIONS,
) -> None:  # fmt: skip
    """Measure questions a second and waiting times of the real server, with many clients at once."""
    from eval.indexes import progress
    from eval.sets import read_set

    plan = Plan(clients or CLIENTS, questions)
    with errors():
        judged = read_set(folder)
        with target(judged, index_folder, model_of(model), corpus or [], url) as found, progress() as told:
            record = measure(found, judged, plan, told)
    show(record, as_json, lambda: _rows(record))


@contextmanager
def target(
    judged: JudgedSet, folder: Path | None, model: str, named: Sequence[Path] = (), url: str | None = None
) -> Iterator[Target]:
    """The server at ``url``, or one of our own over the set's index, ended afterwards.

    Raises :class:`EvalError`, :class:`indexer.PassagesError`.
    """
    from eval.indexes import kept_or_temporary, opened
    from eval.serving import running, serving

    if url is not None:
        served = running(url)
        yield Target(served, served.passages())
        return
    with kept_or_temporary(folder) as place:
        with opened(judged, place, model, named):  # closed before the server starts, so that only the server works on it
            pass
        with serving(place, model) as served:
            yield Target(served, served.passages())


def measure(found: Target, judged: JudgedSet, plan: Plan, told: Told = lambda *_: None) -> dict[str, Any]:
    """The first question, clients that wait for their answers, and arrivals that do not. Raises :class:`EvalError`."""
    import asyncio

    return asyncio.run(_measure(found, judged, plan, told))


def distinct(texts: Sequence[str], seed: int) -> Iterator[str]:
    """Questions without end, none of them twice, in a drawn order: the texts, then texts with words of others behind.

    A server that keeps encoded questions finds none of these.
    """
    import random
    import re

    dice = random.Random(seed)  # noqa: S311  # a sample, not a secret
    own = list(dict.fromkeys(texts))
    words = sorted({word for text in own for word in re.findall(r"\w{4,}", text)}) or ["question"]
    dice.shuffle(own)
    yield from own
    seen = set(own)
    while True:
        one = dice.choice(own)
        while one in seen:
            one += f" {dice.choice(words)}"
        seen.add(one)
        yield one


class Asking:
    """Asks one server questions that it was not asked before, and meters what each measurement cost both sides."""

    def __init__(self, served: Served, texts: Sequence[str], asker: Asker) -> None:
        from eval.loops import SEED

        self._served, self._asker, self._own, self.asked = served, asker, len(set(texts)), 0
        self._questions = distinct(texts, SEED)

    @property
    def varied(self) -> int:
        """How many of the questions had words of others appended."""
        return max(0, self.asked - self._own)

    async def clients(self, clients: int, count: int) -> dict[str, Any]:
        """``clients`` that wait for their answers."""
        from eval.loops import closed_loop

        requests = self._take(count)
        return {"clients": clients} | await self._metered(closed_loop(self._asker, requests, clients))

    async def arrivals(self, share: float, most: float, count: int) -> dict[str, Any]:
        """Arrivals at ``share`` of ``most`` questions a second."""
        from eval.loops import SEED, arrivals, lateness, open_loop

        requests, due = self._take(count), arrivals(count, share * most, SEED)
        said = {"share": share, "arriving_per_second": round(share * most, 2)}
        run = open_loop(self._asker, requests, due)
        return said | await self._metered(run, lateness)

    def _take(self, count: int) -> list[bytes]:
        """Made before the clock runs."""
        from eval.client import post

        self.asked += count
        return [post(self._served.address, next(self._questions)) for _ in range(count)]

    async def _metered(self, run: Awaitable[Run], more: Callable[[Run], dict[str, Any]] = lambda _: {}) -> dict[str, Any]:
        """What was measured, with CPU seconds of the generator, which is this process, and of the server."""
        from eval.loops import summary

        ours, theirs = time.process_time(), self._served.cpu_s()
        done = await run
        after = self._served.cpu_s()
        server = None if theirs is None or after is None else round(after - theirs, 3)
        cpu = {"generator": round(time.process_time() - ours, 3), "server": server}
        return summary(done) | more(done) | {"cpu_s": cpu}


async def _measure(found: Target, judged: JudgedSet, plan: Plan, told: Told) -> dict[str, Any]:
    from eval.client import Client

    client = Client(found.served.address)
    asking = Asking(found.served, [question.text for question in judged.questions], client)
    steps = len(plan.clients) + len(SHARES)
    try:
        first = await asking.clients(1, 1)
        await asking.clients(2, WARM_UP)
        closed, arriving = [], []
        for clients in plan.clients:
            closed.append(await asking.clients(clients, max(plan.questions, clients)))  # else some would have nothing to ask
            told("asking", len(closed), steps)
        most = max(one["per_second"] for one in closed)
        for share in SHARES if most else ():  # without an answer there is no throughput to take a share of
            arriving.append(await asking.arrivals(share, most, plan.questions))
            told("asking", len(closed) + len(arriving), steps)
    finally:
        client.close()
    start = {"ready_s": _rounded(found.served.ready_s), "first_ms": first["p50"]}
    asked = {"asked": asking.asked, "varied": asking.varied}
    return {
        "what": "load", "set": judged.name, "passages": found.passages, "start": start,
        "questions": asked, "closed": closed, "most_per_second": most, "open": arriving,
    }  # fmt: skip


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    head = ("load", "asked", "a second", "p50 ms", "p95 ms", "p99 ms", "503", "errors", "CPU s here", "CPU s server")
    start = record["start"]
    ready = "" if start["ready_s"] is None else f"ready after {start['ready_s']:.1f} s, "
    rows = [(f"{ready}first question", "1", "", _number(start["first_ms"]), *[""] * 6)]
    named = [(f"{one['clients']} clients", one) for one in record["closed"]]
    named += [(f"{one['share']:.0%}: {one['arriving_per_second']:.1f} arrive a second", one) for one in record["open"]]
    return [head, *rows, *((name, *_cells(one)) for name, one in named)]


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    cost = (_number(one["cpu_s"][side], ".2f") for side in ("generator", "server"))
    times = (_number(one[name]) for name in ("p50", "p95", "p99"))
    errors = ", ".join(f"{count} {status}" for status, count in one["errors"].items()) or "0"
    return str(one["asked"]), f"{one['per_second']:.1f}", *times, str(one["refused"]["count"]), errors, *cost


def _number(value: float | None, form: str = ".1f") -> str:
    return "" if value is None else f"{value:{form}}"
