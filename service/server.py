"""Runs the application with uvicorn on the address of the settings."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from indexer.errors import PassagesError
from indexer.extraction import DEFAULT_LIMITS as DEFAULT_EXTRACTION
from service import access_log, logs
from service.admission import Limits
from service.app import create_app
from service.door import Door, door_of
from service.ending import GRACE_S, Server
from service.protocol import BoundedProtocol
from service.settings import Settings


class AddressError(PassagesError):
    """The server cannot listen where it was told to."""


def run(settings: Settings) -> None:
    """Serve until told to end, then end the process (``ending.py``). Raises :class:`AddressError` before anything is loaded."""
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    logs.configure(settings.log_level, settings.log_questions)
    access_log.configure()
    door, first_key = door_of(settings)
    if first_key is not None:
        _tell(first_key, settings.folder)
    print(
        f"Passages on http://{f'[{host}]' if ':' in host else host}:{port} (index: {settings.index})",
        file=sys.stderr,
        flush=True,
    )
    # Not uvicorn's access log, which holds query strings, nor its logging, whose tracebacks quote what failed.
    app = _app(settings, door)
    config = uvicorn.Config(
        app, log_level=settings.log_level, log_config=None, access_log=False,
        http=BoundedProtocol, ws="none", server_header=False,
    )  # fmt: skip
    Server(config, app.state.service, settings.deadline_ms / 1000 + GRACE_S).run(sockets=[listener])


def _app(settings: Settings, door: Door) -> FastAPI:
    limits = Limits(queue=settings.queue, deadline_s=settings.deadline_ms / 1000, processes=settings.processes)
    extraction = DEFAULT_EXTRACTION._replace(seconds=settings.extraction_timeout_s, file=settings.file_mb << 20)
    return create_app(settings.where, settings.model, limits, settings.runtime, door, extraction)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no host name"
        raise AddressError(
            f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port, or port 0 for a free one;"
            " for make serve set PASSAGES_PORT"
        ) from error
    return listener


def _tell(key: str, index: Path) -> None:
    print(
        f"Whoever asks needs a key now. This one may do everything; it is shown this once, and only its hash is kept:\n\n"
        f"  {key}\n\nThe page asks for it, programs send it as Authorization: Bearer KEY. "
        f"More keys: passages key add NAME --index {index}",
        file=sys.stderr,
    )
