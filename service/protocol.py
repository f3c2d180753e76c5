"""uvicorn's HTTP with an end to everything that a client can draw out: sending headers, sending a body, reading the answer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.limits import MAX_HEAD_BYTES

HEAD_S = 10.0  # seconds for the headers of a request, from its first byte or the connection on
BODY_S = 60.0  # for its body: 16 MB at 2 Mbit a second
STALL_S = 30.0  # in which a client that is sent an answer takes nothing of it
MAX_CONNECTIONS = 512  # half of the files that a process may have open by default
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What it draws out too long ends it, without an answer: who does that does not listen."""

    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuses one that would be too many: those that are open go on."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._must_end(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the timers away."""
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The parser collects headers until they end, so how much it may collect is looked at here."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._in_head, self._head_bytes = True, 0
        self._must_end(HEAD_S)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """From here on the application sees it."""
        self._in_head = False
        self._must_end(BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there: how long the answer may take is the application's business."""
        self._must_end(None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        self._stall = self.loop.call_later(STALL_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _must_end(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
