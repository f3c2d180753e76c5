"""The catalog's tables, and what brings a file of an earlier format to this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from indexer.errors import PassagesError

SCHEMA_VERSION = 2

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

# What brings a file from a format to the next one. What is encoded again comes by ``--reindex``, which the contract asks for.
_MIGRATIONS = {
    1: "ALTER TABLE passage ADD COLUMN language TEXT NOT NULL DEFAULT '';\n"
    "ALTER TABLE passage ADD COLUMN content BLOB NOT NULL DEFAULT x'';\n"
    f"CREATE INDEX passage_content ON passage (content);\n{_READINGS}"
}


class CatalogError(PassagesError):
    """The index cannot be read or written; the message says why and what to do."""


class FullError(CatalogError):
    """There is no room to write; what was committed before is kept."""


def check_version(connection: sqlite3.Connection, file: Path) -> None:
    """Makes the tables, or brings them up to date. Raises :class:`CatalogError` for a file of a later release."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _create(connection)  # a crash between making the file and its schema leaves an empty file
    elif version in _MIGRATIONS:
        _migrate(connection)
    elif version != SCHEMA_VERSION:
        raise CatalogError(
            f"{file} has format {version} and this release reads {SCHEMA_VERSION}: upgrade passages, or index into a new folder"
        )


def _create(connection: sqlite3.Connection) -> None:
    # Two processes may meet here: the second one's BEGIN waits, and finds the schema made.
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in _statements(_SCHEMA + _READINGS):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection) -> None:
    """Every step that is due, with its record, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        while step := _MIGRATIONS.get(version := connection.execute("PRAGMA user_version").fetchone()[0]):
            for statement in _statements(step):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
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
