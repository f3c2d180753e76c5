"""One line for each request, and the last resort for what fails. What was asked is in neither, unless that is switched on."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem

log = logging.getLogger(__name__)
_lines = logging.getLogger("passages.access")


def configure() -> None:
    """Write a line for each request to standard output. That nobody reads it any more is no fault to tell at each."""
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _lines.handlers, _lines.propagate = [handler], False
    _lines.setLevel(logging.INFO)


class Logged:
    """Writes the access log, and answers 500 when something inside has failed, of which the log then tells."""

    def __init__(self, app: ASGIApp, lines: bool, questions: bool) -> None:
        self._app, self._lines, self._questions = app, lines, questions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            log.error("a request failed", exc_info=error)
            if not status:
                detail = "this is a fault of the server; its log says more"
                await problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)(scope, receive, noted)
        finally:
            if self._lines:
                _lines.info(_line(scope, status, (time.perf_counter() - began) * 1000, self._questions))


def asked(scope: Scope, *questions: str) -> None:
    """Note what a request asks, for a log that is to tell it."""
    scope["state"]["asked"] = questions


def _line(scope: Scope, status: int, took_ms: float, questions: bool) -> str:
    """The path as it came, percent-encoded, so that nobody writes lines of their own into the log; never the query string."""
    state = scope.get("state", {})
    caller = state.get("caller")
    name = caller.key.name if caller is not None and caller.key is not None else "-"
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("ascii", "backslashreplace")
    line = f"{at} {scope['method']} {path} {status} {took_ms:.1f}ms key={name}"
    said: Sequence[str] = state.get("asked", ()) if questions else ()
    return line + "".join(f" question={json.dumps(one)}" for one in said)
