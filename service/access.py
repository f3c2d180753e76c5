"""Who is let in, for what, and from which pages: one decision before anything else is done with a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.keys import Key, Keyring, KeysError, matching
from service.limits import Rate
from service.origins import host_of, is_foreign, is_loopback
from service.problems import problem
from service.sessions import COOKIE, Sessions

HEALTH = ("/livez", "/readyz")
PAGES = ("/", "/document", "/collection")
_STATIC = "/web/"
METRICS = "/metrics"
_READ_METHODS = ("GET", "HEAD")
MCP = "/mcp"
_READ_POSTS = ("/v1/search", "/v1/search/batch", MCP)  # they ask, in bodies
_FEEDBACK = "/v1/feedback"
# What no passage shows: names of files on this machine, and what is being added; a place among those who listen is one of few.
_OWN = ("/v1/failures", "/v1/events")
SESSION = "/v1/session"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="passages"'}
_ADVICE = "send a key as Authorization: Bearer KEY; whoever runs this server makes one: passages key add NAME"


class NoKeys:
    """A collection without keys."""

    def current(self) -> Sequence[Key]:
        """None."""
        return ()


@dataclass
class Policy:
    """What is in force. ``demanded``: a key is needed even while there is none, so nobody is let in then. Once there were keys,
    they stay demanded until the end of the process: a file that vanishes opens no door."""

    keyring: Keyring = field(default_factory=NoKeys)
    sessions: Sessions | None = None
    demanded: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    cors_origins: frozenset[str] = frozenset()
    rate: Rate = field(default_factory=lambda: Rate(0, 1))
    # A wrong key is a mistake or an attack; a right one is let in all the same, since an address can be shared by many.
    failures: Rate = field(default_factory=lambda: Rate(1 / 6, 10))

    def current(self) -> Sequence[Key]:
        """The keys of this moment. Raises :class:`KeysError`."""
        keys = self.keyring.current()
        self.demanded = self.demanded or bool(keys)
        return keys


class Caller(NamedTuple):
    """Who asks. ``key`` is None where none is needed."""

    key: Key | None
    by_session: bool = False


class Refusal(Exception):  # noqa: N818  # no error of the program
    """Why a request is turned away."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class Guarded:
    """Lets requests in by the policy; ``scope["state"]["caller"]`` says who. ``refused`` is told why others were not."""

    def __init__(self, app: ASGIApp, policy: Policy, refused: Callable[[str], None]) -> None:
        self._app, self._policy, self._refused = app, policy, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        # Who is let in already asks from within (service/mcp/http.py): nothing that comes over the network has such a state.
        if scope["type"] != "http" or "caller" in scope.get("state", {}):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            keys = self._keys(scope["path"])
            origin = self._cors(keys, headers)
            answer = self._preflight(scope, headers, origin)
            if answer is None:
                scope.setdefault("state", {})["caller"] = self._caller(scope, headers, keys)
        except Refusal as refusal:
            origin = None if refusal.status == HTTPStatus.MISDIRECTED_REQUEST else self._listed(headers)
            self._refused(refusal.status.name.lower())
            answer = problem(refusal.status, refusal.detail, refusal.headers)
        await (answer or self._app)(scope, receive, _for_origin(send, origin) if origin else send)

    def _keys(self, path: str) -> Sequence[Key]:
        try:
            return self._policy.current()
        except KeysError as error:
            if path in HEALTH:
                return ()
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def _listed(self, headers: Headers) -> str | None:
        try:
            return self._cors(self._policy.current(), headers)
        except KeysError:
            return None

    def _cors(self, keys: Sequence[Key], headers: Headers) -> str | None:
        """The origin, if pages of it may read answers."""
        origin = headers.get("origin")
        if origin is None:
            return None
        is_listed = origin in self._policy.cors_origins or any(origin in key.origins for key in keys)
        return origin if is_listed else None

    def _preflight(self, scope: Scope, headers: Headers, origin: str | None) -> Response | None:
        """A browser asks before it sends for a page of another site; it sends no key with that."""
        if scope["method"] != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if origin is None:
            raise Refusal(HTTPStatus.FORBIDDEN, "pages of this origin may not ask: see embedding in docs/security.md")
        methods = "GET, POST, PUT, DELETE" if origin in self._policy.cors_origins else "GET, POST"
        allowed = {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=allowed)

    def _caller(self, scope: Scope, headers: Headers, keys: Sequence[Key]) -> Caller:
        path, policy = scope["path"], self._policy
        if policy.demanded and path in HEALTH:
            return Caller(None)
        if not (policy.demanded and path == METRICS):  # each replica is asked by its address, with a key that no website has
            self._check_host(headers, policy)
        if path in HEALTH or path in PAGES or path.startswith(_STATIC):
            return Caller(None)
        caller = self._identified(scope, headers, keys) if policy.demanded else Caller(None)
        _check_origin(caller, headers, policy)
        _check_scope(caller, scope["method"], path)
        if caller.key is not None and (wait := policy.rate.wait_s(caller.key.name)):
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the key {caller.key.name} is used more often than PASSAGES_RATE allows: wait {wait} s, send several "
                "questions at once to /v1/search/batch, or have the setting raised",
                {"Retry-After": str(wait)},
            )
        return caller

    def _check_host(self, headers: Headers, policy: Policy) -> None:
        """Against DNS rebinding, where a website's own name leads to this machine. With keys, that website has none."""
        host = host_of(headers.get("host", ""))
        if host in policy.allowed_hosts or (is_loopback(host) and not policy.demanded):
            return
        if policy.allowed_hosts or not policy.demanded:
            known = "http://127.0.0.1 and its port" if not policy.demanded else " or ".join(sorted(policy.allowed_hosts))
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is not called {host or 'nothing'!r}: ask for {known}, or list the name in PASSAGES_ALLOWED_HOSTS",
            )

    def _identified(self, scope: Scope, headers: Headers, keys: Sequence[Key]) -> Caller:
        offered = headers.get("authorization")
        if offered is not None:
            kind, _, secret = offered.partition(" ")
            key = matching(keys, secret.strip()) if kind.lower() == "bearer" else None
            return Caller(key) if key else self._fail(scope, "the key is not known, or was revoked")
        if (value := _cookie(headers)) and self._policy.sessions and (key := self._policy.sessions.key(keys, value)):
            return Caller(key, by_session=True)
        if value and scope["path"] != SESSION:
            raise Refusal(HTTPStatus.UNAUTHORIZED, f"the session has ended; {_ADVICE}", _CHALLENGE)
        if scope["path"] == SESSION and scope["method"] == "DELETE":  # what has ended can still be forgotten
            return Caller(None)
        raise Refusal(HTTPStatus.UNAUTHORIZED, f"this server needs a key; {_ADVICE}", _CHALLENGE)

    def _fail(self, scope: Scope, why: str) -> Caller:
        if wait := self._policy.failures.wait_s(_network(scope)):
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many wrong keys came from this address: wait {wait} s",
                {"Retry-After": str(wait)},
            )
        raise Refusal(HTTPStatus.UNAUTHORIZED, f"{why}; {_ADVICE}", {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _check_origin(caller: Caller, headers: Headers, policy: Policy) -> None:
    """Pages of other sites do nothing in a visitor's name; a key that is bound to origins is only for pages of these."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if caller.key is not None and caller.key.origins:
        if origin not in caller.key.origins:
            raise Refusal(
                HTTPStatus.FORBIDDEN, f"the key {caller.key.name} is only for pages of {', '.join(caller.key.origins)}"
            )
        return
    trusted = policy.cors_origins if not caller.by_session else ()
    if is_foreign(origin, site, headers.get("host", ""), trusted):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "a page of another site asks, which is let in with a key that is bound to its origin: "
            "passages key add NAME --scope read --origin URL",
        )


def _check_scope(caller: Caller, method: str, path: str) -> None:
    key = caller.key
    if key is None or path == SESSION:
        return
    if key.scope == "read" and not _is_reading(method, path):
        raise Refusal(HTTPStatus.FORBIDDEN, f"the key {key.name} may only read: use one of scope write")
    if key.origins and path.startswith(_FEEDBACK):
        raise Refusal(HTTPStatus.FORBIDDEN, f"the key {key.name} is in pages that anybody opens: judge with another key")
    if key.origins and (not path.startswith("/v1/") or path in _OWN):
        raise Refusal(HTTPStatus.FORBIDDEN, f"the key {key.name} is for pages, which ask at /v1/search: use another key here")


def _is_reading(method: str, path: str) -> bool:
    """What a key of scope read may do. Who asks may judge what is found, and take that back; what everybody else asked is in
    the list of all, which is for who may write."""
    if path == _FEEDBACK or path.startswith(f"{_FEEDBACK}/"):
        return method == "POST" or (method == "DELETE" and path != _FEEDBACK)
    return method in _READ_METHODS or (method == "POST" and path in _READ_POSTS)


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _network(scope: Scope) -> str:
    """Whose failures are counted together: an IPv6 customer has 64 bits of addresses."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return address.exploded[:19] if isinstance(address, IPv6Address) else host


def _for_origin(send: Send, origin: str) -> Send:
    """Adds what lets a page of ``origin`` read the answer; no credentials, so never by a cookie."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Access-Control-Allow-Origin"] = origin
        await send(message)

    return sent
