"""``POST /mcp`` of the served application. A request there has passed the same doors as any other; its tools ask the
application from within, in the name of who was let in.

Stateless and answered in JSON, not as a stream: any of several servers behind a balancer can take the next request, and no
connection stays open. The library is loaded at the first request, as most who search use none of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import MCP, Caller

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from service.client import AsyncClient
    from service.mcp.tools import Asking


class Endpoint:
    """Takes requests while it is :meth:`running`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lock = anyio.Lock()
        self._tasks: TaskGroup | None = None
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From here on; at the end, what is being answered is given up."""
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()
        self._tasks = self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        manager = await self._started()
        await manager.handle_request(scope, receive, send)

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._lock:
            if self._manager is None:
                assert self._tasks is not None  # noqa: S101  # the application's lifespan runs it
                manager = await to_thread.run_sync(_manager, self._app)
                await self._tasks.start(_run, manager)
                self._manager = manager
            return self._manager


def add(app: FastAPI) -> Endpoint:
    """Add the route to ``app``, whose lifespan has to run what this returns."""
    endpoint = Endpoint(app)
    # An object, so that Starlette hands it the request as it is.
    app.add_route(MCP, endpoint, methods=["POST"], include_in_schema=False)  # type: ignore[arg-type]
    return endpoint


def _manager(app: ASGIApp) -> StreamableHTTPSessionManager:
    import httpx2
    from mcp.server.transport_security import TransportSecuritySettings

    from service.client import AsyncClient
    from service.mcp.tools import server

    @asynccontextmanager
    async def ask(asking: Asking) -> AsyncIterator[AsyncClient]:
        caller: Caller = cast("Request", asking.request_context.request).state.caller
        transport = httpx2.ASGITransport(_within(app, caller))
        # No second attempt: the application has a deadline for each request, and so has this one.
        async with AsyncClient(transport=transport, retries=0) as client:
            yield client

    made = server(ask)
    doors = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # access.py has looked at Host and Origin
    made.streamable_http_app(json_response=True, stateless_http=True, transport_security=doors)  # makes the manager
    return made.session_manager


async def _run(manager: StreamableHTTPSessionManager, *, task_status: TaskStatus[None]) -> None:
    async with manager.run():
        task_status.started()
        await anyio.sleep_forever()


def _within(app: ASGIApp, caller: Caller) -> ASGIApp:
    """The application for one who was let in already."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"caller": caller}
        await app(scope, receive, send)

    return asked
