"""How the server's process begins and ends: it says when it is ready, and it ends in a known time with a known status.

Nothing is lost by ending while threads still work: a write is one transaction, and is acknowledged after it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

import uvicorn

from service.service import Service

# Beyond the deadline of requests, within which all that read are answered. A longer write is cut off, unacknowledged.
GRACE_S = 2
INTERRUPTED = 128 + signal.SIGINT
FAILED = 1


log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, whose process ends with it.

    The first SIGTERM or SIGINT: no new connection, what was asked is answered, then the end with status 0 (SIGINT: 130). The
    second: the end at once. A service that cannot start ends too, with status 1: it would not heal by itself.
    """

    def __init__(self, config: uvicorn.Config, service: Service, grace_s: float) -> None:
        """``grace_s``: how long what was asked may still take once the server is told to end."""
        super().__init__(config)
        self._service, self._grace_s, self._status, self._told = service, grace_s, 0, False

    async def serve(self, sockets: list[socket.socket] | None = None) -> NoReturn:
        """Serve, then end the process. Threads that are at work are not waited for, so that the end does not take as long as
        a document that one of them encodes, and native code is not taken down under them."""
        try:
            await super().serve(sockets)
        except BaseException:
            log.exception("the server failed")
            self._status = FAILED
        _end(self._status)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        failure = self._service.failure
        if failure is not None and not self.should_exit:
            print(f"passages: the server cannot start: {failure}", file=sys.stderr, flush=True)
            self._status = FAILED
            return True
        if not self._told and self._service.ready.is_set():
            print("ready: questions are answered", file=sys.stderr, flush=True)
            self._told = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own, bounded: it would cancel what takes too long, and then wait for the threads that do it. Who listens to
        events would do so for ever, and is let go first."""
        self._service.events.end()
        try:
            async with asyncio.timeout(self._grace_s):
                await super().shutdown(sockets)
        except TimeoutError:
            cut = len(self.server_state.tasks)
            log.warning(
                "%d requests took more than %g seconds after the end was asked for, and were cut off", cut, self._grace_s
            )
            self._service.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a signal handler has it
        """Not uvicorn's, which lets the signal end the process after all, with the status of a process that was killed."""
        if self.should_exit:
            _end(128 + sig)  # the children see that their pipes end
        self._status = INTERRUPTED if sig == signal.SIGINT else 0
        self.should_exit = True


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
