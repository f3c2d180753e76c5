"""Overload: twice as many questions as the server can answer, for minutes; who is turned away, and how those fare who are not.

The saturation rate is found by a ramp of arrivals: clients that wait for their answers (closed loop) leave the server idle
between two of theirs, and so measure less than it can do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.load import Asking, Target, target
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    from eval.client import Address
    from eval.sets import JudgedSet

TIMES = 2.0  # the saturation rate
SECONDS = 300.0
RAMP = 1.3  # each step's rate by the one before
RAMP_S = 6.0
BEFORE_AFTER = 100  # questions one at a time, before the overload and from 2 seconds after its end on
RECOVERY_S = 2.0
CONNECTIONS = 1000
_PROBE_S = 0.2
_THREADS, _QUEUE, _DEADLINE_S = 16, 64, 10.0  # the server's own limits, as it ships

Seconds = Annotated[float, typer.Option(min=1, metavar="S", help="How long the overload lasts.")]
Url = Annotated[str | None, typer.Option(metavar="URL", help="Measure the server that runs here, with what it holds.")]


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None,
    url: Url = None, seconds: Seconds = SECONDS,
) -> None:  # fmt: skip
    """Ask the real server twice what it can answer: who is refused, how long the others wait, memory, and how it recovers."""
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        with target(judged, index_folder, model_of(model), corpus or [], url) as found:
            record = measure(found, judged, seconds)
    show(record, as_json, lambda: _rows(record))


def measure(found: Target, judged: JudgedSet, seconds: float = SECONDS) -> dict[str, Any]:
    """Ramp, overload and recovery. Raises :class:`EvalError`."""
    return asyncio.run(_measure(found, judged, seconds))


async def _measure(found: Target, judged: JudgedSet, seconds: float) -> dict[str, Any]:
    from eval.client import Client

    client = Client(found.served.address)
    asking = Asking(found.served, [question.text for question in judged.questions], client)
    few = max(10, round(BEFORE_AFTER * min(1.0, seconds / 60)))
    try:
        await asking.clients(2, 20)
        before = await asking.clients(1, few)
        ramp = await _ramp(asking, before["per_second"], min(RAMP_S, seconds / 2))
        saturation = max(one["per_second"] for one in ramp)
        memory = [found.served.pss_mib()]
        async with Probe(found.served.address) as probe:
            rate = TIMES * saturation
            over = await asking.arrivals(1.0, rate, max(1, round(rate * seconds)))
        ended = time.perf_counter()
        memory.append(found.served.pss_mib())
        first = await asking.clients(1, 1)
        first_s = time.perf_counter() - ended
        await asyncio.sleep(max(0.0, RECOVERY_S - first_s))
        after = await asking.clients(1, few)
        crowd = await _crowd(found.served.address)
        memory.append(found.served.pss_mib())
    finally:
        client.close()
    return {
        "what": "overload", "set": judged.name, "passages": found.passages,
        "ramp": ramp, "saturation_per_second": saturation, "times": TIMES,
        "overload": over, "wait_bound_ms": _bound_ms(over), "livez_ms": probe.times(),
        "before": before, "first_after_ms": first["p50"], "after": after, "slower_after": _ratio(before["p50"], after["p50"]),
        "pss_mib": dict(zip(("before", "overloaded", "after"), memory, strict=True)), "crowd": crowd,
    }  # fmt: skip


async def _ramp(asking: Asking, alone: float, seconds: float) -> list[dict[str, Any]]:
    """Arrivals at rising rates, until a tenth is turned away or more arriving gains nothing."""
    rate, steps = max(alone, 1.0), list[dict[str, Any]]()
    while True:
        steps.append(await asking.arrivals(1.0, rate, max(5, round(rate * seconds))))
        turned_away = steps[-1]["refused"]["count"] > steps[-1]["asked"] / 10
        if turned_away or (len(steps) > 2 and steps[-1]["per_second"] < max(one["per_second"] for one in steps[:-2])):
            return steps
        rate *= RAMP


class Probe:
    """Asks ``/livez`` over and over on a connection of its own, while its block runs."""

    def __init__(self, address: Address) -> None:
        self._request = f"GET /livez HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode()
        self._address, self._times = address, list[float]()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Probe:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()

    def times(self) -> dict[str, float | None]:
        """Median, 99th percentile and the longest, in milliseconds; a minute is one that was not answered."""
        from eval.loops import percentiles

        return {"asked": len(self._times), **percentiles(self._times, (50, 99, 100))}

    async def _run(self) -> None:
        from eval.client import TIMEOUT_S, Client

        client = Client(self._address)
        try:
            while True:
                began = time.perf_counter()
                try:
                    await client.ask(self._request)
                    self._times.append((time.perf_counter() - began) * 1000)
                except OSError:
                    self._times.append(TIMEOUT_S * 1000)
                await asyncio.sleep(_PROBE_S)
        finally:
            client.close()


async def _crowd(address: Address) -> dict[str, Any]:
    """One client opens many connections, sends half a request on each and no more; another asks meanwhile.

    ``refused`` were ended by the server at once, ``livez_ms`` is how long the other one's connection and answer took.
    """
    opened = await asyncio.gather(*(_open(address) for _ in range(CONNECTIONS)))
    writers = [one for one in opened if one is not None]
    await asyncio.sleep(1)
    open_ones = [one for one in writers if not one[0].at_eof()]
    began = time.perf_counter()
    alive = await _livez(address)
    took_ms = (time.perf_counter() - began) * 1000
    for _, writer in writers:
        writer.close()
    await asyncio.sleep(0.5)
    again = await _livez(address)
    return {
        "connections": CONNECTIONS, "held": len(open_ones), "refused": CONNECTIONS - len(open_ones),
        "livez": alive, "livez_ms": round(took_ms, 1), "livez_when_gone": again,
    }  # fmt: skip


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /v1/search HTTP/1.1\r\nHost: ")
    except OSError:
        return None
    return reader, writer


async def _livez(address: Address) -> str:
    """The status, or ``refused``; never a wait of more than ten seconds."""
    from eval.client import Client

    client = Client(address)
    try:
        async with asyncio.timeout(10):
            reply = await client.ask(f"GET /livez HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode())
        return str(reply.status)
    except TimeoutError:
        return "timeout"
    except OSError:
        return "refused"
    finally:
        client.close()


def _bound_ms(over: dict[str, Any]) -> float | None:
    """How long an accepted question may wait: half more than the time in which the server answers all whom it lets wait, the
    last of whom was accepted when all the others were there; and never more than the deadline. Of the defaults."""
    per_second = over["per_second"]
    return round(min(1.5 * (_THREADS + _QUEUE) / per_second, _DEADLINE_S) * 1000, 1) if per_second else None


def _ratio(before: float | None, after: float | None) -> float | None:
    return round(after / before, 2) if before and after else None


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    head = ("overload", "asked", "a second", "p50 ms", "p99 ms", "503", "errors")
    named: Sequence[tuple[str, dict[str, Any]]] = [
        ("one client, before", record["before"]),
        *((f"{one['arriving_per_second']:.0f} arrive a second", one) for one in record["ramp"]),
        (f"{record['times']:g} times saturation: {record['overload']['arriving_per_second']:.0f}", record["overload"]),
        (f"one client, {RECOVERY_S:g} s after", record["after"]),
    ]
    return [head, *((name, *_cells(one)) for name, one in named)]


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    times = ("" if one[name] is None else f"{one[name]:.1f}" for name in ("p50", "p99"))
    return str(one["asked"]), f"{one['per_second']:.1f}", *times, str(one["refused"]["count"]), str(one["errors"] or 0)
