"""The list of documents, without their texts, in memory: for what a server does not answer as we mean it.

Listing, words of titles, facets of the whole collection, and ranges of metadata are asked of it in the SQL that a folder's
catalog is asked in. It is read anew, all of it, when the collection has changed and somebody asks: what is new cannot be told
by its generation, which is of its writer's clock and may be named late, and what was deleted has no row.

It has a bound, a share of the memory that a process may use: anybody who may read can ask for what needs it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from indexer.engines.milvus.encoding import Kept
from indexer.errors import AwayError, TooManyError
from indexer.filters import COLUMNS, compared, condition, source_of
from indexer.records import Listed
from indexer.schema import prepare

_TABLES = """
CREATE TABLE source (key INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE document (
    key TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, source INTEGER, title TEXT NOT NULL, uri TEXT, date TEXT,
    metadata TEXT NOT NULL, media_type TEXT NOT NULL,
    characters INTEGER NOT NULL, passages INTEGER NOT NULL, terms INTEGER NOT NULL
);
"""
# Every value of a field of metadata, lists taken apart.
_VALUES = """
SELECT f.type, f.value FROM document d, json_each(d.metadata) f WHERE f.key = ?1
UNION ALL
SELECT e.type, e.value FROM document d, json_each(d.metadata) f, json_each(f.value) e WHERE f.key = ?1 AND f.type = 'array'
"""
# A server and two searchers have a list each, and twice while it is read anew: six of them are less than half of the memory.
SHARE = 14
_BYTES = 627  # that one document takes, as measured (docs/capacity.md); with much metadata it takes more
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container
_PAGE = 1000  # documents that are read out of the list at once
_KEPT = 16  # conditions whose documents are kept, and commits that are known
_Commit = tuple[str, int]  # the identity of a collection and its generation
_DESCRIBED = ", ".join((*COLUMNS.values(), "d.metadata"))


class Mirror:
    """The documents as of one generation. Safe to share between threads."""

    def __init__(self, documents: Iterable[Kept], sources: Mapping[int, str]) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        prepare(self._db)
        most = most_bytes()
        (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(f"PRAGMA max_page_count = {most // page_bytes}")
        self._db.executescript(_TABLES)
        rows = "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        try:
            self._db.executemany("INSERT INTO source VALUES (?, ?)", sources.items())
            self._db.executemany(rows, map(_row, documents))
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise _too_many("documents", most) from error
        self._looked_up: dict[tuple[Any, ...], list[str]] = {}

    def keys(self, condition: str, values: Sequence[Any], most: int) -> list[str]:
        """The keys of up to ``most`` documents that meet a condition. Of a million documents that takes a second or more, and
        each page of an answer asks the same: the last ones are kept."""
        asked = condition, *values, most
        found = self._looked_up.pop(asked, None)
        if found is None:
            query = f"SELECT d.key FROM document d WHERE {condition} LIMIT ?"  # noqa: S608
            found = [key for (key,) in self._all(query, [*values, most])]
        self._looked_up[asked] = found
        for oldest in list(self._looked_up)[:-_KEPT]:
            self._looked_up.pop(oldest, None)
        return found

    def values(self, name: str, operator: str, value: Any, most: int) -> list[Any]:
        """Up to ``most`` different values of a field that compare so with ``value``; a number that is no whole one, or of more
        than 64 bits, is a float."""
        if name in COLUMNS:
            sql, values = condition({name: {operator: value}})
            query = f"SELECT DISTINCT 'text', {COLUMNS[name]} FROM document d WHERE {sql} LIMIT ?"  # noqa: S608
            rows = self._all(query, [*values, most])
        else:
            sql, values = compared(operator, value)
            rows = self._all(f"SELECT DISTINCT x.type, x.value FROM ({_VALUES}) x WHERE {sql} LIMIT ?", [name, *values, most])  # noqa: S608
        return [_value(kind, found) for kind, found in rows]

    def ids(self, after: str, limit: int) -> list[str]:
        """Ids in order, above ``after``."""
        query = "SELECT id FROM document WHERE id > ? ORDER BY id LIMIT ?"
        return [one for (one,) in self._all(query, [after, limit])]

    def count(self, condition: str, values: Sequence[Any]) -> int:
        """How many documents meet a condition."""
        return int(self._all(f"SELECT count(*) FROM document d WHERE {condition}", values)[0][0])  # noqa: S608

    def listed(self, condition: str, values: Sequence[Any], after: str, limit: int) -> list[Listed]:
        """See :class:`indexer.engines.contract.Reader`."""
        query = (
            "SELECT d.id, d.title, d.uri, d.date, d.media_type, s.name, d.characters, d.passages "  # noqa: S608
            f"FROM document d LEFT JOIN source s ON s.key = d.source WHERE {condition} AND d.id > ? ORDER BY d.id LIMIT ?"
        )
        return [
            Listed(one, title, uri, date, kind, source_of(one, name, uri), characters, passages)
            for one, title, uri, date, kind, name, characters, passages in self._all(query, [*values, after, limit])
        ]

    def described(self) -> Iterator[dict[str, Any]]:
        """What filters know of every document; some of them in memory at a time."""
        query = f"SELECT d.rowid, {_DESCRIBED} FROM document d WHERE d.rowid > ? ORDER BY d.rowid LIMIT ?"  # noqa: S608
        last = 0
        while page := self._all(query, [last, _PAGE]):
            for _, *columns, metadata in page:
                yield {**dict(zip(COLUMNS, columns, strict=True)), "metadata": json.loads(metadata)}
            last = page[-1][0]

    def _all(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


class Mirrors:
    """The last mirror that somebody needed, made in a thread of its own: that may take longer than who asks has, and is there
    for the next one.

    It serves each commit that was asked of before it was begun, since it holds what is there then. Who reads with another
    consistency than ``Strong`` may come with the commit before, and then with the last one again. Their numbers do not tell
    which of two was first: each is of its writer's clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[_Commit, None] = {}  # the last one at the end
        self._last: tuple[frozenset[_Commit], Future[Mirror]] | None = None

    def of(self, commit: _Commit, timeout_s: float | None, make: Callable[[], Mirror]) -> Mirror:
        """The mirror of a commit, which is made if it is not there. Raises :class:`AwayError` if that takes longer."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            serves, mirror = self._begun(commit, make)
            try:
                made = mirror.result(None if until is None else max(0.0, until - time.monotonic()))
            except TimeoutError as error:
                raise AwayError("the list of documents is being read from the server: ask again in a moment") from error
            if commit in serves:
                return made

    def _begun(self, commit: _Commit, make: Callable[[], Mirror]) -> tuple[frozenset[_Commit], Future[Mirror]]:
        """What is being made, or made, and the commits that it serves; one at a time, whoever asks."""
        with self._lock:
            self._asked.pop(commit, None)
            self._asked[commit] = None
            for oldest in list(self._asked)[:-_KEPT]:
                del self._asked[oldest]
            if self._last is None or (self._last[1].done() and (commit not in self._last[0] or _may_pass(self._last[1]))):
                self._last = frozenset(one for one in self._asked if one[0] == commit[0]), Future()
                threading.Thread(target=_make, args=(self._last[1], make), name="mirror", daemon=True).start()
            return self._last


def most_bytes() -> int:
    """What one list of documents may take."""
    return memory_bytes() // SHARE


def memory_bytes() -> int:
    """What this process may use: what its container may, or the machine has."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # it is not there, or says "max"
            found.append(int(limit.read_text(encoding="ascii")))
    return min(found)


def check_listed(documents: int) -> None:
    """Raises :class:`TooManyError` for so many documents that their list would take more than it may: before it is read."""
    if documents * _BYTES > (most := most_bytes()):
        raise _too_many(f"{documents:,} documents", most)


def _too_many(documents: str, most: int) -> TooManyError:
    return TooManyError(
        f"the list of {documents} would take more than the {most / 2**20:,.0f} MiB that it may, a fourteenth of the memory "
        "that this process may use: give it more, or ask without what needs the list: listing, facets of the whole collection, "
        "filters by uri and by ranges or beginnings of other fields than date"
    )


def _may_pass(mirror: Future[Mirror]) -> bool:
    """Whether it failed, and might not if it was made again."""
    return (error := mirror.exception()) is not None and not isinstance(error, TooManyError)


def _make(mirror: Future[Mirror], make: Callable[[], Mirror]) -> None:
    try:
        mirror.set_result(make())
    except BaseException as error:  # it is raised where it is waited for
        mirror.set_exception(error)


def _value(kind: str, value: Any) -> Any:
    """A value of SQLite's JSON."""
    if kind in ("true", "false"):
        return kind == "true"
    return int(value) if kind == "real" and value.is_integer() and abs(value) < 2**53 else value


def _row(one: Kept) -> tuple[Any, ...]:
    known = one.described
    metadata = json.dumps(known["metadata"], ensure_ascii=False)
    return (
        one.key, known["id"], one.source, known["title"], known["uri"], known["date"], metadata, known["media_type"],
        one.characters, one.passages, one.terms,
    )  # fmt: skip
