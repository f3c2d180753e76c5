"""Checksums of the catalog's rows: SQLite has none, so a bit that flipped in its file would be read as if it were right.

A row's checksum is a CRC-32 of its columns: it tells every burst of up to 32 flipped bits, others but for one in four billion.
That is what it is for: damage, not malice. ``total`` keeps how many rows each table has and the sum of their checksums, by
triggers, so that a row which is gone, or there twice, is told too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from zlib import crc32


class Mismatch(Exception):  # noqa: N818  # what it tells, not an error for a user: the catalog makes one of it
    """What was read is not what was written; the message says which row."""


class Covered(NamedTuple):
    """A table, its key, the columns that its checksum covers, and what they are read from."""

    table: str
    key: str
    columns: tuple[str, ...]
    read_from: str

    @property
    def values(self) -> str:
        """The columns, for SQL."""
        return ", ".join(self.columns)


# Terms cover what ranking reads of the passage itself too, so that reading a candidate checks two rows, not three.
TERM = Covered(
    "term", "t.passage", ("t.passage", "t.codes", "p.id", "p.content", "p.input"), "term t JOIN passage p ON p.key = t.passage"
)
PASSAGE_COLUMNS = ("key", "id", "document", "ordinal", "start", '"end"', "labels", "input", "language", "content")
DOCUMENT_COLUMNS = (
    "key", "id", "source", "title", "text", "uri", "date", "metadata", "media_type", "pages", "headings", "hash"
)  # fmt: skip
COVERED = (
    Covered("source", "key", ("key", "path", "name", "stamp", "hash", "failure"), "source"),
    Covered("document", "key", DOCUMENT_COLUMNS, "document"),
    Covered("passage", "key", PASSAGE_COLUMNS, "passage"),
    Covered("vector", "passage", ("passage", "value"), "vector"),
    Covered("token", "passage", ("passage", "codes", "places", "norms"), "token"),
    TERM,
    Covered("language", "name", ("name",), "language"),
)


# What :func:`checksum` makes of rows that begin with their key, for those of which a question reads hundreds.
_TWO, _FOUR, _FIVE = (b"\x1f".join([b"%d", *[b"%b"] * (count - 1)]) for count in (2, 4, 5))


class Total(NamedTuple):
    """How many rows a table has, and the sum of their checksums."""

    rows: int
    checksum: int


def checksum(*values: bytes | str | float | None) -> int:
    """Of a row's values, in their order; 32 bits."""
    return crc32(b"\x1f".join([_as_bytes(value) for value in values]))


def check(what: str, known: int, *values: bytes | str | float | None) -> None:
    """Raises :class:`Mismatch` if ``known`` is not the checksum of the values."""
    if checksum(*values) != known:
        raise Mismatch(f"{what} is not what was written")


def check_terms(rows: Iterable[Sequence[Any]]) -> None:
    """The same of many rows of checksum, key, codes, id, content and input, in a third of the time."""
    _check_all("the terms of a passage", ((row[0], _FIVE % (*row[1:3], row[3].encode(), *row[4:6])) for row in rows))


def check_tokens(rows: Iterable[Sequence[Any]]) -> None:
    """The same of rows of checksum, key, codes, places and norms."""
    _check_all("the tokens of a passage", ((row[0], _FOUR % tuple(row[1:])) for row in rows))


def check_vectors(rows: Iterable[Sequence[Any]]) -> None:
    """The same of rows of checksum, key and vector."""
    _check_all("the vector of a passage", ((row[0], _TWO % tuple(row[1:])) for row in rows))


def _check_all(what: str, rows: Iterator[tuple[int, bytes]]) -> None:
    try:
        right = all(crc32(joined) == known for known, joined in rows)
    except (TypeError, AttributeError):  # a value of another type than was written
        right = False
    if not right:
        raise Mismatch(f"{what} is not what was written")


def totals(connection: sqlite3.Connection) -> dict[str, Total]:
    """What each table should hold."""
    return {name: Total(rows, known) for name, rows, known in connection.execute('SELECT name, "rows", checksum FROM total')}


def check_total(connection: sqlite3.Connection, table: str, checksums: Sequence[int]) -> None:
    """Raises :class:`Mismatch` if these are not the checksums of all rows of the table."""
    row = connection.execute('SELECT "rows", checksum FROM total WHERE name = ?', (table,)).fetchone()
    if row != (len(checksums), sum(checksums)):
        raise Mismatch(f"rows of the table {table} are missing, or there twice")


def seal(connection: sqlite3.Connection, table: str, key: int) -> None:
    """Store the checksum of a row as it is now."""
    connection.execute(_SEALS[table], (key,))


def statements() -> Iterator[str]:
    """What gives the tables of format 2 their checksums and totals."""
    yield 'CREATE TABLE total (name TEXT PRIMARY KEY, "rows" INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT'
    for one in COVERED:
        yield f"ALTER TABLE {one.table} ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0"
    for one in COVERED:
        yield _sealing(one)
        yield f"INSERT INTO total SELECT '{one.table}', count(*), coalesce(sum(checksum), 0) FROM {one.table}"  # noqa: S608
        yield from _triggers(one.table)


def _sealing(one: Covered) -> str:
    if one is TERM:
        inner = "SELECT checksum(term.passage, term.codes, p.id, p.content, p.input) FROM passage p WHERE p.key = term.passage"
        return f"UPDATE term SET checksum = ({inner})"  # noqa: S608
    return f"UPDATE {one.table} SET checksum = checksum({one.values})"  # noqa: S608


def _triggers(table: str) -> Iterator[str]:
    for event, rows, change in (
        ("INSERT", "+ 1", "+ new.checksum"),
        ("DELETE", "- 1", "- old.checksum"),
        ("UPDATE OF checksum", "", "+ new.checksum - old.checksum"),
    ):
        yield (
            f"CREATE TRIGGER {table}_{event.split()[0].lower()} AFTER {event} ON {table} BEGIN "  # noqa: S608
            f'UPDATE total SET "rows" = "rows" {rows}, checksum = checksum {change} WHERE name = \'{table}\'; END'
        )


def _as_bytes(value: bytes | str | float | None) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value).encode()


_SEALS = {one.table: f"{_sealing(one)} WHERE {one.key} = ?" for one in COVERED if one is not TERM}
