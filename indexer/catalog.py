"""The catalog: one SQLite file that is the only truth of a collection. Everything else is derived from it.

Invariants: a commit is one transaction, and raises ``generation`` by one; text, offsets and vectors cannot drift apart.
A passage's key is an integer that is never used again. Vectors are 16-bit floats, little-endian, of unit length; token codes
are bytes with their places as 16-bit numbers, terms 32-bit numbers, little-endian too.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from indexer.checksums import Mismatch
from indexer.errors import PassagesError
from indexer.faults import advice_on, tells_damage, tells_full, tells_readonly
from indexer.files import sync_folder
from indexer.hashes import content_hash, document_hash, passage_ids
from indexer.lock import WriterLock
from indexer.records import EncodedPassage, Keys, StoredPassage
from indexer.schema import (
    SCHEMA_VERSION,
    CatalogError,
    DamagedError,
    EarlierError,
    FullError,
    advice,
    check_schema,
    check_version,
    is_earlier,
    prepare,
    read_state,
    seal_state,
)
from indexer.scrub import check_whole
from indexer.snapshot import Snapshot
from indexer.witness import Witness
from indexer.writer import Writer

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
LONG_LOG = 32 << 20  # bytes of SQLite's -wal from where on it is worth waiting for readers to shorten it
_MIGRATION_S = 600.0  # for another process that brings a large one to this format

log = logging.getLogger(__name__)

_UNKNOWN = -1  # no file's inode


@dataclass
class _History:
    """The identity of what is being read, as soon as it is known."""

    identity: str = ""


class Catalog:
    """The SQLite file of an index folder. Safe to share between threads; one process at a time may write.

    What is not what was written is refused: every read and write raises :class:`DamagedError` from then on, until another
    catalog is in its place, which is noticed.
    """

    def __init__(self, folder: Path, *, migrate: bool = True) -> None:
        """Opens it, or makes it. Raises :class:`CatalogError`, and :class:`indexer.lock.LockedError` if it is of an earlier
        release and another process writes it; without ``migrate`` such a one is left as it is: :class:`EarlierError`."""
        self.folder, self.file, self._migrate = folder, folder / CATALOG_FILE, migrate
        self.damage: str | None = None  # what of it is not what was written, once that is known
        self._witness = Witness(folder)
        self._idle: queue.SimpleQueue[tuple[int, sqlite3.Connection]] = queue.SimpleQueue()
        self._writing, self._opening = threading.Lock(), threading.Lock()
        self._closed = False
        self._identity = ""  # of the commit that was read last
        self._damaged = ""  # of the one in which damage was met: another may be in its place by then
        self._inode = 0
        try:
            self._open()
        except PassagesError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """A snapshot of the latest commit."""
        with self._explained("read") as history, self._trusted() as connection:
            connection.execute("BEGIN")
            try:
                snapshot = Snapshot(connection)
                history.identity = snapshot.identity
                yield snapshot
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A write transaction: committed at the end of the block, or not at all. The caller holds the writer lock."""
        with self._writing, self._explained("written") as history, self._trusted(to_write=True) as connection:
            changes = connection.total_changes
            try:
                writer = Writer(connection)
                history.identity = writer.identity
                yield writer
                changed = connection.total_changes > changes  # what changes nothing is no commit
                if changed:
                    connection.execute("UPDATE state SET commits = commits + 1")
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
        with self._explained("read") as history:
            self._notice()
            with closing(self._connect()) as connection:  # a new one: others have pages of it in memory
                connection.execute("BEGIN")
                history.identity = read_state(connection)[2]
                check_whole(connection, pause)

    def look(self) -> None:
        """Cheap: whether it is still there and known to be right. Raises :class:`DamagedError`."""
        with self._explained("read"):
            self._notice()

    def shorten_log(self, at_least: int = LONG_LOG) -> None:
        """Bring SQLite's ``-wal`` back to nothing if it has ``at_least`` so many bytes: while somebody always reads, it never
        begins anew by itself. Readers are waited for, two seconds at most; if there are more, it is left for the next time."""
        if self._witness.wal_bytes() < at_least:
            return
        with self._explained("written"), closing(self._connect()) as connection:
            connection.execute("PRAGMA busy_timeout = 2000")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def refuse(self, damage: str) -> None:
        """Another process found it damaged: ``damage`` is what it said."""
        self._damaged, self.damage = self._identity, damage

    def close(self) -> None:
        """Close the connections: those that are idle now, the others after their use."""
        self._closed = True
        self._drop_idle()

    def _open(self) -> None:
        known = self._witness.known()
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
            self._check_opening(connection)
        self._inode = _inode(self.file)

    def _check_opening(self, connection: sqlite3.Connection) -> None:
        if is_earlier(connection):
            self._bring_on(connection)
        check_version(connection, self.file)
        self._identity = self._check_latest(connection)
        if self.file.stat().st_size <= CHECKED_BYTES:
            check_whole(connection)

    def _bring_on(self, connection: sqlite3.Connection) -> None:
        """To this release's format, which takes a while: others wait for the lock longer than SQLite waits for a commit."""
        if not self._migrate:
            raise EarlierError(f"{self.file} is of an earlier release; what opens it next brings it to this one's format")
        message = "%s is of an earlier release: it is brought to this one's format, about 10 seconds a gigabyte"
        log.warning(message, self.file)
        with WriterLock(self.folder).held(_MIGRATION_S):
            check_version(connection, self.file)
            generation, _, identity, _ = read_state(connection)
            self._witness.saw(identity, generation)

    def _check_latest(self, connection: sqlite3.Connection) -> str:
        """Compares what is there with the last commit that was made; its identity. The witness is read before the state: who
        writes meanwhile is ahead of it, never behind. Who restores meanwhile has another one, so then both are read again."""
        known = self._witness.known()
        while True:
            generation, _, identity, _ = read_state(connection)
            if not known or (known[0] == identity and known[1] <= generation):
                return identity
            if (again := self._witness.known()) == known:
                break
            known = again
        keep = f"if you want what is there now: passages restore {self.file} --index {self.folder} --force"
        if known[0] != identity:
            raise Mismatch(f"it, or what is beside it, is of another index ({keep})")
        raise Mismatch(f"its last commits are missing: it is at {generation}, and was at {known[1]} ({keep})")

    @contextmanager
    def _borrowed(self, *, to_write: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._writable() if to_write else self._connection()
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

    def _writable(self) -> sqlite3.Connection:
        """One in a write transaction.

        SQLite opens to read what it cannot open to write, without a word and for as long as the connection lives: some of those
        that wait may be of questions that came while the disk was read-only or failed. They are closed, all of them if all are
        such, since SQLite opens the memory that connections share only once, and perhaps to read, too."""
        for _ in range(self._idle.qsize()):
            connection = self._connection()
            try:
                _begin_to_write(connection)
            except sqlite3.OperationalError as error:
                if not tells_readonly(error):
                    raise
            else:
                return connection
        connection = self._connect()
        _begin_to_write(connection)
        return connection

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
    def _trusted(self, *, to_write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection to what is in the catalog's place now; ``to_write``, in a write transaction. Raises
        :class:`DamagedError` if that is known to be damaged."""
        self._notice()
        with self._borrowed(to_write=to_write) as connection:
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
        except PassagesError:
            self._inode, self.damage = _UNKNOWN, None  # whatever comes in its place is looked at from the start
            raise

    def _was_restored(self) -> bool:
        """Whether the file's content is of another history now."""
        try:
            with self._borrowed() as connection:
                identity = read_state(connection)[2]
        except (sqlite3.Error, Mismatch):
            return False
        return identity != self._damaged

    @contextmanager
    def _explained(self, what: str) -> Iterator[_History]:
        """What SQLite says of the file or the disk, as an error that says what to do. The block tells what it reads."""
        history = _History()
        try:
            yield history
        except Mismatch as error:
            self._refuse(f"is damaged: {error}", error, history)
        except UnicodeDecodeError as error:  # sqlite3's, of a message that quotes what is damaged
            self._refuse(f"cannot be {what}: malformed", error, history)
        except (sqlite3.InterfaceError, sqlite3.ProgrammingError):
            raise  # a fault of this program, not of the file
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.IntegrityError) and not self._is_damaged():
                raise
            if tells_damage(error):
                self._refuse(f"cannot be {what}: {error}", error, history)
            kind = FullError if tells_full(error) else CatalogError
            raise kind(f"{self.file} cannot be {what} ({error}); {advice_on(self.file, error)}") from error
        finally:
            self._identity = history.identity or self._identity

    def _is_damaged(self) -> bool:
        """Whether a rule that the program keeps is broken by what the file holds."""
        try:
            with self._borrowed() as connection:
                check_schema(connection)
                check_whole(connection)
        except (sqlite3.Error, Mismatch):
            return True
        return False

    def _refuse(self, what: str, cause: Exception | None = None, history: _History | None = None) -> NoReturn:
        self._damaged = (history and history.identity) or self._identity
        self.damage = f"{self.file} {what}; {advice(self.folder)}"
        raise DamagedError(self.damage) from cause


def _begin_to_write(connection: sqlite3.Connection) -> None:
    """Raises :class:`sqlite3.OperationalError`, also for one that was opened to read; it is closed then."""
    try:
        connection.execute("BEGIN IMMEDIATE")  # this fails if only the log is read-only; if the file is, that shows at a write
        connection.execute("UPDATE state SET commits = commits WHERE FALSE")
    except BaseException:
        connection.close()
        raise


def _inode(file: Path) -> int:
    """Which file it is; 0 if there is none."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0
