"""The catalog: one SQLite file that is the only truth of a collection. Everything else is derived from it.

Invariants: a commit is one transaction, and raises ``generation`` by one; text, offsets and vectors cannot drift apart.
A passage's key is an integer that is never used again. Vectors are 16-bit floats, little-endian, of unit length; token codes
are bytes with their places as 16-bit numbers, terms 32-bit numbers, little-endian too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.documents import Document, Heading
from indexer.encoder import ModelContract
from indexer.errors import PassagesError
from indexer.passages import Passage
from indexer.sentences import Span
from indexer.terms import Codes
from indexer.tokens import NO_TOKENS, TokenCodes

SCHEMA_VERSION = 2
CATALOG_FILE = "catalog.sqlite"
Keys = npt.NDArray[np.int64]
NO_TERMS: Codes = np.empty(0, np.uint32)

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


class Source(NamedTuple):
    """A synced file. ``hash`` is "" while not all of it is committed; ``failures`` are (record, reason)."""

    key: int
    path: str
    name: str
    stamp: str
    hash: str
    failures: tuple[tuple[str, str], ...]


class StoredPassage(NamedTuple):
    """A passage with all that a result shows, as of one commit."""

    key: int
    id: str
    ordinal: int
    start: int
    end: int
    labels: tuple[Span, ...]
    language: str
    document: Document

    @property
    def text(self) -> str:
        """The passage: a slice of the canonical text."""
        return self.document.text[self.start : self.end]

    @property
    def heading(self) -> str | None:
        """Its labels in words, or None."""
        return Passage(self.start, self.end, self.labels).heading(self.document.text) or None


class EncodedPassage(NamedTuple):
    """A passage that is ready to be written: ``input`` is the hash of what was encoded, ``vector`` float16 [d], ``terms``
    uint32 [t] made with the stemmer of ``language``."""

    passage: Passage
    input: bytes
    vector: npt.NDArray[np.float16]
    tokens: TokenCodes = NO_TOKENS
    terms: Codes = NO_TERMS
    language: str = ""


class Encoding(NamedTuple):
    """What the encoder made of an input: its ``vector`` float16 [d] and its tokens."""

    vector: npt.NDArray[np.float16]
    tokens: TokenCodes


class Candidate(NamedTuple):
    """What ranking reads of a passage; ``content`` is the hash of its text, ``input`` of that with its context."""

    key: int
    id: str
    content: bytes
    input: bytes
    terms: Codes
    tokens: TokenCodes


class Copy(NamedTuple):
    """A passage with the text of another one."""

    key: int
    id: str
    input: bytes


class Changes(NamedTuple):
    """What happened between two commits: ``added`` keys with ``vectors`` float16 [n, d], and ``removed`` keys."""

    added: Keys
    vectors: npt.NDArray[np.float16]
    removed: Keys


class TermChanges(NamedTuple):
    """As :class:`Changes`, with the terms of what was added."""

    added: Keys
    terms: list[Codes]
    removed: Keys


class Counts(NamedTuple):
    """How much a collection holds."""

    documents: int
    passages: int
    characters: int
    failures: int


class Snapshot:
    """One commit, whole: everything read through it belongs together. Use it in one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        row = connection.execute("SELECT generation, contract FROM state").fetchone()
        self.generation: int = row[0]
        self.contract = ModelContract(**json.loads(row[1])) if row[1] else None

    def counts(self) -> Counts:
        """Documents, passages, characters of text, and files or records that could not be read."""
        documents, characters = self._db.execute("SELECT count(*), coalesce(sum(characters(text)), 0) FROM document").fetchone()
        (passages,) = self._db.execute("SELECT count(*) FROM passage").fetchone()
        (failures,) = self._db.execute("SELECT coalesce(sum(json_array_length(failure)), 0) FROM source").fetchone()
        return Counts(documents, passages, characters, failures)

    def vector(self, key: int) -> npt.NDArray[np.float16]:
        """The vector of a passage of this commit, float16 [d]."""
        (value,) = self._db.execute("SELECT value FROM vector WHERE passage = ?", (key,)).fetchone()
        return np.frombuffer(value, dtype="<f2")

    def changes(self, since: int, last_key: int, dimension: int) -> Changes:
        """Passages above ``last_key`` and those removed after generation ``since``."""
        rows = self._db.execute("SELECT passage, value FROM vector WHERE passage > ? ORDER BY passage", (last_key,)).fetchall()
        vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f2").reshape(len(rows), dimension)
        return Changes(_keys(rows), vectors, self._removed(since))

    def term_changes(self, since: int, last_key: int) -> TermChanges:
        """Terms of passages above ``last_key``, and passages removed after generation ``since``."""
        rows = self._db.execute("SELECT passage, codes FROM term WHERE passage > ? ORDER BY passage", (last_key,)).fetchall()
        return TermChanges(_keys(rows), [_terms(row[1]) for row in rows], self._removed(since))

    def candidates(self, keys: Sequence[int]) -> dict[int, Candidate]:
        """What ranking reads, by key; a key that this commit lacks is left out."""
        query = (
            "SELECT p.key, p.id, p.content, p.input, w.codes, t.codes, t.places, t.norms "
            "FROM json_each(?) k CROSS JOIN passage p ON p.key = k.value JOIN token t ON t.passage = p.key JOIN term w ON w.passage = p.key"
        )
        rows = self._db.execute(query, (json.dumps([int(key) for key in keys]),))
        return {row[0]: Candidate(row[0], row[1], row[2], row[3], _terms(row[4]), _tokens(*row[5:])) for row in rows}

    def copies(self, contents: Iterable[bytes]) -> dict[bytes, list[Copy]]:
        """Every passage of each text, by the hash of the text; each list by id."""
        query = "SELECT key, id, input FROM passage WHERE content = ? ORDER BY id"
        return {content: [Copy(*row) for row in self._db.execute(query, (content,))] for content in contents}

    def languages(self) -> list[str]:
        """Every stemmer that made terms of some passage."""
        return [row[0] for row in self._db.execute("SELECT name FROM language ORDER BY name")]

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """Passages by key; a key that this commit lacks is left out."""
        return {one.key: one for one in self._passages("p.key", [int(key) for key in keys])}

    def passage(self, passage_id: str) -> StoredPassage | None:
        """The passage of an id, or None."""
        return next(iter(self._passages("p.id", [passage_id])), None)

    def passage_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """Ids by key."""
        among = json.dumps([int(key) for key in keys])  # one parameter: SQLite bounds how many there may be
        return dict(self._db.execute("SELECT key, id FROM passage WHERE key IN (SELECT value FROM json_each(?))", (among,)))

    def document_keys(self, keys: Sequence[int]) -> dict[int, int]:
        """The key of each passage's document, by the passage's key."""
        among = json.dumps([int(key) for key in keys])
        query = "SELECT key, document FROM passage WHERE key IN (SELECT value FROM json_each(?))"
        return dict(self._db.execute(query, (among,)))

    def passages_of(self, document_id: str) -> list[StoredPassage]:
        """All passages of a document, in reading order."""
        return sorted(self._passages("d.id", [document_id]), key=lambda one: one.ordinal)

    def document(self, document_id: str) -> Document | None:
        """The document of an id, or None."""
        row = self._db.execute(f"SELECT {_DOCUMENT} FROM document d WHERE id = ?", (document_id,)).fetchone()  # noqa: S608
        return _document(row) if row else None

    def document_ids(self, after: str = "", limit: int = -1) -> list[str]:
        """Ids in order, above ``after``; all of them if ``limit`` is negative."""
        rows = self._db.execute("SELECT id FROM document WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [row[0] for row in rows]

    def sources(self) -> list[Source]:
        """Every synced file, by path."""
        rows = self._db.execute("SELECT key, path, name, stamp, hash, failure FROM source ORDER BY path")
        return [Source(row[0], row[1], row[2], row[3], row[4], _failures(row[5])) for row in rows]

    def documents_of(self, source: int) -> dict[str, str]:
        """Ids and hashes of a file's documents."""
        return dict(self._db.execute("SELECT id, hash FROM document WHERE source = ?", (source,)).fetchall())

    def document_counts(self) -> dict[int, int]:
        """How many documents came from each source that has any."""
        query = "SELECT source, count(*) FROM document WHERE source IS NOT NULL GROUP BY source"
        return dict(self._db.execute(query).fetchall())

    def owner(self, document_id: str) -> tuple[int | None, str] | None:
        """The source (None if none) and hash of a document; None if there is no such document."""
        row: tuple[int | None, str] | None = self._db.execute(
            "SELECT source, hash FROM document WHERE id = ?", (document_id,)
        ).fetchone()
        return row

    def encodings_of(self, inputs: Iterable[bytes]) -> dict[bytes, Encoding]:
        """What the encoder made of inputs that some passage was encoded from before."""
        found = {}
        query = (
            "SELECT v.value, t.codes, t.places, t.norms FROM passage p JOIN vector v ON v.passage = p.key "
            "JOIN token t ON t.passage = p.key WHERE p.input = ? LIMIT 1"
        )
        for one in inputs:
            if row := self._db.execute(query, (one,)).fetchone():
                found[one] = Encoding(np.frombuffer(row[0], dtype="<f2"), _tokens(*row[1:]))
        return found

    def keys_where(self, condition: str, values: Sequence[Any]) -> Keys:
        """Keys of passages whose document ``d`` meets an SQL condition (see ``filters.py``), ascending."""
        query = f"SELECT p.key FROM passage p JOIN document d ON d.key = p.document WHERE {condition} ORDER BY p.key"  # noqa: S608
        return _keys(self._db.execute(query, values).fetchall())

    def _removed(self, since: int) -> Keys:
        return _keys(self._db.execute("SELECT passage FROM removed WHERE generation > ?", (since,)).fetchall())

    def _passages(self, column: str, values: Sequence[Any]) -> Iterator[StoredPassage]:
        marks = ",".join("?" * len(values))
        query = (
            f'SELECT p.key, p.id, p.ordinal, p.start, p."end", p.labels, p.language, d.key FROM passage p '  # noqa: S608
            f"JOIN document d ON d.key = p.document WHERE {column} IN ({marks})"
        )
        rows = self._db.execute(query, values).fetchall()
        documents = self._documents({row[7] for row in rows})  # each text is read once, however many of its passages
        for key, passage_id, ordinal, start, end, labels, language, document in rows:
            spans = tuple(Span(*span) for span in json.loads(labels))
            yield StoredPassage(key, passage_id, ordinal, start, end, spans, language, documents[document])

    def _documents(self, keys: set[int]) -> dict[int, Document]:
        query = f"SELECT {_DOCUMENT}, d.key FROM document d WHERE d.key IN ({','.join('?' * len(keys))})"  # noqa: S608
        return {row[-1]: _document(row) for row in self._db.execute(query, sorted(keys))}


class Writer(Snapshot):
    """One open write transaction. It is committed, whole, when the block that opened it ends without an error."""

    def set_contract(self, contract: ModelContract) -> None:
        """Bind the index to a model."""
        self._db.execute("UPDATE state SET contract = ?", (json.dumps(asdict(contract)),))
        self.contract = contract

    def source_key(self, path: str) -> int:
        """The key of a synced file that :meth:`put_source` has added."""
        (key,) = self._db.execute("SELECT key FROM source WHERE path = ?", (path,)).fetchone()
        return int(key)

    def put_source(self, path: str, name: str, stamp: str, digest: str, failures: Sequence[tuple[str, str]]) -> int:
        """Add or update a synced file, by path; its key."""
        row = self._db.execute(
            "INSERT INTO source (path, name, stamp, hash, failure) VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE "
            "SET stamp = excluded.stamp, hash = excluded.hash, failure = excluded.failure RETURNING key",
            (path, name, stamp, digest, json.dumps(failures) if failures else None),
        ).fetchone()
        return int(row[0])

    def move_source(self, key: int, path: str, stamp: str, uri: str) -> None:
        """A file is at another path now: its documents keep their ids; one that showed the old path shows the new."""
        (old,) = self._db.execute("SELECT path FROM source WHERE key = ?", (key,)).fetchone()
        self._db.execute("UPDATE source SET path = ?, stamp = ? WHERE key = ?", (path, stamp, key))
        self._db.execute("UPDATE document SET uri = ? WHERE source = ? AND uri = ?", (uri, key, Path(old).as_uri()))

    def delete_source(self, key: int) -> int:
        """Forget a file and delete its documents; how many there were."""
        deleted = self._db.execute("DELETE FROM document WHERE source = ?", (key,)).rowcount
        self._db.execute("DELETE FROM source WHERE key = ?", (key,))
        return deleted

    def put_document(self, document: Document, source: int | None, passages: Sequence[EncodedPassage]) -> None:
        """Add or replace a document with its passages. Unchanged passages keep their keys and ids."""
        values = (document.id, source, *_row(document), document_hash(document))
        (key,) = self._db.execute(
            f"INSERT INTO document (id, source, {_FIELDS}, hash) VALUES ({','.join('?' * len(values))}) "  # noqa: S608
            f"ON CONFLICT (id) DO UPDATE SET source = excluded.source, {_UPDATES}, hash = excluded.hash RETURNING key",
            values,
        ).fetchone()
        self._put_passages(key, document, passages)

    def delete_document(self, document_id: str) -> bool:
        """Delete a document with its passages; whether there was one."""
        return self._db.execute("DELETE FROM document WHERE id = ?", (document_id,)).rowcount > 0

    def _put_passages(self, document_key: int, document: Document, passages: Sequence[EncodedPassage]) -> None:
        rows = self._db.execute("SELECT id, input, language, key FROM passage WHERE document = ?", (document_key,))
        before = {(row[0], row[1], row[2]): row[3] for row in rows}
        ids = passage_ids(document, [one.passage for one in passages])
        same = [(passage_id, one.input, one.language) for passage_id, one in zip(ids, passages, strict=True)]
        kept = {before[one] for one in same if one in before}
        gone = [(key,) for key in before.values() if key not in kept]
        self._db.executemany("DELETE FROM passage WHERE key = ?", gone)
        for ordinal, (passage_id, one) in enumerate(zip(ids, passages, strict=True)):
            place = (ordinal, one.passage.start, one.passage.end, json.dumps(one.passage.labels))
            if key := before.get(same[ordinal]):
                self._db.execute(
                    'UPDATE passage SET ordinal = ?, start = ?, "end" = ?, labels = ? WHERE key = ?', (*place, key)
                )
                continue
            cursor = self._db.execute(
                'INSERT INTO passage (id, document, ordinal, start, "end", labels, input, language, content) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (passage_id, document_key, *place, one.input, one.language, content_hash(document, one.passage)),
            )
            self._put_readings(cursor.lastrowid, one)

    def _put_readings(self, key: int | None, one: EncodedPassage) -> None:
        self._db.execute("INSERT INTO vector VALUES (?, ?)", (key, one.vector.astype("<f2").tobytes()))
        codes, places, norms = one.tokens
        blobs = (codes.tobytes(), places.astype("<u2").tobytes(), norms.astype("<f2").tobytes())
        self._db.execute("INSERT INTO token VALUES (?, ?, ?, ?)", (key, *blobs))
        self._db.execute("INSERT INTO term VALUES (?, ?)", (key, one.terms.astype("<u4").tobytes()))
        self._db.execute("INSERT OR IGNORE INTO language VALUES (?)", (one.language,))


class Catalog:
    """The SQLite file of an index folder. Safe to share between threads; one process at a time may write."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / CATALOG_FILE
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self._closed = False
        try:
            with self._explained("opened as an index"), self._borrowed() as connection:
                _check_version(connection, self.file)
        except CatalogError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """A snapshot of the latest commit."""
        with self._explained("read"), self._borrowed() as connection:
            connection.execute("BEGIN")
            try:
                yield Snapshot(connection)
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A write transaction: committed at the end of the block, or not at all. The caller holds the writer lock."""
        with self._writing, self._explained("written"), self._borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            changes = connection.total_changes
            try:
                yield Writer(connection)
                if connection.total_changes > changes:  # what changes nothing is no commit
                    connection.execute("UPDATE state SET generation = generation + 1")
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.rollback()

    def close(self) -> None:
        """Close the connections: those that are idle now, the others after their use."""
        self._closed = True
        while not self._idle.empty():
            self._idle.get().close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            if self._closed:
                connection.close()
            else:
                self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA recursive_triggers = ON")
            connection.create_function("characters", 1, len, deterministic=True)  # SQLite's length() stops at a NUL
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """What SQLite says of the file or the disk, as an error that says what to do."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            raise  # a fault of this program, not of the file
        except sqlite3.Error as error:
            raise CatalogError(f"{self.file} cannot be {what} ({error}); {_advice(self.file, error)}") from error


def document_hash(document: Document) -> str:
    """Of everything but the uri: a document that only moved is unchanged."""
    fields = [document.title, document.text, document.date, document.metadata, document.media_type]
    framed = json.dumps([*fields, document.pages, document.headings], sort_keys=True)
    return hashlib.sha256(framed.encode()).hexdigest()


def passage_ids(document: Document, passages: Sequence[Passage]) -> list[str]:
    """Opaque URL-safe ids, stable while document id and passage text are: also when text before them changes."""
    seen: dict[str, int] = {}
    ids = []
    for one in passages:
        text = document.text[one.start : one.end]
        occurrence = seen[text] = seen.get(text, -1) + 1
        digest = hashlib.sha256(json.dumps([document.id, text, occurrence]).encode()).digest()
        ids.append(base64.urlsafe_b64encode(digest[:15]).decode())
    return ids


def content_hash(document: Document, passage: Passage) -> bytes:
    """Of the passage's text alone, 16 bytes: equal texts share it, wherever they stand."""
    return hashlib.sha256(document.text[passage.start : passage.end].encode("utf-8", "surrogatepass")).digest()[:16]


_COLUMNS = ("title", "text", "uri", "date", "metadata", "media_type", "pages", "headings")
_FIELDS = ", ".join(_COLUMNS)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
_DOCUMENT = ", ".join(f"d.{name}" for name in ("id", *_COLUMNS))


def _row(document: Document) -> tuple[str | None, ...]:
    metadata = json.dumps(dict(document.metadata), ensure_ascii=False)
    plain = (document.title, document.text, document.uri, document.date, metadata, document.media_type)
    return (*plain, json.dumps(document.pages), json.dumps(document.headings))


def _document(row: Sequence[Any]) -> Document:
    document_id, title, text, uri, date, metadata, media_type, pages, headings = row[:9]
    return Document(
        document_id, title, text, uri, date, json.loads(metadata), media_type,
        tuple(json.loads(pages)), tuple(Heading(*heading) for heading in json.loads(headings)),
    )  # fmt: skip


def _failures(text: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((record, reason) for record, reason in json.loads(text or "[]"))


def _tokens(codes: bytes, places: bytes, norms: bytes) -> TokenCodes:
    at = np.frombuffer(places, dtype="<u2")
    flat = np.frombuffer(codes, dtype=np.uint8)
    return TokenCodes(flat.reshape(len(at), -1) if len(at) else NO_TOKENS.codes, at, np.frombuffer(norms, dtype="<f2"))


def _terms(codes: bytes) -> Codes:
    return np.frombuffer(codes, dtype="<u4")


def _keys(rows: Sequence[Sequence[Any]]) -> Keys:
    return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))


def _advice(file: Path, error: sqlite3.Error) -> str:
    if not all(os.access(path, os.W_OK) for path in (file.parent, file) if path.exists()):
        return f"give the user who runs this the right to write in {file.parent}, which searching needs too"
    if "disk is full" in str(error):
        return "make room; what was committed before is kept"
    if "locked" in str(error):
        return "another process has been writing it for long: try again"
    return f"if it was an index, bring it back from a copy or delete {file.parent} and index again; else choose another --index"


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


def _check_version(connection: sqlite3.Connection, file: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _create(connection)  # a crash between making the file and its schema leaves an empty file
    elif version in _MIGRATIONS:
        _migrate(connection)
    elif version != SCHEMA_VERSION:
        raise CatalogError(
            f"{file} has format {version} and this release reads {SCHEMA_VERSION}: upgrade passages, or index into a new folder"
        )
