"""What one request may cost before anybody has looked at it, and how often one may come."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexer import deadline
from service.problems import problem

FILES = "/v1/documents"  # where multipart/form-data may be sent
MAX_URL_BYTES = 49_152  # a question of 4,000 characters by URL, each four bytes percent-encoded, and no more
MAX_HEADERS = 100
MAX_HEAD_BYTES = 65_536  # the URL and all headers
_REMEMBERED = 10_000  # whom a limiter remembers; the longest idle is forgotten, and has a full bucket again


class Rate:
    """Token buckets: each ``name`` may come ``per_second`` times a second, and ``burst`` times at once. 0 is no limit."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, max(1.0, burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def wait_s(self, name: str, now: float | None = None) -> int:
        """0 if it may come now, which is counted; else after how many whole seconds."""
        if not self._per_second:
            return 0
        now = time.monotonic() if now is None else now
        tokens, counted = self._buckets.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._per_second)
        wait = 0 if tokens >= 1 else math.ceil((1 - tokens) / self._per_second)
        self._buckets[name] = (tokens if wait else tokens - 1), now
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return wait


class Timed:
    """Sets when each request must have been answered: from its arrival on, whatever it waits for before it is worked on."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        with deadline.ending(time.monotonic() + self._seconds if scope["type"] == "http" else None):
            await self._app(scope, receive, send)


class Bounded:
    """Refuses what is too large: address, headers, body (also one that does not say its length), and bodies that are no JSON,
    which any website could make a visitor's browser send. Files are sent to one route alone; that it is no website which sends
    them is seen by Origin (``access.py``)."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app, self._max_body = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = _refused_head(scope) or self._refused_body(scope)
        if refused is not None:
            status, detail = refused
            await problem(status, detail)(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _refused_body(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if length == b"0" and b"transfer-encoding" not in headers:
            return None
        if length.isdigit() and int(length) > self._max_body:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large()
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind == b"application/json" or (kind == b"multipart/form-data" and scope["path"] == FILES):
            return None
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON; send content-type: application/json"

    def _counted(self, receive: Receive) -> Receive:
        total = 0

        async def counted() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self._max_body:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"the body is larger than {self._max_body} bytes (PASSAGES_MAX_BODY_BYTES): send less at once"


def _refused_head(scope: Scope) -> tuple[HTTPStatus, str] | None:
    url = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if url > MAX_URL_BYTES:
        return HTTPStatus.REQUEST_URI_TOO_LONG, f"the address has {url} bytes and {MAX_URL_BYTES} are read: send it by POST"
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or url + sum(len(name) + len(value) for name, value in headers) > MAX_HEAD_BYTES:
        return (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the headers are too many or too long: send {MAX_HEADERS} at most, and {MAX_HEAD_BYTES} bytes with the address",
        )
    return None
