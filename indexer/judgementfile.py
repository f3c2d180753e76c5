"""The file of judged questions: beside the catalog and apart from it.

Nothing is derived from them and they are derived from nothing, so indexing again, another model and another splitter leave
them alone: each keeps its passage as it was shown (see :mod:`indexer.judged` for where that stands now). Invariants: what was
said is on the disk when :meth:`Judgements.say` returns; of one question and passage the last word counts, and "nothing here
answers" and "this answers" of one question end each other; what is deleted is overwritten; the file is bounded.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from indexer.checksums import checksum
from indexer.files import sync_folder
from indexer.judgements import Judgement, JudgementsError, asked, from_record
from indexer.schema import FullError

JUDGEMENTS_FILE = "judgements.sqlite"
MAX_JUDGEMENTS = 10_000
MAX_BYTES = 64 << 20
_FORMAT = 1
_PAGE_BYTES = 4096
_PATIENCE_S = 10.0  # for another process that writes one
_TABLE = """CREATE TABLE judgement (
    id TEXT PRIMARY KEY,
    asked TEXT NOT NULL,      -- of the question and its filter
    verdict TEXT NOT NULL,
    at TEXT NOT NULL,
    record TEXT NOT NULL,     -- all of it, as JSON
    checksum INTEGER NOT NULL -- of the record
) STRICT"""

_ENDS: Mapping[str, str] = {"answers": "nothing", "nothing": "answers"}


class Kept(NamedTuple):
    """What is kept, the latest first; ``damaged`` could not be read and are left out."""

    judgements: list[Judgement]
    damaged: int


class _DamagedError(JudgementsError):
    """The file is not what was written."""


class Judgements:
    """Those of one index folder. Safe to share between threads and processes; nothing is written before the first is said."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / JUDGEMENTS_FILE

    def read(self) -> Kept:
        """All of them. Raises :class:`JudgementsError`."""
        return self._read("SELECT record, checksum FROM judgement ORDER BY at DESC, id")

    def of(self, question: str, where: Mapping[str, Any]) -> Kept:
        """What was said of one question. Raises :class:`JudgementsError`."""
        query = "SELECT record, checksum FROM judgement WHERE asked = ? ORDER BY at DESC, id"
        return self._read(query, asked(question, where))

    def say(self, judgement: Judgement) -> Judgement:
        """Keep it as the last word, with the time of now. Raises :class:`JudgementsError`, :class:`FullError`."""
        said = replace(judgement, at=datetime.now(UTC).isoformat())
        with self._writing() as connection:
            _put(connection, said)
        return said

    def merge(self, judgements: Sequence[Judgement]) -> int:
        """Add what was said elsewhere or before; how many of it is new: neither it nor anything later was said here.
        Raises :class:`JudgementsError`, :class:`FullError`."""
        if not judgements:
            return 0
        with self._writing() as connection:
            added = 0
            for one in sorted(judgements, key=lambda one: one.at):
                if not _is_known(connection, one):
                    _put(connection, one)
                    added += 1
        return added

    def delete(self, judgement_id: str) -> bool:
        """Forget one; False if there is none of this id. Raises :class:`JudgementsError`."""
        return self._delete(" WHERE id = ?", judgement_id) > 0

    def delete_all(self) -> int:
        """Forget all, and how many there were. A damaged file goes, too. Raises :class:`JudgementsError`."""
        try:
            return self._delete("")
        except _DamagedError:
            with _told(self.file):
                for side in ("-journal", ""):
                    self.file.with_name(self.file.name + side).unlink(missing_ok=True)
                sync_folder(self.file.parent)
            return 0

    def _read(self, query: str, *values: str) -> Kept:
        if not self._is_there():
            return Kept([], 0)
        with _told(self.file), closing(_open(self.file)) as connection:
            is_made = _has_table(connection, self.file)  # not if who made it was killed before
            return _kept(connection.execute(query, values).fetchall()) if is_made else Kept([], 0)

    def _delete(self, condition: str, *values: str) -> int:
        if not self._is_there():
            return 0
        with self._writing() as connection:
            return connection.execute(f"DELETE FROM judgement{condition}", values).rowcount  # noqa: S608

    def _is_there(self) -> bool:
        with suppress(OSError):
            return self.file.stat().st_size > 0
        return False

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when the block is left."""
        with _told(self.file):
            _make(self.file)
            with closing(_open(self.file)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    if not _has_table(connection, self.file):
                        _make_table(connection)
                    yield connection
                    (count,) = connection.execute("SELECT count(*) FROM judgement").fetchone()
                    if count > MAX_JUDGEMENTS:
                        raise _full(self.file)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.rollback()


def carry(connection: sqlite3.Connection, judgements: Sequence[Judgement]) -> None:
    """Put them into a backup of the catalog, as a table of its own; none, no table."""
    if judgements:
        connection.execute("BEGIN")
        connection.execute(_TABLE)
        for one in judgements:
            _insert(connection, one)
        connection.execute("COMMIT")


def take_out(file: Path) -> list[Judgement]:
    """Those that a backup carries; the file is a catalog alone afterwards. What is damaged in it is told by who opens it."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(file, isolation_level=None)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'judgement'").fetchone():
            return []
        found = _kept(connection.execute("SELECT record, checksum FROM judgement").fetchall())
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("DROP TABLE judgement")
        return found.judgements
    return []


def _make(file: Path) -> None:
    """Readable by nobody else from its first byte on: a question says what a person thinks about."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(file.parent)


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_PATIENCE_S, isolation_level=None)
    try:
        # No -wal beside it: whoever copies the folder copies one file. EXTRA: a commit outlasts a power cut in this mode, too.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA max_page_count = {MAX_BYTES // _PAGE_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _has_table(connection: sqlite3.Connection, file: Path) -> bool:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _FORMAT):
        raise JudgementsError(f"{file} was written by a later release: upgrade passages")
    return bool(version)


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
    connection.execute("CREATE INDEX judgement_asked ON judgement (asked)")
    connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _put(connection: sqlite3.Connection, one: Judgement) -> None:
    if other := _ENDS.get(one.verdict):
        question = asked(one.question, one.filter)
        connection.execute("DELETE FROM judgement WHERE asked = ? AND verdict = ?", (question, other))
    _insert(connection, one)


def _insert(connection: sqlite3.Connection, one: Judgement) -> None:
    record = json.dumps(one.record(), ensure_ascii=True)
    row = (one.id, asked(one.question, one.filter), one.verdict, one.at, record, checksum(record))
    connection.execute("INSERT OR REPLACE INTO judgement VALUES (?, ?, ?, ?, ?, ?)", row)


def _is_known(connection: sqlite3.Connection, one: Judgement) -> bool:
    query = "SELECT 1 FROM judgement WHERE (at >= ? AND id = ?) OR (at > ? AND asked = ? AND verdict = ?)"
    values = (one.at, one.id, one.at, asked(one.question, one.filter), _ENDS.get(one.verdict))
    return connection.execute(query, values).fetchone() is not None


def _kept(rows: Sequence[tuple[str, int]]) -> Kept:
    found = []
    for record, known in rows:
        with suppress(JudgementsError, ValueError):
            if checksum(record) == known:
                found.append(from_record(json.loads(record)))
    return Kept(found, len(rows) - len(found))


def _full(file: Path) -> FullError:
    return FullError(
        f"{file} is full ({MAX_JUDGEMENTS:,} judgements or {MAX_BYTES >> 20} MiB): save them with passages feedback export, "
        "then delete some with passages feedback delete"
    )


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """What SQLite and the system say, in words for a person."""
    try:
        yield
    except OSError as error:
        raise JudgementsError(f"{file} cannot be written: {error.strerror}; mend that and try again") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise _full(file) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise _DamagedError(
                f"{file} is damaged ({error}): move it away, then bring judgements back with passages restore of a backup or "
                "passages feedback import of an export; searching needs none of it"
            ) from error
        raise JudgementsError(f"{file} cannot be used: {error}; mend that, or try again in a moment") from error
