"""The headers that every response has."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # a string that would become HTML or code is an error, also in our own code
        "trusted-types 'none'",
    )
)
_ALWAYS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"Origin"),  # whether a page of another site may read an answer depends on it
]


class Secured:
    """Adds them. Plain ASGI: Starlette's middleware of functions costs a task and a stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [*message.get("headers", ())]
                named = {name for name, _ in own}  # a route that says another policy has its reason
                headers = [*own, *(one for one in _ALWAYS if one[0] not in named)]
                if all(name != b"cache-control" for name, _ in headers):
                    # Pages: ask again, so that an upgrade never mixes old and new modules. Answers: leave nothing on disks.
                    is_page = not scope["path"].startswith("/v1/")
                    headers.append((b"cache-control", b"no-cache" if is_page else b"no-store"))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, secured)
