"""When what is being done has to end: who asks a server waits no longer, however deep in a request that is.

It is of the context that a request is answered in, threads that work for it included; a thread of its own has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_until: ContextVar[float | None] = ContextVar("until", default=None)


def until() -> float | None:
    """The end, on the clock of :func:`time.monotonic`; None if there is none."""
    return _until.get()


@contextmanager
def ending(at: float | None) -> Iterator[None]:
    """The block has to end then; None: whenever it does."""
    token = _until.set(at)
    try:
        yield
    finally:
        _until.reset(token)
