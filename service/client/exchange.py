"""What goes between a client and a server until there is an answer, without input or output: a generator says what to do next,
and a client of either kind does it."""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, NoReturn, TypeVar

from service.client.calls import Call, ready
from service.client.errors import ClientError, ProblemError, UnexpectedAnswerError, UnreachableError, problem

Made = TypeVar("Made")
MAX_WAIT_S = 30.0  # a server that asks for more has more than a busy moment
_FIRST_PAUSE_S = 0.1  # before what a broken connection lost is sent again; each next one is twice as long
_LOOK_S = 0.25  # between two looks at whether the server is ready
_CHANCE = 0.5  # added to a wait, as a share: those who were turned away together do not come back together


@dataclass(frozen=True, slots=True)
class Wait:
    """Let so many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``headers`` are found by names in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Outcome = Reply | UnreachableError | None  # None after a wait
Exchange = Generator["Call[Any] | Wait", Outcome, Made]


def exchange(call: Call[Made], retries: int) -> Exchange[Made]:
    """Send a call, again if it may be, until its answer is there; raises :class:`ClientError`."""
    for attempt in range(retries + 1):
        outcome = yield call
        pause_s = _pause_s(call, outcome, attempt) if attempt < retries else None
        if pause_s is None:
            return _result(call, outcome)
        yield Wait(pause_s * (1 + _CHANCE * random.random()))  # noqa: S311  # no secret
    raise AssertionError("the last attempt has returned")


def readiness(timeout_s: float) -> Exchange[None]:
    """Ask until questions are answered. Raises what was in the way last, at once if waiting does not help."""
    until = monotonic() + timeout_s
    while True:
        call = ready()
        outcome = yield call
        try:
            return _result(call, outcome)
        except ProblemError as error:
            if error.retry_after_s is None or monotonic() > until:
                raise
        except UnreachableError:
            if monotonic() > until:
                raise
        yield Wait(_LOOK_S)


def checked(reply: Reply) -> None:
    """Raises the :class:`ProblemError` that the reply is, if it is one. Being sent elsewhere is one: nothing was done here."""
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        _refuse(reply)


def _pause_s(call: Call[Any], outcome: Outcome, attempt: int) -> float | None:
    """Seconds after which the call is sent again; None if it is not."""
    if isinstance(outcome, UnreachableError):
        return _FIRST_PAUSE_S * 2**attempt if call.repeat == "always" and outcome.is_broken else None
    if outcome is None or call.repeat == "never":
        return None
    if outcome.status not in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return None
    wait_s = _retry_after_s(outcome)
    return wait_s if wait_s is not None and wait_s <= MAX_WAIT_S else None


def _result(call: Call[Made], outcome: Outcome) -> Made:
    if isinstance(outcome, ClientError):
        raise outcome
    assert outcome is not None  # noqa: S101  # it follows a call
    checked(outcome)
    try:
        return call.read(outcome.content)
    except ValueError as error:
        raise UnexpectedAnswerError(
            f"what answered {call.method} {call.path} is no Passages server, or one of another release: {error}"
        ) from error


def _refuse(reply: Reply) -> NoReturn:
    try:
        told = json.loads(reply.content)
        detail = str(told["detail"])
    except (ValueError, TypeError, KeyError):  # not ours: a proxy in between has its own words
        detail = f"status {reply.status}, without a reason: is something else in front of the server?"
        if (elsewhere := reply.headers.get("location")) is not None:
            detail = f"it is sent on to {elsewhere}: give the client the address of the server itself"
    raise problem(reply.status, detail, _retry_after_s(reply))


def _retry_after_s(reply: Reply) -> float | None:
    try:
        return max(0.0, float(reply.headers["retry-after"]))
    except (KeyError, ValueError):  # a date is allowed there too; this server sends none
        return None
