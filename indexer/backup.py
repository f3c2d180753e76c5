"""A catalog saved to one file, and brought back from it.

Everything that cannot be derived is in the catalog, so its copy is the backup; judged questions travel in it as a table of
their own, and are added to those that are there. Invariants: a backup is one commit, was read
whole and found right, and has its name only then; an index whose restoring was interrupted is the old one or the new one,
whole; a restored catalog begins another history, so nothing derived from the old one is used with it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from indexer.catalog import CATALOG_FILE, Catalog
from indexer.checksums import Mismatch
from indexer.errors import PassagesError
from indexer.files import file_hash, fresh_folder, remove_folders, sync_file, sync_folder
from indexer.judgementfile import Judgements, carry, take_out
from indexer.judgements import Judgement
from indexer.lock import WriterLock
from indexer.place import check_place, is_ours
from indexer.records import Counts
from indexer.schema import CatalogError, new_identity, prepare, read_state
from indexer.scrub import check_whole
from indexer.vectorfiles import remove_files
from indexer.witness import Witness
from indexer.words import WORDS_FILE

STAGING = "catalog.sqlite-restoring"  # a folder, of names that an index may hold
ASIDE = "catalog.sqlite-damaged"  # folders of this name with a number
_PATIENCE_S = 10.0  # for another writer
_SIDES = ("-wal", "-shm", "-journal")


class BackupError(PassagesError):
    """Nothing was saved or brought back; the message says why and what to do."""


class Backup(NamedTuple):
    """What a backup holds. ``sha256`` is of the file, for who wants to compare copies of it."""

    file: Path
    generation: int
    counts: Counts
    size: int
    sha256: str
    judgements: int


class Restored(NamedTuple):
    """What an index holds now. ``aside`` is the folder of the damaged catalog that was in the way, if one was; ``judgements``
    is how many judged questions came with the backup."""

    generation: int
    counts: Counts
    aside: Path | None
    judgements: int = 0


def backup(catalog: Catalog, file: Path, *, force: bool = False) -> Backup:
    """Save the latest commit to ``file`` while others read and write. Raises :class:`BackupError`, :class:`CatalogError`."""
    if is_ours(file) and (_is_in(file, catalog.folder) or (file.parent / "writer.lock").exists()):
        raise BackupError(f"{file} is a file of an index itself: name another, in another folder")
    if file.exists() and not force:
        raise BackupError(f"{file} is there already: name another file, or replace it with --force")
    if not file.parent.is_dir():
        raise BackupError(f"there is no folder {file.parent}: make it, or name another file")
    partial = file.with_name(file.name + ".partial")
    try:
        _copy(catalog, partial)
        made = _checked_backup(partial, file, Judgements(catalog.folder).read().judgements)
        sync_file(partial)
        partial.replace(file)
        sync_folder(file.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(
            f"{file} cannot be written ({_reason(error)}); nothing was saved: make room, or name another file"
        ) from error
    finally:
        _remove(partial)
    return made


def restore(file: Path, folder: Path, *, force: bool = False) -> Restored:
    """Bring the backup ``file`` back as the index of ``folder``, for those too who have it open. What is there is replaced
    only by ``force``. Raises :class:`BackupError`, :class:`CatalogError` and :class:`indexer.lock.LockedError`."""
    if not file.is_file():
        raise BackupError(f"there is no file {file}: name one that passages backup has written")
    is_there = any((folder / name).exists() for name in (CATALOG_FILE, CATALOG_FILE + "-wal"))
    if is_there and not force:
        raise BackupError(f"there is an index in {folder}: replace it with --force, or choose another folder with --index")
    try:
        if not is_there:
            check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with WriterLock(folder).held(_PATIENCE_S), _staged(file, folder) as (staged, said):
            done = _restored(staged, folder)
            Judgements(folder).merge(said)
            return done._replace(judgements=len(said))
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"the index in {folder} cannot be written ({_reason(error)}); mend that and restore again") from error


def _copy(catalog: Catalog, partial: Path) -> None:
    _remove(partial)
    with catalog.read() as snapshot, closing(sqlite3.connect(partial, isolation_level=None)) as target:
        snapshot.copy_to(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, also where nothing can be written beside it


def _checked_backup(partial: Path, file: Path, judgements: Sequence[Judgement]) -> Backup:
    with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        prepare(connection)
        try:
            check_whole(connection)
        except (Mismatch, sqlite3.DatabaseError) as error:
            raise BackupError(
                f"the index is damaged ({error}) and a copy of it would be too; nothing was saved: bring an earlier backup "
                f"back, or see what can still be saved: passages doctor"
            ) from error
        generation, counts = read_state(connection)[0], _counts(connection)
        carry(connection, judgements)
    return Backup(file, generation, counts, partial.stat().st_size, file_hash(partial), len(judgements))


@contextmanager
def _staged(file: Path, folder: Path) -> Iterator[tuple[Path, list[Judgement]]]:
    """A copy of the backup's catalog in a folder of its own within the index, of this format and checked whole, and the
    judgements that it carried."""
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        for side in ("", "-wal"):  # a catalog that was copied by hand may have commits beside it
            with suppress(FileNotFoundError):
                shutil.copyfile(file.with_name(file.name + side), staging / (CATALOG_FILE + side))
        said = take_out(staging / CATALOG_FILE)
        if not _is_made(staging / CATALOG_FILE):
            raise BackupError(f"{file} cannot be restored, and nothing was changed: it holds no index")
        try:
            catalog = Catalog(staging)
            catalog.check()
            catalog.close()
        except CatalogError as error:
            raise BackupError(f"{file} cannot be restored, and nothing was changed: {_of(error, file, staging)}") from error
        yield staging / CATALOG_FILE, said
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _restored(staged: Path, folder: Path) -> Restored:
    live = folder / CATALOG_FILE
    aside = _set_aside(live)
    try:
        after = _generation(live)
        if aside and after is not None:
            _part(aside)
        identity, generation, counts = _begun(staged, after or 0)
    except BaseException:  # nothing was changed
        if aside:
            shutil.rmtree(aside, ignore_errors=True)
        raise
    Witness(folder).forget()  # before: a catalog without one is taken as it is
    through = after is not None and _through(staged, live)
    if not through:
        _instead(staged, live)
    if through and aside:  # nothing of it was damaged beyond what SQLite replaces
        shutil.rmtree(aside)
        aside = None
    sync_folder(folder)
    Witness(folder).saw(identity, generation)
    _remove_derived(folder)
    return Restored(generation, counts, aside)


def _begun(staged: Path, after: int) -> tuple[str, int, Counts]:
    """Begins another history in the staged catalog, one file from then on: its identity, generation and counts."""
    with closing(sqlite3.connect(staged, isolation_level=None)) as source:
        prepare(source)
        source.execute("BEGIN")
        generation = max(read_state(source)[0], after) + 1
        new_identity(source, generation)
        identity = read_state(source)[2]
        source.execute("COMMIT")
        source.execute("PRAGMA journal_mode = DELETE")
        return identity, generation, _counts(source)


def _is_made(file: Path) -> bool:
    """Whether there is anything in it; what is no catalog at all is told by who opens it."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return True


def _through(staged: Path, live: Path) -> bool:
    """Whether the catalog could be written, as one commit, into the file that is there: who has it open goes on with it."""
    try:
        with (
            closing(sqlite3.connect(staged)) as source,
            closing(sqlite3.connect(live, timeout=30, isolation_level=None)) as target,
        ):
            target.execute("PRAGMA synchronous = FULL")
            source.backup(target)
            prepare(target)
            check_whole(target)
    except (sqlite3.DatabaseError, Mismatch):
        return False
    return True


def _set_aside(live: Path) -> Path | None:
    """A folder that holds what is there, before anything opens it: who closes a catalog last may delete its ``-wal``."""
    there = [live.with_name(CATALOG_FILE + side) for side in ("-wal", "-journal", "")]
    if not any(file.exists() and file.stat().st_size for file in there):
        return None
    aside = fresh_folder(live.parent, ASIDE)
    # In this order: if a reader that ends moves the -wal into the catalog meanwhile, the copy of it does so once more.
    for file in there:
        with suppress(FileNotFoundError):
            _set_one_aside(file, aside / file.name, may_link=file == live)
    sync_folder(aside)
    return aside


def _set_one_aside(file: Path, place: Path, *, may_link: bool) -> None:
    if may_link:
        try:
            os.link(file, place)
        except OSError:  # a file system without links
            may_link = False
    if not may_link:
        shutil.copyfile(file, place)
        sync_file(place)


def _part(aside: Path) -> None:
    """A copy takes the link's place: what is written into the live file from now on is not written into it."""
    linked = aside / CATALOG_FILE
    copied = linked.with_name(CATALOG_FILE + ".new")
    shutil.copyfile(linked, copied)
    sync_file(copied)
    copied.replace(linked)
    sync_folder(aside)


def _instead(staged: Path, live: Path) -> None:
    """Puts the catalog in the place of one that SQLite cannot write into, or of none."""
    sync_file(staged)
    for side in _SIDES:  # before the new one comes: commits beside a catalog are taken for its own
        live.with_name(CATALOG_FILE + side).unlink(missing_ok=True)
    sync_folder(live.parent)
    staged.replace(live)


def _generation(live: Path) -> int | None:
    """Of the catalog that is there, so that the restored one comes after it; None if there is none that can be read."""
    if not live.exists():
        return None
    try:
        with closing(sqlite3.connect(live, timeout=30, isolation_level=None)) as connection:
            prepare(connection)
            return read_state(connection)[0]
    except (sqlite3.DatabaseError, Mismatch):
        return None


def _counts(connection: sqlite3.Connection) -> Counts:
    from indexer.snapshot import Snapshot

    return Snapshot(connection).counts()


def _remove_derived(folder: Path) -> None:
    (folder / WORDS_FILE).unlink(missing_ok=True)
    remove_folders(folder, "words")
    remove_files(folder)


def _of(error: CatalogError, file: Path, staging: Path) -> str:
    """What is wrong with the backup, in its own name and without the advice to restore it."""
    return str(error).split("; bring back", 1)[0].replace(str(staging / CATALOG_FILE), str(file))


def _is_in(file: Path, folder: Path) -> bool:
    return file.parent.resolve() == folder.resolve()


def _reason(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _remove(partial: Path) -> None:
    for side in ("", *_SIDES):
        partial.with_name(partial.name + side).unlink(missing_ok=True)
