"""The catalog's tables, and what brings a file of an earlier format to this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer import checksums
from indexer.checksums import Mismatch, check, checksum
from indexer.errors import PassagesError
from indexer.filters import source_of

SCHEMA_VERSION = 3

# Tables of their own, so that reading passages does not read them.
_READINGS = """
CREATE TABLE token (                       -- late interaction: see tokens.py
    passage INTEGER PRIMARY KEY REFERENCES passage (key) ON DELETE CASCADE,
    codes BLOB NOT NULL,                   -- one code after the other
    places BLOB NOT NULL,
    norms BLOB NOT NULL
) STRICT;

CREATE TABLE term (                        -- see terms.py
    passage INTEGER PRIMARY KEY REFERENCES passage (key) ON DELETE CASCADE,
    codes BLOB NOT NULL                    -- of title and headings, 0, of the passage; each in reading order
) STRICT;

CREATE TABLE language (                    -- stemmers that made the terms of some passage, now or before
    name TEXT PRIMARY KEY
) STRICT;
"""

_SCHEMA = """
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    generation INTEGER NOT NULL,           -- counts commits
    contract TEXT                          -- the model contract as JSON, once something is indexed
) STRICT;
INSERT INTO state VALUES (1, 0, NULL);

CREATE TABLE source (                      -- a synced file
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,             -- absolute
    name TEXT NOT NULL,                    -- relative to the root under which it was first seen: the id of its document
    stamp TEXT NOT NULL,                   -- size and times; the same stamp means that the file need not be read
    hash TEXT NOT NULL,                    -- of its content; "" while its documents are not all committed
    failure TEXT                           -- JSON list of [record, reason], what of it could not be read
) STRICT;

CREATE TABLE document (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    source INTEGER REFERENCES source (key),  -- NULL: written over HTTP or by a program
    title TEXT NOT NULL,
    text TEXT NOT NULL,                    -- canonical; every offset counts its code points
    uri TEXT,
    date TEXT,                             -- YYYY-MM-DD
    metadata TEXT NOT NULL,                -- JSON object
    media_type TEXT NOT NULL,
    pages TEXT NOT NULL,                   -- JSON list: where each page begins
    headings TEXT NOT NULL,                -- JSON list of [start, end, level]
    hash TEXT NOT NULL                     -- of all the above but source and uri
) STRICT;
CREATE INDEX document_source ON document (source);

CREATE TABLE passage (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document INTEGER NOT NULL REFERENCES document (key) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    labels TEXT NOT NULL,                  -- JSON list of [start, end]
    input BLOB NOT NULL,                   -- hash of what the encoder read: an equal one is never encoded again
    language TEXT NOT NULL DEFAULT '',     -- which stemmer made its terms
    content BLOB NOT NULL DEFAULT x''      -- hash of its text: equal texts are one result
) STRICT;
CREATE INDEX passage_document ON passage (document, ordinal);
CREATE INDEX passage_input ON passage (input);
CREATE INDEX passage_content ON passage (content);

CREATE TABLE vector (                      -- a table of its own, so that reading passages does not read vectors
    passage INTEGER PRIMARY KEY REFERENCES passage (key) ON DELETE CASCADE,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE removed (                     -- passages that were deleted, so that derived structures can follow
    passage INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT;
CREATE INDEX removed_generation ON removed (generation);
CREATE TRIGGER passage_removed AFTER DELETE ON passage BEGIN
    INSERT INTO removed SELECT old.key, generation + 1 FROM state;
END;
"""

# Tables are made as format 2 had them and brought on from there, so that a new file and an old one are alike.
_FORMAT_3 = """
-- A server of the release before looks at the format only as it opens: by this name it neither reads nor writes any more.
ALTER TABLE state RENAME COLUMN generation TO commits;
ALTER TABLE state ADD COLUMN identity TEXT NOT NULL DEFAULT ''; -- of this history: another has other passages by these keys
ALTER TABLE state ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0; -- "removed" tells of later generations only
ALTER TABLE state ADD COLUMN schema INTEGER NOT NULL DEFAULT 0; -- checksum of the tables' definitions
ALTER TABLE state ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE state SET identity = lower(hex(randomblob(16)));
"""

# What brings a file from a format to the next one. What is encoded again comes by ``--reindex``, which the contract asks for.
_MIGRATIONS = {
    1: "ALTER TABLE passage ADD COLUMN language TEXT NOT NULL DEFAULT '';\n"
    "ALTER TABLE passage ADD COLUMN content BLOB NOT NULL DEFAULT x'';\n"
    f"CREATE INDEX passage_content ON passage (content);\n{_READINGS}",
    2: _FORMAT_3 + "".join(f"{one};\n" for one in checksums.statements()),
}
_BEFORE_MIGRATIONS = 2


class CatalogError(PassagesError):
    """The index cannot be read or written; the message says why and what to do."""


class MissingError(CatalogError):
    """There is no index."""


class FullError(CatalogError):
    """There is no room to write; what was committed before is kept."""


class EarlierError(CatalogError):
    """The catalog has the format of an earlier release, and was left as it is."""


class DamagedError(CatalogError):
    """The catalog is not what was written: nothing of it can be trusted until it is restored."""


def advice(folder: Path) -> str:
    """What to do about a damaged catalog."""
    return (
        f"bring back a backup: passages restore FILE --index {folder} --force; without one, move {folder} away and index again "
        "(docs/operations.md tells what can still be saved)"
    )


def is_earlier(connection: sqlite3.Connection) -> bool:
    """Whether the file has the format of an earlier release."""
    return connection.execute("PRAGMA user_version").fetchone()[0] in _MIGRATIONS


def check_version(connection: sqlite3.Connection, file: Path) -> None:
    """Makes the tables, or brings them up to date. Raises :class:`CatalogError` for a file of a later release, and
    :class:`Mismatch` for one whose tables are not what was made."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _create(connection)  # a crash between making the file and its schema leaves an empty file
    elif version in _MIGRATIONS:
        _migrate(connection)
    elif version != SCHEMA_VERSION:
        raise CatalogError(
            f"{file} has format {version} and this release reads {SCHEMA_VERSION}: upgrade passages, or index into a new "
            f"folder; if no later release wrote it, it is damaged: passages restore FILE --index {file.parent} --force"
        )
    check_schema(connection)


def check_schema(connection: sqlite3.Connection) -> None:
    """Raises :class:`Mismatch` if tables, indexes and triggers are not as they were made."""
    known = connection.execute("SELECT schema FROM state").fetchone()
    if known is None or known[0] != _schema_checksum(connection):
        raise Mismatch("the definition of its tables is not what was written")


def seal_state(connection: sqlite3.Connection) -> None:
    """Store the checksum of the state as it is now."""
    connection.execute("UPDATE state SET checksum = checksum(commits, contract, identity, pruned, schema)")


def read_state(connection: sqlite3.Connection) -> tuple[int, str | None, str, int]:
    """Generation, contract, identity, and the generation up to which "removed" was pruned. Raises :class:`Mismatch`."""
    row = connection.execute("SELECT checksum, commits, contract, identity, pruned, schema FROM state").fetchone()
    if row is None:
        raise Mismatch("its state is missing")
    check("its state", *row)
    return row[1], row[2], row[3], row[4]


def new_identity(connection: sqlite3.Connection, generation: int) -> None:
    """Begin another history at a generation: what was derived from the old one is of no use, so nothing need be told of it."""
    connection.execute("UPDATE state SET commits = ?, identity = lower(hex(randomblob(16))), pruned = ?", (generation,) * 2)
    connection.execute("DELETE FROM removed")
    seal_state(connection)


def prepare(connection: sqlite3.Connection) -> None:
    """What every connection needs before the catalog is read through it."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.create_function("characters", 1, len, deterministic=True)  # SQLite's length() stops at a NUL
    connection.create_function("source_of", 3, source_of, deterministic=True)
    connection.create_function("folded", 1, str.casefold, deterministic=True)  # SQLite's own knows ASCII only
    connection.create_function("checksum", -1, checksum, deterministic=True)


def _create(connection: sqlite3.Connection) -> None:
    # Two processes may meet here: the second one's BEGIN waits, and finds the schema made.
    with _transaction(connection):
        if connection.execute("PRAGMA user_version").fetchone()[0]:
            return
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise Mismatch("its header is not what was written, or another program made it")
        for statement in _statements(_SCHEMA + _READINGS):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_BEFORE_MIGRATIONS}")
        _bring_up(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    """Every step that is due, with its record, in one transaction."""
    with _transaction(connection):
        _bring_up(connection)


def _bring_up(connection: sqlite3.Connection) -> None:
    while step := _MIGRATIONS.get(version := connection.execute("PRAGMA user_version").fetchone()[0]):
        for statement in _statements(step):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")
        if version + 1 == SCHEMA_VERSION:
            connection.execute("UPDATE state SET schema = ?", (_schema_checksum(connection),))
            seal_state(connection)


def _schema_checksum(connection: sqlite3.Connection) -> int:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
    return checksum(*(value for row in rows for value in row))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()


def _statements(script: str) -> Iterator[str]:
    """Statements of a script one by one: ``executescript`` would commit the transaction that is open."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
