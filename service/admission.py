"""Who is served now, who waits, and who is turned away: so that a crowd slows nobody down for long."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple, TypeVar

import anyio
from anyio import to_thread

from indexer.candidates import DeadlineError
from indexer.errors import PassagesError

Made = TypeVar("Made")


class BusyError(PassagesError):
    """So many requests wait that another one is turned away."""


class Limits(NamedTuple):
    """``threads`` requests are worked on at once: enough that questions meet at the encoder and are encoded together; ``queue``
    more may wait; none takes more than ``deadline_s`` seconds, waiting included. Searches run in ``processes`` of their own."""

    threads: int = 16
    queue: int = 64
    deadline_s: float = 10.0
    processes: int = 0


DEFAULT_LIMITS = Limits()


class Admission:
    """Runs work in threads, off the event loop, within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = anyio.CapacityLimiter(limits.threads)
        self._admitted = 0

    @property
    def admitted(self) -> int:
        """Requests that are worked on or wait."""
        return self._admitted

    async def run(self, work: Callable[[float], Made]) -> Made:
        """What ``work``, told the seconds that it may take, makes. Raises :class:`BusyError`, :class:`DeadlineError`."""
        if self._admitted >= self._limits.threads + self._limits.queue:
            raise BusyError(f"{self._admitted} requests are being answered or wait: ask again in a moment")
        until = perf_counter() + self._limits.deadline_s
        self._admitted += 1
        try:
            with anyio.fail_after(self._limits.deadline_s):
                return await to_thread.run_sync(lambda: work(until - perf_counter()), limiter=self._turns)
        except TimeoutError as error:
            raise DeadlineError(f"no answer within {self._limits.deadline_s:g} seconds: ask again in a moment") from error
        finally:
            self._admitted -= 1
