"""The whole of a catalog compared with what was written: SQLite's own check of its structure, every row, and their totals."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from indexer.checksums import COVERED, Covered, Mismatch, Total, check, totals
from indexer.schema import check_schema, read_state

_ROWS = 256  # read at once


def check_whole(connection: sqlite3.Connection, pause: Callable[[], None] = lambda: None) -> None:
    """One commit, whole. ``pause`` is called every few hundred rows. Raises :class:`Mismatch` and what SQLite raises."""
    is_mine = not connection.in_transaction
    if is_mine:
        connection.execute("BEGIN")
    try:
        read_state(connection)
        check_schema(connection)
        _check_structure(connection)
        for one in COVERED:
            _check_rows(connection, one, pause)
    finally:
        if is_mine:
            connection.rollback()


def _check_structure(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Mismatch(str(found).replace("\n", " "))
    if (row := connection.execute("PRAGMA foreign_key_check").fetchone()) is not None:
        raise Mismatch(f"row {row[1]} of the table {row[0]} belongs to nothing")


def _check_rows(connection: sqlite3.Connection, one: Covered, pause: Callable[[], None]) -> None:
    prefix = "t." if " " in one.read_from else ""
    cursor = connection.execute(f"SELECT {prefix}checksum, {one.values} FROM {one.read_from}")  # noqa: S608
    count, known = 0, 0
    while rows := cursor.fetchmany(_ROWS):
        for row in rows:
            check(f"row {row[1]!r:.40} of the table {one.table}", *row)
            known += row[0]
        count += len(rows)
        pause()
    if totals(connection).get(one.table) != Total(count, known):
        raise Mismatch(f"rows of the table {one.table} are missing, or there twice")
