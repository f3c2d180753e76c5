"""``/v1/events``: what happens to the collection, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.access import Caller, Policy
from service.events import Commit, Listener
from service.keys import KeysError
from service.routing import Served


def _is_still_let_in(policy: Policy, caller: Caller) -> bool:
    """Whether the key was not revoked since the stream began; nor the first one made, where none was needed."""
    try:
        keys = policy.current()
    except KeysError:
        return False
    return caller.key in keys if caller.key is not None else not policy.demanded


async def _seat(request: Request, service: Served) -> AsyncIterator[Listener | None]:
    """A place among those who listen, given back when the answer ends; HEAD needs none."""
    if request.method == "HEAD":
        yield None
        return
    listener = service.events.join()
    try:
        yield listener
    finally:
        service.events.leave(listener)


def add(app: FastAPI, policy: Policy) -> None:
    """Add the route to ``app``."""

    @app.get("/v1/events", response_class=EventSourceResponse)
    async def events(request: Request, listener: Annotated[Listener | None, Depends(_seat)]) -> AsyncIterator[ServerSentEvent]:
        """Commits, as they come, also of other processes: `commit` with generation, documents and passages; and how far this
        server's own indexing is: `progress` with job, name, done, total (bytes), state and detail."""
        if listener is not None:
            async for event in listener.events():
                if not _is_still_let_in(policy, request.state.caller):
                    return
                kind = "commit" if isinstance(event, Commit) else "progress"
                yield ServerSentEvent(event=kind, data=event._asdict())
