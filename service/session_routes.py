"""``/v1/session``: the page gives the key once and has a cookie from then on; and what the one who asks may do."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field

from indexer.formats import FORMATS, JSON_LINES
from service.access import SESSION, Caller
from service.door import Door
from service.keys import Scope
from service.problems import problem
from service.sessions import COOKIE, LIFETIME_S


class SessionResponse(BaseModel):
    """What the one who asks may do."""

    scope: Scope = Field(description="whether only to ask, or to store and delete too")
    key: str | None = Field(description="the name of the key; null where none is needed")
    max_body_bytes: int = Field(description="the largest body of a request")
    formats: list[str] = Field(description="suffixes of the files that are read", examples=[[".md", ".pdf"]])


def add(app: FastAPI, door: Door) -> None:
    """Add the routes to ``app``."""
    policy = door.policy

    @app.get(SESSION)
    async def session(request: Request) -> SessionResponse:
        """What the one who asks may do, by key, session or, where no key is needed, without."""
        caller: Caller = request.state.caller
        key = caller.key
        return SessionResponse(
            scope=key.scope if key else "write",
            key=key.name if key else None,
            max_body_bytes=door.max_body_bytes,
            formats=sorted({*FORMATS, *JSON_LINES}),
        )

    @app.post(SESSION, status_code=HTTPStatus.NO_CONTENT, response_class=Response)
    async def begin_session(request: Request) -> Response:
        """Begin a session with the key that is sent as Authorization: Bearer. It lasts 12 hours."""
        caller: Caller = request.state.caller
        if caller.key is None or policy.sessions is None:
            return problem(HTTPStatus.FORBIDDEN, "no key is needed here: ask without a session")
        if caller.by_session or caller.key.origins:
            return problem(
                HTTPStatus.FORBIDDEN, "a session begins with a key that is not bound to other sites: send such a one"
            )
        return _with_cookie(request, policy.sessions.begin(caller.key), LIFETIME_S)

    @app.delete(SESSION, status_code=HTTPStatus.NO_CONTENT, response_class=Response)
    async def end_session(request: Request) -> Response:
        """Forget the session, also one that has ended."""
        return _with_cookie(request, "", 0)


def _with_cookie(request: Request, value: str, seconds: int) -> Response:
    """Sent back over TLS only, if it came by it: a proxy that this server trusts says so."""
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    is_secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, value, max_age=seconds, path="/", secure=is_secure, httponly=True, samesite="strict")
    return response
