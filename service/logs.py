"""What goes to standard error: no question, unless that is switched on.

A traceback is written without its exceptions' messages, since these quote what could not be worked with: a question, a text.
"""

from __future__ import annotations

import logging
import threading
from traceback import StackSummary, walk_tb
from typing import Any, Literal

Level = Literal["debug", "info", "warning", "error"]
_FORMAT = "%(levelname)s %(name)s: %(message)s"

log = logging.getLogger(__name__)
_in_force: tuple[Level, bool] = ("warning", False)

_MOST_ERRORS = 20  # of a chain, the last: what is tried again for minutes may make one of thousands


class Discreet(logging.Formatter):
    """Tracebacks by place and kind of error alone."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the base class' name
        """Each exception of the chain: where it was raised and its class, the cause first."""
        error: BaseException | None = ei[1]
        return "\n".join(_places(error)) if error is not None else ""


def _places(error: BaseException) -> list[str]:
    chain = [error]
    while len(chain) < _MOST_ERRORS and (before := _before(chain[-1])):
        chain.append(before)
    lines = [["which led to", *_own(one)] for one in reversed(chain)]
    return [line for some in lines for line in some][1:]


def _before(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _own(error: BaseException) -> list[str]:
    frames = StackSummary.extract(walk_tb(error.__traceback__))
    places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    inner = [line for one in error.exceptions for line in _places(one)] if isinstance(error, BaseExceptionGroup) else []
    return [*places, f"{type(error).__module__}.{type(error).__qualname__}", *inner]


def in_force() -> tuple[Level, bool]:
    """What :func:`configure` was told, for a child process to be told too; its defaults if it was not called."""
    return _in_force


def configure(level: Level = "warning", messages: bool = False) -> None:
    """Log to standard error. ``messages``: those of exceptions too, which can quote questions."""
    global _in_force  # noqa: PLW0603  # as what it sets: there is one logging in a process
    _in_force = level, messages
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT) if messages else Discreet(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Python would print these itself, with their messages.
    threading.excepthook = lambda args: log.error(
        "a thread has ended by a fault", exc_info=(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    )
