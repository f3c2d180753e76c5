"""The connection to a Milvus server: every call has an end, and what passes by itself is tried again until then.

The client's own words are not shown: they hold traces. What is told is what to do.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from indexer.engines.address import Address, Consistency
from indexer.errors import AwayError, PassagesError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)
T = TypeVar("T")
Row = dict[str, Any]

MOST_FOUND = 16_384  # what a server finds at once, by its defaults
_PAGE = 1000
# A server takes 64 MB a message; this stays well clear of it, also while it is packed.
_MESSAGE_CHARS = 8_000_000
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_CONNECT_S = 5.0  # then it is tried again, and who waits hears of it
_TOLD_S = 2.0  # an outage that is shorter is of no interest
_HURRY_S = 1.0  # for one who does not wait, when the server is known to be away
_LOOK_S = 10.0  # from one who does wait then, who has an end, to the next
# The tables of a collection, by what stands behind its name: passages, documents, their texts, and the rest.
TABLES = ("", "documents", "texts", "meta")
# What it says of a request that will never succeed: a wrong name, a wrong value.
_FINAL_CODES = {6, 100, 1100, 1101, 1200}
_REFUSED_CODES = {1400, 1401}
_UNEXPECTED = 1  # also what the client itself says
_NOT_CONNECTED = 2  # also where it refuses a user or a certificate: its client does not always tell these apart
_OR_NOT_TO_US = (
    "; if it runs, look at the host and the port, PASSAGES_MILVUS_TOKEN and PASSAGES_MILVUS_AUTHORITY: it may not let us in"
)
_NOT_LOADED = 101  # as after a restart of the small server
# A server takes pings more often than each five minutes for an attack, and ends the connection; calls have ends of their own.
_PING_MS = 300_000
# By itself it waits longer after each connection that failed, up to two minutes: a server that is back would wait so long.
_CONNECTING = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1000}
# Its client describes a table without an end when it begins to read pages, so the connection has one for that.
_DESCRIBING = {"name": [{"service": "milvus.proto.milvus.MilvusService", "method": "DescribeCollection"}], "timeout": "10s"}
_ENDS = {"grpc.service_config": json.dumps({"methodConfig": [_DESCRIBING]})}
_REFUSED = re.compile(
    r"auth check failure|permission deny|privilege not |invalid api key|code = unauthenticated", re.IGNORECASE
)
_CERTIFICATE = re.compile(r"certificate_verify_failed|handshake failed|handshaking", re.IGNORECASE)


class ServerError(PassagesError):
    """The server refuses what was asked of it; it will again."""


class Server(NamedTuple):
    """What the server can do. ``words``: it ranks by words; ``flushes``: what was written is found once it was flushed."""

    version: str
    words: bool
    flushes: bool


class Connection:
    """One client, made on first use. Safe to share between threads."""

    def __init__(self, address: Address, patience_s: float) -> None:
        self.address, self.patience_s = address, patience_s
        self._closed = False
        self._client: MilvusClient | None = None
        self._making = threading.Lock()
        self._server: Server | None = None
        self._outage = _outage_of(address)

    def call(self, work: Callable[[MilvusClient, float], T], until: float | None = None) -> T:
        """``work`` with the client and the seconds that it may take, again and again until it succeeds or ``until`` (on the
        clock of :func:`time.monotonic`). Raises :class:`AwayError`, :class:`ServerError`.

        While the server is known to be away, who has an end only looks whether it is back, and does not wait for it, or all who
        answer requests would soon wait; one in ten seconds has all of its time, since a server that is back may be slow."""
        end = time.monotonic() + self.patience_s if until is None else until
        if until is None or not self._outage.is_told:
            return self._tried(work, end)
        with self._outage.looking() as has_time:
            return self._tried(work, end if has_time else min(end, time.monotonic() + _HURRY_S))

    def _tried(self, work: Callable[[MilvusClient, float], T], end: float) -> T:
        if time.monotonic() >= end:
            raise AwayError(f"no time was left to ask the Milvus server at {self.address}: ask again in a moment")
        pause = _PAUSE_S
        while True:
            try:
                began = time.monotonic()
                left = max(_PAUSE_S, end - began)
                made = work(self._made(left), left)
            except PassagesError:
                raise
            except Exception as error:
                passing, code = self._passing(error), getattr(error, "code", None)
                if code == _NOT_LOADED:
                    self._load(end)
                if left >= _HURRY_S:  # a try that had no time says nothing of the server
                    self._outage.met(passing, began)
                if time.monotonic() + pause >= end:
                    if code == _NOT_CONNECTED and not _is_known(self.address.host):
                        passing = "cannot be found: there is no address for its name"
                    raise AwayError(f"the Milvus server at {self.address} {passing}") from error
            else:
                self._outage.is_over()
                return made
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    @property
    def is_away(self) -> bool:
        """Whether the server has not answered for some seconds."""
        return self._outage.is_told

    @property
    def server(self) -> Server:
        """What the server is."""
        if self._server is None:
            self._server = server_of(str(self.call(lambda client, left: client.get_server_version(timeout=left))))
        return self._server

    def close(self) -> None:
        """Let go of it."""
        with self._making:
            client, self._client, self._closed = self._client, None, True
        if client is not None:
            client.close()

    def _made(self, left: float) -> MilvusClient:
        if not self._making.acquire(timeout=left):  # who is making it may have longer
            raise TimeoutError
        try:
            if self._closed:
                raise AwayError(f"the connection to {self.address} was closed: ask again")
            if self._client is None:
                self._client = _client(self.address, min(left, _CONNECT_S))
            return self._client
        finally:
            self._making.release()

    def _load(self, end: float) -> None:
        """Ask for the collection's tables to be loaded; what is loaded already stays so."""
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        for table in TABLES:
            left = max(_PAUSE_S, (end - time.monotonic()) / len(TABLES))
            with suppress(MilvusException, RpcError, OSError):  # one that is not there; who has called tells the rest
                self._made(left).load_collection(table_name(self.address, table), timeout=left)

    def _passing(self, error: Exception) -> str:
        """What to say of an error that passes by itself. Raises :class:`ServerError` for what will not, and what is no error of
        the client as it is."""
        from grpc import RpcError, StatusCode
        from pymilvus.exceptions import MilvusException, ParamError

        said, code, status = str(error), getattr(error, "code", None), _status_of(error)
        meant = self._anonymous(said)
        if code == _NOT_LOADED:
            return "is loading the collection: ask again in a moment"
        if status == StatusCode.UNAUTHENTICATED or code in _REFUSED_CODES or _REFUSED.search(meant):
            raise ServerError(
                f"the Milvus server at {self.address} refuses this user: set PASSAGES_MILVUS_TOKEN to user:password"
            ) from error
        if self.address.authority and _CERTIFICATE.search(meant):
            raise ServerError(
                f"the certificate of the Milvus server at {self.address} is not of {self.address.authority}: {_line(said)}"
            ) from error
        if isinstance(error, ParamError) or code in _FINAL_CODES:
            raise ServerError(f"the Milvus server at {self.address} refuses the request: {_line(said)}") from error
        if not isinstance(error, MilvusException | RpcError | OSError):
            raise error
        if isinstance(code, int) and code not in (_UNEXPECTED, _NOT_CONNECTED):
            return f"cannot do it now ({_line(said)}): ask again in a moment"
        return "does not answer: look whether it runs, and ask again in a moment" + (
            _OR_NOT_TO_US if code == _NOT_CONNECTED else ""
        )

    def _anonymous(self, said: str) -> str:
        """Without the names that people have given, which may hold any word."""
        for name in (self.address.collection, self.address.host):
            said = re.sub(rf"(?<!\w){re.escape(name)}", "_", said)
        return said


class _Outage:
    """Logs, once for each time that the server does not answer, that it does not, and when it does again: for all connections
    of a process, since one that could not be made is followed by another."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._looking = threading.Lock()  # held by who finds out whether it is over
        self._look_at = 0.0  # when somebody is to find out again
        self._lock = threading.Lock()
        self._since: float | None = None
        self._is_told = False

    @property
    def is_told(self) -> bool:
        """Whether it does not answer, for some time already."""
        return self._is_told

    @contextmanager
    def looking(self) -> Iterator[bool]:
        """Whether who asks in the block is the one who takes all of its time to find out whether it is over."""
        is_one = time.monotonic() >= self._look_at and self._looking.acquire(blocking=False)
        try:
            yield is_one
        finally:
            if is_one:
                self._look_at = time.monotonic() + _LOOK_S
                self._looking.release()

    def met(self, what: str, began: float) -> None:
        """A call that ``began`` then has failed, since the server ``what``."""
        now = time.monotonic()
        with self._lock:
            self._since = began if self._since is None else self._since
            if self._is_told or now - self._since < _TOLD_S:
                return
            self._is_told = True
            self._look_at = now + _LOOK_S  # who met it has just looked
        log.warning("the Milvus server at %s %s", self._address, what)

    def is_over(self) -> None:
        """A call has succeeded."""
        if self._since is None:
            return
        with self._lock:
            since, was_told = self._since, self._is_told
            self._since, self._is_told = None, False
        if since is not None and was_told:
            log.warning("the Milvus server at %s answers again, after %.0f seconds", self._address, time.monotonic() - since)


_outage_of = functools.cache(_Outage)


class Tables:
    """The tables of a collection, read and written until a time, with a consistency."""

    def __init__(self, connection: Connection, until: float | None = None, consistency: Consistency | None = None) -> None:
        self.connection, self._until = connection, until
        self._consistency = consistency or connection.address.consistency

    @property
    def left_s(self) -> float | None:
        """Seconds that what needs no call may take; None: no end is set."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def name(self, table: str) -> str:
        """What a table is called on the server; "" is that of the passages."""
        return table_name(self.connection.address, table)

    def get(self, table: str, keys: Sequence[str], fields: Sequence[str]) -> list[Row]:
        """Rows by their primary keys; in no order, and what is not there is left out."""
        found: list[Row] = []
        for at in range(0, len(keys), _PAGE):
            some = list(keys[at : at + _PAGE])
            found += self._call(
                lambda client, left, some=some: client.query(  # type: ignore[misc]
                    self.name(table), ids=some, output_fields=list(fields), timeout=left, consistency_level=self._consistency
                )
            )
        return found

    def query(self, table: str, condition: str, fields: Sequence[str]) -> list[Row]:
        """All rows that meet a condition, of which there are few."""
        return list(
            self._call(
                lambda client, left: client.query(
                    self.name(table), filter=condition, output_fields=list(fields), timeout=left,
                    consistency_level=self._consistency,
                )
            )
        )  # fmt: skip

    def pages(self, table: str, condition: str, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All rows that meet a condition, however many, by primary key, some at a time."""
        name = self.name(table)

        def begun(client: MilvusClient, left: float) -> Any:
            # What asks for pages begins with a call of its own that has no end: this one fails in time where that would not.
            client.describe_collection(name, timeout=left)
            return client.query_iterator(
                name, batch_size=_PAGE, filter=condition, output_fields=list(fields), timeout=left,
                consistency_level=self._consistency, retry_times=1,
            )  # fmt: skip

        pages = self._call(begun)

        def following(_: MilvusClient, left: float) -> list[Row]:
            # Pages end at the key that the one before ended with, so a page that failed can be asked for again.
            pages._timeout = left  # else each had the time that the first one had
            return cast("list[Row]", pages.next())

        try:
            while page := self._call(following):
                yield page
        finally:
            pages.close()

    def count(self, table: str, condition: str = "") -> int:
        """How many rows meet a condition."""
        rows = self._call(
            lambda client, left: client.query(
                self.name(table),
                filter=condition,
                output_fields=["count(*)"],
                timeout=left,
                consistency_level=self._consistency,
            )
        )
        return int(rows[0]["count(*)"])

    def search(
        self, question: Any, field: str, count: int, condition: str, fields: Sequence[str], params: dict[str, Any]
    ) -> list[tuple[float, Row]]:
        """The best ``count`` passages, at most ``MOST_FOUND``, for a vector or a text, with what the server scores them, best
        first."""
        found = self._call(
            lambda client, left: client.search(
                self.name(""), [question], anns_field=field, limit=count, filter=condition,
                output_fields=list(fields), search_params=params, timeout=left, consistency_level=self._consistency,
            )
        )  # fmt: skip
        return [(float(hit["distance"]), dict(hit["entity"])) for hit in found[0]]

    def insert(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows of new keys, some at a time; one that was told of no more is written over. The client sends one again by
        itself if the answer was lost, which leaves a row twice on some servers: who reads counts each once."""
        for some in _messages(rows):
            tried = False

            def write(client: MilvusClient, left: float, some: list[Row] = some) -> None:
                nonlocal tried
                verb, tried = client.upsert if tried else client.insert, True
                verb(self.name(table), some, timeout=left)

            self._call(write)

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows, or write over those of the same keys."""
        for some in _messages(rows):
            self._call(lambda client, left, some=some: client.upsert(self.name(table), some, timeout=left))  # type: ignore[misc]

    def delete(self, table: str, condition: str) -> None:
        """Delete the rows that meet a condition."""
        self._call(lambda client, left: client.delete(self.name(table), filter=condition, timeout=left))

    def flush(self, tables: Sequence[str]) -> None:
        """Make what was written findable, on a server that needs to be told."""
        if self.connection.server.flushes:
            for table in tables:
                self._call(lambda client, left, table=table: client.flush(self.name(table), timeout=left))  # type: ignore[misc]

    def _call(self, work: Callable[[MilvusClient, float], Any]) -> Any:
        return self.connection.call(work, self._until)


def table_name(address: Address, table: str) -> str:
    """What one of ``TABLES`` is called on the server."""
    return f"{address.collection}{'_' if table else ''}{table}"


def one_of(field: str, values: Sequence[str | int]) -> str:
    """The condition that a field is one of the values, none of which holds a quote."""
    listed = ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)
    return f"{field} in [{listed}]"


def _client(address: Address, left: float) -> MilvusClient:
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise ServerError(
            f"{address} needs the client of Milvus, which is not installed: pip install -e '.[milvus]' in the checkout"
        ) from error
    # It sets up its own logging when it is imported, and makes a traceback of each try that fails.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    more: dict[str, Any] = {"grpc_options": {"grpc.keepalive_time_ms": _PING_MS, **_CONNECTING, **_ENDS}}
    if address.token:
        more["token"] = address.token
    if address.authority:
        more |= {"server_pem_path": str(_readable(address.authority)), "secure": True}
    return MilvusClient(uri=address.server, timeout=left, **more)


def _status_of(error: BaseException | None) -> Any:
    """What gRPC said, if that is the cause; else None."""
    from grpc import RpcError

    met: list[BaseException] = []
    while error is not None and error not in met:  # its client raises errors from themselves
        if isinstance(error, RpcError):
            return error.code() if hasattr(error, "code") else None
        met.append(error)
        error = error.__cause__
    return None


def _is_known(host: str) -> bool:
    """Whether a host has an address, as far as that is told at once."""
    unknown = threading.Event()

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            unknown.set()

    looking = threading.Thread(target=look_up, name="host", daemon=True)
    looking.start()
    looking.join(_HURRY_S)
    return not unknown.is_set()


def _readable(authority: Path) -> Path:
    try:
        authority.read_bytes()
    except OSError as error:
        raise ServerError(
            f"the certificate {authority} cannot be read: {error.strerror}; see PASSAGES_MILVUS_AUTHORITY"
        ) from error
    return authority


def server_of(version: str) -> Server:
    """What a server of this version can do."""
    lite = "milvus_lite" in version
    number = re.search(r"(\d+)\.(\d+)", version)
    known = (int(number[1]), int(number[2])) if number else (0, 0)
    return Server(version, lite or known >= (2, 5), lite)


def _messages(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows together, as many as go into a message."""
    some: list[Row] = []
    size = 0
    for row in rows:
        length = sum(map(_size, row.values()))
        if some and size + length > _MESSAGE_CHARS:
            yield some
            some, size = [], 0
        some.append(row)
        size += length
    if some:
        yield some


def _size(value: Any) -> int:
    """About how much of a message it takes."""
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str) else getattr(value, "nbytes", 8)


def _line(said: str) -> str:
    """What the server said, on one line that can be read."""
    found = re.search(r"message=(.*?)(?:\)?>|$)", said, re.DOTALL)
    return " ".join((found[1] if found else said).split())[:300]
