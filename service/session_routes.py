"""``/v1/session``: the page gives the key once and has a cookie from then on."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from service.access import SESSION, Caller, Policy
from service.problems import problem
from service.sessions import COOKIE, LIFETIME_S


def add(app: FastAPI, policy: Policy) -> None:
    """Add the routes to ``app``."""

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
