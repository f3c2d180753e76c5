"""Backup and restore: one file that holds one commit, whole; a restored index begins another history."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import indexer.backup
from indexer.backup import ASIDE, STAGING, BackupError, backup, restore
from indexer.catalog import CATALOG_FILE
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.ingest import put, remove
from indexer.lock import LockedError
from indexer.schema import CatalogError, DamagedError, read_state
from indexer.search import Query, search

HERON = "The heron stands in the shallow water and waits."


def first(collection: Collection, question: str) -> str | None:
    """The id of the document that answers best."""
    results = search(collection, Query(question, limit=1)).results
    return results[0].passage.document.id if results else None


def content(folder: Path) -> list[tuple[str, str]]:
    with Collection(folder) as collection, collection.catalog.read() as snapshot:
        return [(one, getattr(snapshot.document(one), "text", "")) for one in snapshot.document_ids()]


@pytest.fixture
def saved(collection: Collection, tmp_path: Path) -> Path:
    """A backup of a heron alone; the collection has changed since."""
    put(collection, Document("heron", "", HERON))
    backup(collection.catalog, tmp_path / "saved")
    put(collection, Document("otter", "", "The otter swims."))
    remove(collection, "heron")
    return tmp_path / "saved"


def test_a_backup_is_one_file_that_comes_back_as_an_index(collection: Collection, tmp_path: Path, encoder: Encoder) -> None:
    put(collection, Document("heron", "Birds", HERON, date="2020-01-02", metadata={"a": [1, "é"]}))
    made = backup(collection.catalog, tmp_path / "saved")
    assert (made.generation, made.counts.documents, made.size) == (1, 1, (tmp_path / "saved").stat().st_size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "saved"]
    (tmp_path / "saved").chmod(0o400)
    done = restore(tmp_path / "saved", tmp_path / "new")
    assert (done.counts, done.aside) == (made.counts, None)
    with Collection(tmp_path / "new", encoder=encoder) as restored, restored.catalog.read() as snapshot:
        with collection.catalog.read() as before:
            assert snapshot.document("heron") == before.document("heron")
            assert snapshot.identity != before.identity
            assert snapshot.generation > before.generation
        assert (
            search(restored, Query("Who waits?")).results[0].score == search(collection, Query("Who waits?")).results[0].score
        )


def test_a_backup_while_others_write_is_one_commit(collection: Collection, tmp_path: Path) -> None:
    """Every commit writes its number into both documents."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with collection.catalog.write() as writer:
                for name in "ab":
                    writer.put_document(Document(name, "", f"{number}" * 2000), None, [])

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(5):
            backup(collection.catalog, tmp_path / "saved", force=True)
            shutil.rmtree(tmp_path / "new", ignore_errors=True)
            restore(tmp_path / "saved", tmp_path / "new")
            assert len({text for _, text in content(tmp_path / "new")}) <= 1
        assert len(content(tmp_path / "new")) == 2, "something was written while it was saved"
    finally:
        stop.set()
        writing.join()


def test_a_file_that_is_there_is_replaced_only_by_force(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "saved").write_text("mine", encoding="utf-8")
    with pytest.raises(BackupError, match=r"is there already: .*--force"):
        backup(collection.catalog, tmp_path / "saved")
    assert (tmp_path / "saved").read_text(encoding="utf-8") == "mine"
    backup(collection.catalog, tmp_path / "saved", force=True)
    assert (tmp_path / "saved").read_bytes().startswith(b"SQLite")


@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite-wal", "words.json"])
def test_a_backup_does_not_take_the_place_of_the_index_itself(collection: Collection, tmp_path: Path, name: str) -> None:
    put(collection, Document("heron", "", HERON))
    (tmp_path / "link").symlink_to(collection.folder)
    for folder in (collection.folder, tmp_path / "link"):
        with pytest.raises(BackupError, match="is a file of an index itself: name another"):
            backup(collection.catalog, folder / name, force=True)
    put(collection, Document("eel", "", "The eel hides under stones."))
    assert first(collection, "Who hides under stones?") == "eel"


def test_a_folder_of_other_files_is_made_no_index(saved: Path, tmp_path: Path) -> None:
    """What restoring deletes, as derived from an index that was there, could be theirs."""
    theirs = tmp_path / "theirs"
    for name in ("words-of-the-week", "words-2024"):
        (theirs / name).mkdir(parents=True)
    (theirs / "words-2024" / "January.txt").write_text("mine", encoding="utf-8")
    for force in (False, True):
        with pytest.raises(CatalogError, match="holds other files and no index; choose a new or empty folder"):
            restore(saved, theirs, force=force)
    assert sorted(path.name for path in theirs.rglob("*")) == ["January.txt", "words-2024", "words-of-the-week"]


def test_what_cannot_be_written_is_told_and_leaves_nothing(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupError, match="there is no folder"):
        backup(collection.catalog, tmp_path / "nowhere" / "saved")

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexer.backup, "sync_file", full)
    with pytest.raises(BackupError, match=r"No space left on device.*make room"):
        backup(collection.catalog, tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_damaged_index_makes_no_backup(collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.catalog.CHECKED_BYTES", 0)
    put(collection, Document("heron", "", HERON))
    collection.close()
    damage(collection.folder, b"The heron")
    with Collection(collection.folder) as damaged, pytest.raises(BackupError, match=r"is damaged .*nothing was saved"):
        backup(damaged.catalog, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def damage(folder: Path, text: bytes) -> None:
    file = folder / CATALOG_FILE
    data = bytearray(file.read_bytes())
    data[data.index(text)] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "flipped", "no catalog", "later", "empty"])
def test_a_backup_that_is_not_right_changes_nothing(saved: Path, collection: Collection, how: str) -> None:
    data = bytearray(saved.read_bytes())
    if how == "cut":
        saved.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        data[data.index(b"The heron")] ^= 1
        saved.write_bytes(data)
    elif how == "no catalog":
        saved.write_text("not a backup " * 100, encoding="utf-8")
    elif how == "empty":
        saved.write_bytes(b"")
    else:
        with sqlite3.connect(saved) as connection:
            connection.execute("PRAGMA user_version = 9")
        connection.close()
    with pytest.raises(BackupError, match=rf"{saved} cannot be restored, and nothing was changed: "):
        restore(saved, collection.folder, force=True)
    assert [one for one, _ in content(collection.folder)] == ["otter"]
    assert not (collection.folder / STAGING).exists()


def test_who_has_the_index_open_goes_on_with_the_restored_one(saved: Path, collection: Collection) -> None:
    with collection.lock.held(1):
        collection.fold_words()
    assert first(collection, "Who swims?") == "otter"
    with collection.catalog.read() as snapshot:
        before = snapshot.generation
    done = restore(saved, collection.folder, force=True)
    assert done.generation == before + 1
    assert not [path.name for path in collection.folder.iterdir() if path.name.startswith(("words", ASIDE))]
    assert first(collection, "Who stands in the water?") == "heron"
    assert search(collection, Query('"otter swims"')).results == ()
    put(collection, Document("eel", "", "The eel hides under stones."))
    assert first(collection, "Who hides under stones?") == "eel"
    assert [one for one, _ in content(collection.folder)] == ["eel", "heron"]


@pytest.mark.parametrize("how", ["header", "page", "cut", "gone"])
def test_who_has_a_damaged_index_open_goes_on_with_the_restored_one(
    saved: Path, collection: Collection, how: str, encoder: Encoder
) -> None:
    """The file is replaced where SQLite cannot write into it, and kept for who can save some of it."""
    collection.close()
    with Collection(collection.folder, encoder=encoder) as opened:
        assert first(opened, "Who swims?") == "otter"
        file = collection.folder / CATALOG_FILE
        data = file.read_bytes()
        wreck = {"header": b"\xff" * 100 + data[100:], "page": data[:4096] + b"\xff" * (len(data) - 4096), "cut": data[:9000]}
        if how == "gone":
            file.unlink()
            with pytest.raises(DamagedError, match="is gone"):
                first(opened, "Who swims?")
        else:
            file.write_bytes(wreck[how])
        done = restore(saved, collection.folder, force=True)
        assert (done.aside is None) == (how == "gone")
        if done.aside:
            assert (done.aside / CATALOG_FILE).read_bytes()[:9000] == wreck[how][:9000]
        assert first(opened, "Who stands in the water?") == "heron"
        put(opened, Document("eel", "", "The eel hides under stones."))
    assert [one for one, _ in content(collection.folder)] == ["eel", "heron"]


def test_a_restored_catalog_that_comes_to_a_generation_again_is_counted_again(collection: Collection, tmp_path: Path) -> None:
    """Of one that cannot be read the generation is not known, so that it cannot be passed over."""
    put(collection, Document("heron", "", HERON))
    backup(collection.catalog, tmp_path / "saved")
    put(collection, Document("otter", "", "The otter swims."))
    collection.close()
    with Collection(collection.folder) as opened:
        with opened.catalog.read() as snapshot:
            before = snapshot.generation
            assert opened.counts(snapshot).documents == 2
        file = collection.folder / CATALOG_FILE
        file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])
        assert restore(tmp_path / "saved", collection.folder, force=True).generation == before
        with opened.catalog.read() as snapshot:
            assert opened.counts(snapshot).documents == 1


def test_damage_that_was_seen_is_forgotten_when_it_is_restored(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    monkeypatch.setattr("indexer.catalog.CHECKED_BYTES", 0)
    collection.close()
    damage(collection.folder, b"The otter")
    with Collection(collection.folder, encoder=encoder) as opened:
        for _ in range(2):
            with pytest.raises(DamagedError):
                opened.catalog.check()
        restore(saved, collection.folder, force=True)
        assert first(opened, "Who stands in the water?") == "heron"


def test_damage_of_a_restored_index_is_remembered_too(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    """Restored through SQLite, so the file is the same: what was met in it since is no damage of the one before."""
    monkeypatch.setattr("indexer.catalog.CHECKED_BYTES", 0)
    with Collection(collection.folder, encoder=encoder) as opened:
        restore(saved, collection.folder, force=True)
        with sqlite3.connect(collection.folder / CATALOG_FILE) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        damage(collection.folder, b"The heron")
        with pytest.raises(DamagedError):
            opened.catalog.check()
        for _ in range(2):
            with pytest.raises(DamagedError):
                opened.catalog.look()
        restore(saved, collection.folder, force=True)
        assert first(opened, "Who stands in the water?") == "heron"


def test_who_opens_an_index_while_it_is_restored_gets_the_restored_one(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness was of the one before, the state is of this one: no damage."""
    restored: list[object] = []

    def late(connection: sqlite3.Connection) -> tuple[int, str | None, str, int]:
        if not restored:
            restored.append(True)
            restored.append(restore(saved, collection.folder, force=True))
        return read_state(connection)

    monkeypatch.setattr("indexer.catalog.read_state", late)
    assert content(collection.folder) == [("heron", HERON)]
    assert len(restored) == 2


@pytest.mark.parametrize("how", ["older", "another's"])
def test_a_catalog_that_was_replaced_by_hand_is_refused_with_the_command_that_keeps_it(
    saved: Path, collection: Collection, tmp_path: Path, how: str
) -> None:
    folder = collection.folder
    put(collection, Document("heron", "", HERON))
    collection.close()
    if how == "older":
        older = shutil.copytree(folder, tmp_path / "older")
        with Collection(folder) as later:
            put(later, Document("eel", "", "The eel hides under stones."))
        saved = older / CATALOG_FILE
    shutil.copyfile(saved, folder / CATALOG_FILE)
    command = rf"passages restore {folder / CATALOG_FILE} --index {folder} --force\); bring back a backup"
    with pytest.raises(DamagedError, match=command):
        Collection(folder)
    restore(folder / CATALOG_FILE, folder, force=True)
    assert ("heron", HERON) in content(folder)
    assert "eel" not in dict(content(folder))


def test_an_index_is_replaced_only_by_force_and_not_while_another_writes(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupError, match=r"there is an index in .*--force"):
        restore(saved, collection.folder)
    monkeypatch.setattr(indexer.backup, "_PATIENCE_S", 0.1)
    with collection.lock.held(0), pytest.raises(LockedError, match="is writing this index"):
        restore(saved, collection.folder, force=True)
    assert [one for one, _ in content(collection.folder)] == ["otter"]


def test_files_derived_from_the_catalog_before_are_not_used_even_if_they_are_left(saved: Path, collection: Collection) -> None:
    with collection.lock.held(1):
        collection.fold_words()
    kept = collection.folder.with_name("kept")
    shutil.copytree(collection.folder, kept)
    restore(saved, collection.folder, force=True)
    for path in kept.glob("words*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, collection.folder / path.name)
    with Collection(collection.folder) as opened, opened.view() as view:
        assert (view.words.disk, view.words.passages) == (None, 1)


STOPPED = """
import os, sys
from pathlib import Path
import indexer.backup as module

steps = {
    "aside": (module, "_set_aside"), "put": (Path, "replace"), "forgot": (module.Witness, "forget"),
    "committed": (module, "check_whole"), "seen": (module.Witness, "saw"), "derived": (module, "_remove_derived"),
}

def watched(name, before, after):
    where, what = steps[name]
    real = getattr(where, what)
    def step(*args, **named):
        before()
        done = real(*args, **named)
        after()
        return done
    setattr(where, what, step)

def read():  # as any command does that only reads
    module.Catalog(Path(sys.argv[2])).close()

if sys.argv[5] == "read":
    watched("forgot", lambda: None, read)
stop = lambda: os._exit(9)
watched(sys.argv[3], *((stop, lambda: None) if sys.argv[4] == "before" else (lambda: None, stop)))
module.restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""
STEPS = [(step, when) for step in ("aside", "forgot", "seen", "derived") for when in ("before", "after")]


def stopped_restore(saved: Path, folder: Path, step: str, when: str, *, beside: str = "") -> None:
    """Kills a restoring at a step; ``beside`` "read": another opens the index as soon as its witness is gone."""
    command = [sys.executable, "-c", STOPPED, str(saved), str(folder), step, when, beside]
    assert subprocess.run(command, timeout=60, check=False).returncode == 9


@pytest.mark.parametrize(("step", "when"), [*STEPS, ("committed", "before")])
def test_a_restoring_that_was_killed_leaves_the_old_index_or_the_new_one(
    saved: Path, collection: Collection, step: str, when: str
) -> None:
    """Also for who reads meanwhile, and for who writes then."""
    stopped_restore(saved, collection.folder, step, when, beside="read")
    assert first(collection, "Who swims or stands in the water?") in ("otter", "heron")
    left = [one for one, _ in content(collection.folder)]
    assert left == (["otter"] if step in ("aside", "forgot") else ["heron"])
    put(collection, Document("eel", "", "The eel hides under stones."))
    assert [one for one, _ in content(collection.folder)] == ["eel", *left]
    restore(saved, collection.folder, force=True)
    assert [one for one, _ in content(collection.folder)] == ["heron"]


@pytest.mark.parametrize(("step", "when"), [*STEPS, ("put", "before"), ("put", "after")])
def test_a_restoring_over_a_damaged_index_that_was_killed_leaves_that_or_the_new_one(
    saved: Path, collection: Collection, step: str, when: str
) -> None:
    collection.close()
    file = collection.folder / CATALOG_FILE
    file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])
    stopped_restore(saved, collection.folder, step, when)
    if (step, when) == ("put", "after") or step in ("seen", "derived"):
        assert content(collection.folder) == [("heron", HERON)]
    else:
        with pytest.raises(DamagedError):
            content(collection.folder)
    restore(saved, collection.folder, force=True)
    assert [one for one, _ in content(collection.folder)] == ["heron"]


def test_what_was_set_aside_is_not_written_into(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    """The restored catalog was written into the file, and is not what was written: the disk fails. What was there is kept."""
    monkeypatch.setattr("indexer.catalog.CHECKED_BYTES", 0)
    collection.close()
    damage(collection.folder, b"The otter")
    before = (collection.folder / CATALOG_FILE).read_bytes()

    def fails(_: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(indexer.backup, "check_whole", fails)
    done = restore(saved, collection.folder, force=True)
    assert done.aside
    assert (done.aside / CATALOG_FILE).read_bytes() == before
    assert content(collection.folder) == [("heron", HERON)]


def test_a_disk_that_is_full_is_told_and_leaves_the_index(
    saved: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(indexer.backup, "new_identity", full)
    with pytest.raises(BackupError, match=r"cannot be written \(database or disk is full\); mend that and restore again"):
        restore(saved, collection.folder, force=True)
    assert [one for one, _ in content(collection.folder)] == ["otter"]
    assert not list(collection.folder.glob("catalog.sqlite-*ed-*"))


def test_a_backup_of_an_earlier_format_is_brought_to_this_one(tmp_path: Path, encoder: Encoder) -> None:
    from tests.test_migration import TEXTS, unpacked

    old = unpacked(2, tmp_path / "old") / CATALOG_FILE
    before = old.read_bytes()
    restore(old, tmp_path / "new")
    assert dict(content(tmp_path / "new")) == TEXTS
    assert old.read_bytes() == before


def test_commits_beside_a_damaged_catalog_do_not_reach_the_restored_one(saved: Path, collection: Collection) -> None:
    """SQLite would take them for the new file's own."""
    put(collection, Document("eel", "", "The eel hides under stones."))
    killed = shutil.copytree(collection.folder, collection.folder.with_name("killed"))
    commits = (killed / "catalog.sqlite-wal").read_bytes()
    assert commits
    file = killed / CATALOG_FILE
    file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])
    done = restore(saved, killed, force=True)
    assert content(killed) == [("heron", HERON)]
    assert done.aside == killed / f"{ASIDE}-1"
    assert (done.aside / "catalog.sqlite-wal").read_bytes() == commits
