"""Two ways to ask many questions: clients that wait for their answer, and arrivals that wait for nobody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from eval.client import Reply

SEED = 11
REFUSED = "503"  # a server that says it is busy is counted apart from one that fails


class Asker(Protocol):
    """What sends a question."""

    async def ask(self, request: bytes) -> Reply:
        """Send and wait. Raises :class:`OSError`."""


class Outcome(NamedTuple):
    """How one question went: the status, or why there is none; from when it was due to its reply, and how late it was sent."""

    status: str
    retry_after: bool
    took_ms: float
    late_ms: float = 0.0


class Run(NamedTuple):
    """What was asked, and how long all of it took."""

    outcomes: Sequence[Outcome]
    seconds: float


async def closed_loop(asker: Asker, requests: Sequence[bytes], clients: int) -> Run:
    """``clients`` ask at once, each its next question when its last was answered: what the server can do at most."""
    left, outcomes = iter(requests), list[Outcome]()

    async def one() -> None:
        for request in left:
            outcomes.append(await _ask(asker, request, time.perf_counter()))

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return Run(outcomes, time.perf_counter() - began)


async def open_loop(asker: Asker, requests: Sequence[bytes], due: Sequence[float]) -> Run:
    """Each question is sent when it is due, ``due`` seconds after the start, whether or not earlier ones were answered.

    Times count from when it was due, not from when it was sent: a queue, in the server or here, cannot hide in questions
    that were never asked (coordinated omission: Tene, How NOT to Measure Latency, 2013).
    """
    began = time.perf_counter()
    tasks = []
    for request, at in zip(requests, due, strict=True):
        wait = began + at - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(_ask(asker, request, began + at)))
    outcomes = await asyncio.gather(*tasks)
    return Run(outcomes, time.perf_counter() - began)


def arrivals(count: int, per_second: float, seed: int = SEED) -> list[float]:
    """Seconds at which ``count`` questions of a Poisson process arrive: independent users, so they come in bursts too."""
    import numpy as np

    gaps = np.random.default_rng(seed).exponential(1 / per_second, count)
    return [float(at) for at in gaps.cumsum()]


def summary(run: Run) -> dict[str, Any]:
    """Counts, answers a second, and percentiles in milliseconds over the answered questions; None where there is none."""
    statuses = Counter(one.status for one in run.outcomes)
    answered = [one.took_ms for one in run.outcomes if one.status == "200"]
    refused = [one for one in run.outcomes if one.status == REFUSED]
    errors = {status: count for status, count in sorted(statuses.items()) if status not in ("200", REFUSED)}
    return {
        "asked": len(run.outcomes),
        "answered": len(answered),
        "seconds": round(run.seconds, 3),
        "per_second": round(len(answered) / run.seconds, 2) if run.seconds else 0.0,
        **percentiles(answered),
        "refused": {"count": len(refused), "with_retry_after": sum(one.retry_after for one in refused)},
        "errors": errors,
        "error_rate": round(sum(errors.values()) / len(run.outcomes), 4) if run.outcomes else 0.0,
    }


def lateness(run: Run) -> dict[str, Any]:
    """How late questions were sent, 99th percentile in milliseconds: what of the waiting is the generator's own."""
    return {"late_ms": percentiles([one.late_ms for one in run.outcomes], [99])}


def percentiles(values: Sequence[float], shares: Sequence[int] = (50, 95, 99)) -> dict[str, float | None]:
    """Percentiles by name, linear between neighbours; None where there are no values."""
    import numpy as np

    return {f"p{share}": round(float(np.percentile(values, share)), 3) if values else None for share in shares}


async def _ask(asker: Asker, request: bytes, due: float) -> Outcome:
    sent = time.perf_counter()
    try:
        reply = await asker.ask(request)
    except TimeoutError:
        status, retry_after = "timeout", False
    except OSError:
        status, retry_after = "connection", False
    else:
        status, retry_after = str(reply.status), reply.retry_after
    done = time.perf_counter()
    return Outcome(status, retry_after, (done - due) * 1000, (sent - due) * 1000)
