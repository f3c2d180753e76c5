"""``passages mcp``: the tools over standard input and output, for the program that has started this one.

Standard output is the protocol's: the library gives it to nobody else while it serves, so the index is opened only then.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import anyio
import httpx2
from pydantic import SecretStr

from indexer.engines.opening import open_engine
from service import logs
from service.admission import Limits
from service.app import create_app
from service.client import AsyncClient
from service.ending import INTERRUPTED
from service.mcp.tools import Ask, Asking, server
from service.service import Service
from service.settings import Settings, SettingsError

Serve = Callable[[], Coroutine[Any, Any, None]]
START_S = 120.0  # the first use of a model converts it


def run(settings: Settings) -> NoReturn:
    """Serve until standard input ends, then end the process. Raises what :class:`Collection` does for an index that is none."""
    logs.configure(settings.log_level, settings.log_questions)
    serve = _local(settings) if settings.url is None else _remote(settings.url, settings.key)
    signal.signal(signal.SIGINT, lambda *_: _end(INTERRUPTED))  # else the loop would wait for the thread that waits for input
    anyio.run(serve)
    _end(0)


def _local(settings: Settings) -> Serve:
    with open_engine(settings.where):  # one that is none is told here, where a person sees it, not at the first question
        pass
    limits = Limits(queue=settings.queue, deadline_s=settings.deadline_ms / 1000)  # one person asks: no further processes
    app = create_app(settings.where, settings.model, limits, settings.runtime)
    service: Service = app.state.service

    @asynccontextmanager
    async def started(_: object) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    async def serve() -> None:
        async with AsyncClient(transport=httpx2.ASGITransport(app)) as client:
            await server(_once_ready(client), started).run_stdio_async()

    return serve


def _remote(url: str, key: SecretStr | None) -> Serve:
    try:
        client = AsyncClient(url, key.get_secret_value() if key is not None else None)
    except ValueError as error:
        raise SettingsError(f"--url (PASSAGES_URL): {error}") from error

    async def serve() -> None:
        async with client:
            await server(_always(client)).run_stdio_async()

    return serve


def _always(client: AsyncClient) -> Ask:
    @asynccontextmanager
    async def ask(_: Asking) -> AsyncIterator[AsyncClient]:
        yield client

    return ask


def _once_ready(client: AsyncClient) -> Ask:
    @asynccontextmanager
    async def ask(_: Asking) -> AsyncIterator[AsyncClient]:
        await client.wait_until_ready(START_S)
        yield client

    return ask


def _end(status: int) -> NoReturn:
    """At once: a thread still waits for input, or loads the model, and native code is not taken down under it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
