"""uvicorn's HTTP with an end to everything that a client can draw out: sending headers, sending a body, reading the answer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.limits import MAX_HEAD_BYTES

HEAD_S = 10.0  # seconds for the headers of a request, from its first byte or the connection on
BODY_S = 60.0  # for its body: 16 MB at 2 Mbit a second
STALL_S = 30.0  # in which a client that is sent an answer must take some of it
STALL_BYTES = 65_536  # so much, or all that is left: 18 kbit a second
MAX_CONNECTIONS = 512  # half of the files that a process may have open by default
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What it draws out too long ends it, without an answer: who does that does not listen."""

    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuses one that would be too many: those that are open go on."""
        super().connection_made(transport)
        # One byte that the system does not take is an answer that is not taken, also while the connection is being closed.
        transport.set_write_buffer_limits(0)
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
        """The parser collects headers until they end, so how much it may collect is looked at here. uvicorn has stopped waiting
        for another request, so what comes must be one in time: an empty line, or a body answered already, begins none."""
        if self._in_head:  # before, since a body and the beginning of the next request can come at once
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self._deadline is None and self._has_answered():  # only then: empty lines must not put the end off
            self._must_end(HEAD_S)

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
        self._stall = self.loop.call_later(STALL_S, self._look_for_progress, self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _has_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse_head(self) -> None:
        if self._has_answered():  # else it would stand in the answer to the request before
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _look_for_progress(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if before - left < STALL_BYTES:
            self.transport.abort()
        else:
            self._stall = self.loop.call_later(STALL_S, self._look_for_progress, left)

    def _must_end(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
