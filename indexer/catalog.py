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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from indexer.documents import Document
from indexer.models import ModelContract
from indexer.passages import Passage
from indexer.records import EncodedPassage, Keys, StoredPassage
from indexer.schema import SCHEMA_VERSION, CatalogError, check_version
from indexer.snapshot import COLUMNS, Snapshot

__all__ = [
    "CATALOG_FILE",
    "SCHEMA_VERSION",
    "Catalog",
    "CatalogError",
    "EncodedPassage",
    "Keys",
    "Snapshot",
    "StoredPassage",
    "Writer",
    "document_hash",
    "passage_ids",
]

CATALOG_FILE = "catalog.sqlite"


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

    def forget_languages(self) -> None:
        """Forget the stemmers that made no terms of what is still there: questions go through them no more."""
        self._db.execute("DELETE FROM language WHERE name NOT IN (SELECT language FROM passage)")

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
                check_version(connection, self.file)
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


_FIELDS = ", ".join(COLUMNS)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)


def _row(document: Document) -> tuple[str | None, ...]:
    metadata = json.dumps(dict(document.metadata), ensure_ascii=False)
    plain = (document.title, document.text, document.uri, document.date, metadata, document.media_type)
    return (*plain, json.dumps(document.pages), json.dumps(document.headings))


def _advice(file: Path, error: sqlite3.Error) -> str:
    if not all(os.access(path, os.W_OK) for path in (file.parent, file) if path.exists()):
        return f"give the user who runs this the right to write in {file.parent}, which searching needs too"
    if "disk is full" in str(error):
        return "make room; what was committed before is kept"
    if "locked" in str(error):
        return "another process has been writing it for long: try again"
    return f"if it was an index, bring it back from a copy or delete {file.parent} and index again; else choose another --index"
