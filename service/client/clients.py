"""The two clients: each does what an exchange says, one waiting, one awaiting. What can be asked is in ``calls.py``."""

from __future__ import annotations

import inspect
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from functools import cache, wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import httpx2

from service.client import calls
from service.client.answers import Event
from service.client.calls import Call
from service.client.errors import UnexpectedAnswerError, UnreachableError
from service.client.exchange import Exchange, Outcome, Reply, Wait, checked, exchange, readiness
from service.origins import is_loopback

Made = TypeVar("Made")
P = ParamSpec("P")
DEFAULT_URL = "http://127.0.0.1:8080"
_EVENTS = "/v1/events"
_AGAIN_S = 1.0  # before a stream of events that has ended, as each does after minutes, is begun anew


def _waiting(build: Callable[P, Call[Made]]) -> Callable[Concatenate[Client, P], Made]:
    """A method of :class:`Client` that makes the call which ``build`` describes."""

    @wraps(build)
    def method(self: Client, *args: P.args, **kwargs: P.kwargs) -> Made:
        return self.run(exchange(build(*args, **kwargs), self.retries))

    return cast("Callable[Concatenate[Client, P], Made]", _signed(method, build))


def _awaiting(build: Callable[P, Call[Made]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Made]]:
    """A method of :class:`AsyncClient` that makes the call which ``build`` describes."""

    @wraps(build)
    async def method(self: AsyncClient, *args: P.args, **kwargs: P.kwargs) -> Made:
        return await self.run(exchange(build(*args, **kwargs), self.retries))

    return cast("Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Made]]", _signed(method, build))


def _signed(method: Callable[..., Any], build: Callable[..., Any]) -> Callable[..., Any]:
    """The method with a signature as ``help`` shows it: that of ``build`` behind ``self``, giving what the call gives."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    described = inspect.signature(build)
    made = str(described.return_annotation).removeprefix("Call[").removesuffix("]")
    parameters = [own, *described.parameters.values()]
    method.__signature__ = described.replace(parameters=parameters, return_annotation=made)  # type: ignore[attr-defined]
    return method


class Client:
    """A server, asked from a program that waits for each answer. Safe to share between threads.

    ``timeout_s`` is how long one attempt may take, ``retries`` how many more there may be: for what the server says may be
    tried again (503 and 429 with ``Retry-After``), and for connections that broke, where asking twice does no harm. Every call
    raises :class:`ClientError`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url, self.retries = url.rstrip("/"), retries
        self._http = httpx2.Client(transport=transport, **_settings(self.url, key, timeout_s))

    search = _waiting(calls.search)
    batch = _waiting(calls.batch)
    explain = _waiting(calls.explain)
    passage = _waiting(calls.passage)
    similar = _waiting(calls.similar)
    document = _waiting(calls.document)
    documents = _waiting(calls.documents)
    put = _waiting(calls.put)
    put_all = _waiting(calls.put_all)
    upload = _waiting(calls.upload)
    delete = _waiting(calls.delete)
    original = _waiting(calls.original)
    failures = _waiting(calls.failures)
    facets = _waiting(calls.facets)
    feedback = _waiting(calls.feedback)
    judged = _waiting(calls.judged)
    judgements = _waiting(calls.judgements)
    forget = _waiting(calls.forget)
    forget_all = _waiting(calls.forget_all)
    status = _waiting(calls.status)

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Until questions are answered."""
        self.run(readiness(timeout_s))

    def events(self) -> Iterator[Event]:
        """What happens in the index, as it happens; without an end: a stream that the server ends is begun anew."""
        while True:
            yield from self._stream()
            time.sleep(_AGAIN_S)

    def _stream(self) -> Iterator[Event]:
        try:
            with self._http.sse(_EVENTS, timeout=_endless(self._http.timeout)) as source:
                if source.response.is_error:
                    source.response.read()
                    checked(_reply(source.response))
                for event in source:
                    yield _event(event)
        except httpx2.RequestError as error:
            raise _unreachable(self.url, error) from error

    def run(self, steps: Exchange[Made]) -> Made:
        """Do what an exchange says, to its end."""
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return cast("Made", end.value)
            outcome = self._done(step)

    def _done(self, step: Call[Any] | Wait) -> Outcome:
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            return None
        try:
            return _reply(self._http.request(**_request(step)))
        except httpx2.RequestError as error:
            return _unreachable(self.url, error)

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """:class:`Client` for a program with an event loop (asyncio or trio): the same calls, each awaited."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url, self.retries = url.rstrip("/"), retries
        self._http = httpx2.AsyncClient(transport=transport, **_settings(self.url, key, timeout_s))

    search = _awaiting(calls.search)
    batch = _awaiting(calls.batch)
    explain = _awaiting(calls.explain)
    passage = _awaiting(calls.passage)
    similar = _awaiting(calls.similar)
    document = _awaiting(calls.document)
    documents = _awaiting(calls.documents)
    put = _awaiting(calls.put)
    put_all = _awaiting(calls.put_all)
    upload = _awaiting(calls.upload)
    delete = _awaiting(calls.delete)
    original = _awaiting(calls.original)
    failures = _awaiting(calls.failures)
    facets = _awaiting(calls.facets)
    feedback = _awaiting(calls.feedback)
    judged = _awaiting(calls.judged)
    judgements = _awaiting(calls.judgements)
    forget = _awaiting(calls.forget)
    forget_all = _awaiting(calls.forget_all)
    status = _awaiting(calls.status)

    async def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Until questions are answered."""
        await self.run(readiness(timeout_s))

    async def events(self) -> AsyncIterator[Event]:
        """What happens in the index, as it happens; without an end: a stream that the server ends is begun anew."""
        while True:
            async with aclosing(self._stream()) as events:
                async for event in events:
                    yield event
            await anyio.sleep(_AGAIN_S)

    async def _stream(self) -> AsyncGenerator[Event, None]:
        try:
            async with self._http.sse(_EVENTS, timeout=_endless(self._http.timeout)) as source:
                if source.response.is_error:
                    await source.response.aread()
                    checked(_reply(source.response))
                async for event in source:
                    yield _event(event)
        except httpx2.RequestError as error:
            raise _unreachable(self.url, error) from error

    async def run(self, steps: Exchange[Made]) -> Made:
        """Do what an exchange says, to its end."""
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return cast("Made", end.value)
            outcome = await self._done(step)

    async def _done(self, step: Call[Any] | Wait) -> Outcome:
        if isinstance(step, Wait):
            await anyio.sleep(step.seconds)
            return None
        try:
            return _reply(await self._http.request(**_request(step)))
        except httpx2.RequestError as error:
            return _unreachable(self.url, error)

    async def aclose(self) -> None:
        """End its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _settings(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """What both kinds of HTTP client are made with. Raises :class:`ValueError` for an address that is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a server; write it as {DEFAULT_URL}")
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "timeout": timeout_s,
        "verify": _certificates(parts.scheme),
        "trust_env": not is_loopback(parts.hostname),  # a question for this machine goes through no proxy
    }


@cache
def _certificates(scheme: str) -> ssl.SSLContext:
    """What a server's certificate is compared with. Loading it takes tens of milliseconds, which a client for each question
    must not pay; without TLS none is loaded, and so none would pass."""
    return httpx2.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _endless(timeout: httpx2.Timeout) -> httpx2.Timeout:
    return httpx2.Timeout(connect=timeout.connect, read=None, write=timeout.write, pool=timeout.pool)


def _request(call: Call[Any]) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "params": call.params,
        "json": call.json,
        "files": list(call.files) or None,
    }


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)


def _event(event: httpx2.ServerSentEvent) -> Event:
    try:
        data = event.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise UnexpectedAnswerError(f"the event {event.event!r} holds no JSON object: is it a Passages server?")
    return Event(name=event.event, data=data)


def _unreachable(url: str, error: httpx2.RequestError) -> UnreachableError:
    if isinstance(error, httpx2.TimeoutException):
        return UnreachableError(f"{url} did not answer in time: ask again, or give the client a longer timeout_s", False)
    return UnreachableError(f"{url} cannot be reached ({error}): is `passages serve` running there?", True)
