"""Runs the application with uvicorn on the address of the settings."""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys

import uvicorn
from fastapi import FastAPI

from indexer.errors import PassagesError
from service.admission import Limits
from service.app import create_app
from service.ending import GRACE_S, Server
from service.settings import Settings


class AddressError(PassagesError):
    """The server cannot listen where it was told to."""


def run(settings: Settings) -> None:
    """Serve until told to end, then end the process (``ending.py``). Raises :class:`AddressError` before anything is loaded."""
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if not _is_loopback(settings.host):
        logging.warning("there is no access control yet: whoever reaches %s can read and change this collection", host)
    print(
        f"Passages on http://{f'[{host}]' if ':' in host else host}:{port} (index: {settings.index})",
        file=sys.stderr,
        flush=True,
    )
    # No access log: it would hold questions.
    app = _app(settings)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    Server(config, app.state.service, settings.deadline_ms / 1000 + GRACE_S).run(sockets=[listener])


def _app(settings: Settings) -> FastAPI:
    limits = Limits(queue=settings.queue, deadline_s=settings.deadline_ms / 1000, processes=settings.processes)
    return create_app(settings.index, settings.model, limits, settings.runtime)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no host name"
        raise AddressError(
            f"cannot listen on {host}:{port}: {reason}; choose another with --host and --port, or port 0 for a free one"
        ) from error
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
