"""The catalog: one SQLite file that is the only truth of a collection. Everything else is derived from it.

Invariants: a commit is one transaction, and raises ``generation`` by one; text, offsets and vectors cannot drift apart.
A passage's key is an integer that is never used again. Vectors are 16-bit floats, little-endian, of unit length; token codes
are bytes with their places as 16-bit numbers, terms 32-bit numbers, little-endian too.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from indexer.checksums import Mismatch, checksum, seal
from indexer.documents import Document
from indexer.faults import advice_on, tells_damage, tells_full
from indexer.files import sync_folder
from indexer.hashes import content_hash, document_hash, passage_ids
from indexer.models import ModelContract
from indexer.records import EncodedPassage, Keys, StoredPassage
from indexer.schema import (
    SCHEMA_VERSION,
    CatalogError,
    DamagedError,
    FullError,
    advice,
    check_schema,
    check_version,
    prepare,
    read_state,
    seal_state,
)
from indexer.scrub import check_whole
from indexer.snapshot import COLUMNS, Snapshot
from indexer.witness import Witness

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
    "content_hash",
    "document_hash",
    "passage_ids",
]

CATALOG_FILE = "catalog.sqlite"
# A catalog up to this size is checked whole when it is opened (docs/design.md says what that costs); a larger one row by row
# as it is read, and whole in the background.
CHECKED_BYTES = 8 << 20


_UNKNOWN = -1  # no file's inode


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
        seal(self._db, "source", row[0])
        return int(row[0])

    def move_source(self, key: int, path: str, stamp: str, uri: str) -> None:
        """A file is at another path now: its documents keep their ids; one that showed the old path shows the new."""
        (old,) = self._db.execute("SELECT path FROM source WHERE key = ?", (key,)).fetchone()
        self._db.execute("UPDATE source SET path = ?, stamp = ? WHERE key = ?", (path, stamp, key))
        seal(self._db, "source", key)
        query = "UPDATE document SET uri = ? WHERE source = ? AND uri = ? RETURNING key"
        for (document,) in self._db.execute(query, (uri, key, Path(old).as_uri())).fetchall():
            seal(self._db, "document", document)

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
        seal(self._db, "document", key)
        self._put_passages(key, document, passages)

    def prune(self, generation: int) -> None:
        """Forget what was removed up to a generation: what was derived before that is derived again, not followed."""
        self._db.execute("DELETE FROM removed WHERE generation <= ?", (generation,))
        self._db.execute("UPDATE state SET pruned = max(pruned, ?)", (generation,))
        self.pruned = max(self.pruned, generation)

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
                seal(self._db, "passage", key)
                continue
            content = content_hash(document, one.passage)
            cursor = self._db.execute(
                'INSERT INTO passage (id, document, ordinal, start, "end", labels, input, language, content) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (passage_id, document_key, *place, one.input, one.language, content),
            )
            key = int(cursor.lastrowid or 0)
            seal(self._db, "passage", key)
            self._put_readings(key, one, (passage_id, content, one.input))

    def _put_readings(self, key: int, one: EncodedPassage, named: tuple[str, bytes, bytes]) -> None:
        vector = (key, one.vector.astype("<f2").tobytes())
        codes, places, norms = one.tokens
        token = (key, codes.tobytes(), places.astype("<u2").tobytes(), norms.astype("<f2").tobytes())
        term = (key, one.terms.astype("<u4").tobytes())
        self._db.execute("INSERT INTO vector VALUES (?, ?, ?)", (*vector, checksum(*vector)))
        self._db.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?)", (*token, checksum(*token)))
        self._db.execute("INSERT INTO term VALUES (?, ?, ?)", (*term, checksum(*term, *named)))
        self._db.execute("INSERT OR IGNORE INTO language VALUES (?, ?)", (one.language, checksum(one.language)))


class Catalog:
    """The SQLite file of an index folder. Safe to share between threads; one process at a time may write.

    What is not what was written is refused: every read and write raises :class:`DamagedError` from then on, until another
    catalog is in its place, which is noticed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / CATALOG_FILE
        self.damage: str | None = None  # what of it is not what was written, once that is known
        self._witness = Witness(folder)
        self._idle: queue.SimpleQueue[tuple[int, sqlite3.Connection]] = queue.SimpleQueue()
        self._writing, self._opening = threading.Lock(), threading.Lock()
        self._closed = False
        self._identity = ""
        self._inode = 0
        try:
            self._open()
        except CatalogError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """A snapshot of the latest commit."""
        with self._explained("read"), self._trusted() as connection:
            connection.execute("BEGIN")
            try:
                yield Snapshot(connection)
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A write transaction: committed at the end of the block, or not at all. The caller holds the writer lock."""
        with self._writing, self._explained("written"), self._trusted() as connection:
            connection.execute("BEGIN IMMEDIATE")
            changes = connection.total_changes
            try:
                writer = Writer(connection)
                yield writer
                changed = connection.total_changes > changes  # what changes nothing is no commit
                if changed:
                    connection.execute("UPDATE state SET generation = generation + 1")
                    seal_state(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.rollback()
            if changed:
                self._witness.saw(writer.identity, writer.generation + 1)

    def check(self, pause: Callable[[], None] = lambda: None) -> None:
        """Read all of the latest commit and compare it with what was written; ``pause`` is called now and then, for who
        has better things to do. Raises :class:`DamagedError`."""
        with self._explained("read"):
            self._notice()
            with closing(self._connect()) as connection:  # a new one: others have pages of it in memory
                check_whole(connection, pause)

    def look(self) -> None:
        """Cheap: whether it is still there and known to be right. Raises :class:`DamagedError`."""
        with self._explained("read"):
            self._notice()

    def refuse(self, damage: str) -> None:
        """Another process found it damaged: ``damage`` is what it said."""
        self.damage = damage

    def close(self) -> None:
        """Close the connections: those that are idle now, the others after their use."""
        self._closed = True
        self._drop_idle()

    def _open(self) -> None:
        known = self._witness.known()  # before the state: who writes meanwhile is ahead of it, never behind
        self._inode, self.damage = _inode(self.file), None
        if known or self._witness.has_wal():  # there was a catalog, so it is not to be made
            if not self._inode:
                self._refuse("is gone")
            if not self.file.stat().st_size:
                self._refuse("is empty")
        is_new = not self._inode
        with self._explained("opened as an index"), self._borrowed() as connection:
            if is_new:
                with suppress(OSError):  # some file systems cannot; SQLite, which does not even try, takes that too
                    sync_folder(self.folder)  # or the file itself would be gone when the machine stops
            self._check_opening(connection, known)
        self._inode = _inode(self.file)

    def _check_opening(self, connection: sqlite3.Connection, known: tuple[str, int] | None) -> None:
        check_version(connection, self.file)
        generation, _, self._identity, _ = read_state(connection)
        if known and known[0] != self._identity:
            raise Mismatch("it, or what is beside it, is of another index")
        if known and known[1] > generation:
            raise Mismatch(f"its last commits are missing: it is at {generation}, and was at {known[1]}")
        if self.file.stat().st_size <= CHECKED_BYTES:
            check_whole(connection)
        if not known:
            self._witness.saw(self._identity, generation)

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        inode = self._inode
        try:
            yield connection
        finally:
            if self._closed or inode != self._inode:
                connection.close()
            else:
                self._idle.put((inode, connection))

    def _connection(self) -> sqlite3.Connection:
        while True:
            try:
                inode, connection = self._idle.get_nowait()
            except queue.Empty:
                return self._connect()
            if inode == self._inode:
                return connection
            connection.close()

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.get_nowait()[1].close()
            except queue.Empty:
                return

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            prepare(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _trusted(self) -> Iterator[sqlite3.Connection]:
        """A connection to what is in the catalog's place now. Raises :class:`DamagedError` if that is known to be damaged."""
        self._notice()
        with self._borrowed() as connection:
            yield connection

    def _notice(self) -> None:
        inode = _inode(self.file)
        if inode != self._inode:
            with self._opening:
                if inode != self._inode:
                    self._open_again(inode)
        elif self.damage and self._was_restored():
            self.damage = None
        if self.damage:
            raise DamagedError(self.damage)

    def _open_again(self, inode: int) -> None:
        try:
            if not inode:
                self._refuse("is gone")
            self._open()
        except CatalogError:
            self._inode, self.damage = _UNKNOWN, None  # whatever comes in its place is looked at from the start
            raise

    def _was_restored(self) -> bool:
        """Whether the file's content is of another history now."""
        try:
            with self._borrowed() as connection:
                identity = read_state(connection)[2]
        except (sqlite3.Error, Mismatch):
            return False
        restored, self._identity = identity != self._identity, identity
        return restored

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """What SQLite says of the file or the disk, as an error that says what to do."""
        try:
            yield
        except Mismatch as error:
            self._refuse(f"is damaged: {error}", error)
        except UnicodeDecodeError as error:  # sqlite3's, of a message that quotes what is damaged
            self._refuse(f"cannot be {what}: malformed", error)
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError):
            raise  # a fault of this program, not of the file
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.IntegrityError) and not self._is_damaged():
                raise
            if tells_damage(error):
                self._refuse(f"cannot be {what}: {error}", error)
            kind = FullError if tells_full(error) else CatalogError
            raise kind(f"{self.file} cannot be {what} ({error}); {advice_on(self.file, error)}") from error

    def _is_damaged(self) -> bool:
        """Whether a rule that the program keeps is broken by what the file holds."""
        try:
            with self._borrowed() as connection:
                check_schema(connection)
                check_whole(connection)
        except (sqlite3.Error, Mismatch):
            return True
        return False

    def _refuse(self, what: str, cause: Exception | None = None) -> NoReturn:
        self.damage = f"{self.file} {what}; {advice(self.folder)}"
        raise DamagedError(self.damage) from cause


_FIELDS = ", ".join(COLUMNS)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)


def _row(document: Document) -> tuple[str | None, ...]:
    metadata = json.dumps(dict(document.metadata), ensure_ascii=False)
    plain = (document.title, document.text, document.uri, document.date, metadata, document.media_type)
    return (*plain, json.dumps(document.pages), json.dumps(document.headings))


def _inode(file: Path) -> int:
    """Which file it is; 0 if there is none."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0
