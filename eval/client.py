"""An HTTP client for load: questions over kept-alive connections, many at once on one thread.

Written by hand because the generator shares the server's cores: framing a POST and finding a body's end is all it needs,
and costs a thirtieth of a full client's CPU time (docs/evaluation.md has the figures).
"""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from eval.errors import EvalError

TIMEOUT_S = 60.0  # after which a question counts as an error, not as an answer


class Reply(NamedTuple):
    """What came back; ``closes``: the server ends the connection after it."""

    status: int
    retry_after: bool
    closes: bool
    body: bytes


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As it stands before a path."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def address_of(url: str) -> Address:
    """The host and port of ``http://host:port``. Raises :class:`EvalError`."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise EvalError(f"{url} is no address ({error}); name a server as http://127.0.0.1:8080") from error
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise EvalError(f"{url} is no address of a server; name one as http://127.0.0.1:8080")
    return Address(parts.hostname, port)


def post(address: Address, question: str, limit: int = 10) -> bytes:
    """The bytes that ask ``question``."""
    body = json.dumps({"question": question, "limit": limit}).encode()
    head = f"POST /v1/search HTTP/1.1\r\nHost: {address.url.removeprefix('http://')}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One connection, which carries one question at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._received = bytearray()
        self._waiting: asyncio.Future[Reply] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of a reply."""
        self._received += data
        if self._waiting is None or self._waiting.done():
            return
        try:
            reply = _reply(self._received)
        except ValueError as error:
            self._waiting.set_exception(ConnectionError(f"the reply cannot be read: {error}"))
        else:
            if reply is not None:
                self._received.clear()
                self._waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, or the network, ended it."""
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("the server ended the connection"))

    async def ask(self, request: bytes) -> Reply:
        """Send and wait. Raises :class:`OSError`."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or self.closed:
            raise ConnectionError("the connection is closed")
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """End it."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()


class Client:
    """As many connections as there are questions under way: none waits for another's, so that the server's queue is seen."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> Reply:
        """Send over a free connection, or a new one. Raises :class:`OSError`; :class:`TimeoutError` is one."""
        async with asyncio.timeout(TIMEOUT_S):
            connection = await self._free()
            try:
                reply = await connection.ask(request)
            except BaseException:
                connection.close()  # what it still receives would be taken for the next question's reply
                raise
        if reply.closes:
            connection.close()
        else:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """End all connections."""
        while self._idle:
            self._idle.pop().close()

    async def _free(self) -> Connection:
        while self._idle:
            if not (connection := self._idle.pop()).closed:  # the server ends connections that were long unused
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, self._address.host, self._address.port))[1]


def _reply(received: bytearray) -> Reply | None:
    """The reply, once all of it is there. Raises :class:`ValueError` if it is not framed by its length."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    status, *lines = bytes(received[:end]).lower().split(b"\r\n")
    headers = dict(line.split(b":", 1) for line in lines)
    length = int(headers[b"content-length"]) if b"content-length" in headers else None
    if length is None:
        raise ValueError("it has no Content-Length")
    if len(received) < end + 4 + length:
        return None
    closes = headers.get(b"connection", b"").strip() == b"close"
    return Reply(int(status.split()[1]), b"retry-after" in headers, closes, bytes(received[end + 4 : end + 4 + length]))
