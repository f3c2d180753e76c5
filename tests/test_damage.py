"""A catalog that is not what was written is refused, with the command that restores a backup: whatever was done to its file,
an answer is the right one, or an error that says so."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import indexer.catalog
from indexer.catalog import CATALOG_FILE
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.ingest import Ingest, put
from indexer.schema import CatalogError, DamagedError
from indexer.search import Query, search
from indexer.witness import LATEST_FILE, Witness

FLIPS = 200
WAL = "catalog.sqlite-wal"
QUERIES = [
    Query("Which crane lifts the heaviest load?", limit=5),
    Query('"harbour 7"', limit=5),
    Query("Who drains the marsh?", limit=20, filter={"kind": "even"}),
    Query("harbour", limit=5, group="document"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of 40 documents, closed."""
    folder = tmp_path_factory.mktemp("damage") / "index"
    with Collection(folder, create=True, encoder=encoder) as collection, collection.lock.held(0), Ingest(collection) as ingest:
        for number in range(40):
            text = f"The cranes of harbour {number} lift {number * 7} tons.\n\nWho crosses marsh {number} needs a guide."
            kind = "odd" if number % 2 else "even"
            ingest.document(
                Document(f"d{number}", f"Harbour {number}", text, date=f"2021-01-{number % 28 + 1:02}", metadata={"kind": kind})
            )
        ingest.then(lambda writer: writer.put_source("/a.txt", "a", "stamp", "hash", [("line 1", "bad")]))
        ingest.flush()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, whole: Path, encoder: Encoder) -> Path:
    """The same with two more documents in its ``-wal``, as a process that was killed leaves it."""
    folder = tmp_path_factory.mktemp("killed") / "index"
    live = shutil.copytree(whole, folder.with_name("live"))
    with Collection(live, encoder=encoder) as collection:
        put(collection, Document("late", "", "The late crane lifts a thousand tons."))
        put(collection, Document("later", "", "Nothing crosses the marsh at night."))
        shutil.copytree(live, folder)
    assert (folder / WAL).stat().st_size > 0
    return folder


def answers(folder: Path, encoder: Encoder) -> list[Any]:
    """What a user can see of the index."""
    seen: list[Any] = []
    with Collection(folder, encoder=encoder) as collection:
        for query in QUERIES:
            answer = search(collection, query)
            rows = [
                (one.passage.id, one.score, one.passage.text, one.evidence, one.also_in, one.others) for one in answer.results
            ]
            seen.append((answer.verdict, answer.generation, rows))
        with collection.catalog.read() as snapshot:
            seen += [snapshot.counts(), snapshot.sources(), snapshot.languages(), snapshot.document_ids()]
            seen += [snapshot.document(one) for one in ("d3", "d39", "late")]
    return seen


def copy_of(folder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(folder, place)


def flip(file: Path, chance: random.Random) -> str:
    """Flips one bit; where."""
    content = bytearray(file.read_bytes())
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {at}"


def is_refused(folder: Path, encoder: Encoder, right: list[Any], where: str) -> bool:
    """Whether it is refused as it should be; fails unless that, or every answer is right."""
    try:
        found = answers(folder, encoder)
    except CatalogError as error:
        refusal = str(error)
    else:
        assert found == right, where
        return False
    assert f"passages restore FILE --index {folder}" in refusal, where
    return True


def test_a_flipped_bit_is_never_answered_from(whole: Path, tmp_path: Path, encoder: Encoder) -> None:
    right, chance = answers(whole, encoder), random.Random(7)  # noqa: S311
    refused = 0
    for _ in range(FLIPS):
        folder = copy_of(whole, tmp_path)
        where = flip(folder / CATALOG_FILE, chance)
        refused += is_refused(folder, encoder, right, where)
    assert refused > FLIPS / 3, "the rest hit room that nothing uses"


def test_a_flipped_bit_in_a_catalog_too_large_to_be_checked_when_it_is_opened_is_told_by_what_reads_it(
    whole: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.catalog, "CHECKED_BYTES", 0)
    right, chance = answers(whole, encoder), random.Random(8)  # noqa: S311
    refused = sum(
        is_refused(folder, encoder, right, flip(folder / CATALOG_FILE, chance))
        for folder in (copy_of(whole, tmp_path) for _ in range(FLIPS // 2))
    )
    assert refused > FLIPS / 8


def test_every_table_and_the_header_are_covered(whole: Path, tmp_path: Path, encoder: Encoder) -> None:
    """A flip in the middle of what each table or index holds, and in each part of the header that says something."""
    with sqlite3.connect(whole / CATALOG_FILE) as connection:
        query = "SELECT name, min(pgoffset), pgsize FROM dbstat WHERE payload > 0 GROUP BY name"
        pages = connection.execute(query).fetchall()
    connection.close()
    places = {name: at + size - 6 for name, at, size in pages}  # rows lie at a page's end
    places |= {f"header {at}": at for at in (0, 16, 18, 20, 21, 28, 44, 56, 60)}
    right = answers(whole, encoder)
    for name, at in places.items():
        folder = copy_of(whole, tmp_path)
        content = bytearray((folder / CATALOG_FILE).read_bytes())
        content[at] ^= 0x55
        (folder / CATALOG_FILE).write_bytes(content)
        refused = is_refused(folder, encoder, right, name)
        assert refused or name.startswith(("header", "sqlite_sequence", "removed", "total")), name


def truncated(share: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / CATALOG_FILE
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    return damage


def replaced_by_another_program_s(folder: Path) -> None:
    (folder / CATALOG_FILE).unlink()
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        connection.executescript(
            "CREATE TABLE state (x); CREATE TABLE recipe (name); PRAGMA user_version = 3; PRAGMA journal_mode = WAL"
        )
    connection.close()


def replaced_by_an_empty_index(folder: Path) -> None:
    other = folder.with_name("other")
    shutil.rmtree(other, ignore_errors=True)
    Collection(other, create=True).close()
    shutil.copy(other / CATALOG_FILE, folder / CATALOG_FILE)


def version_0(folder: Path) -> None:
    set_version(folder, 0)


def version_2(folder: Path) -> None:
    set_version(folder, 2)


def version_9(folder: Path) -> None:
    set_version(folder, 9)


def set_version(folder: Path, number: int) -> None:
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    connection.close()


def row_gone(folder: Path) -> None:
    """As a page that was never written leaves it: SQLite finds nothing wrong."""
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        connection.execute("DROP TRIGGER vector_delete")
        connection.execute("DELETE FROM vector WHERE passage = (SELECT max(passage) FROM vector)")
    connection.close()


def total_wrong(folder: Path) -> None:
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        connection.execute("UPDATE total SET checksum = checksum + 1 WHERE name = 'document'")
    connection.close()


WHOLE_FILE: list[Callable[[Path], None]] = [
    *(truncated(share) for share in (0, 0.001, 0.1, 0.5, 0.9, 0.999)),
    replaced_by_another_program_s, replaced_by_an_empty_index, version_0, version_2, version_9, row_gone, total_wrong,
    lambda folder: (folder / CATALOG_FILE).unlink(),
]  # fmt: skip


@pytest.mark.parametrize("damage", WHOLE_FILE)
def test_a_catalog_that_is_cut_gone_or_another_s_is_refused(
    damage: Callable[[Path], None], whole: Path, tmp_path: Path, encoder: Encoder
) -> None:
    folder = copy_of(whole, tmp_path)
    damage(folder)
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    assert is_refused(folder, encoder, answers(whole, encoder), "")
    with pytest.raises(CatalogError, match="passages restore FILE"):
        Collection(folder, create=True, encoder=encoder)
    after = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    assert [one for one in after if not one[0].endswith(("-wal", "-shm"))] == before, (
        "it is left as it is, for who can save some"
    )


def test_commits_that_lie_beside_the_catalog_are_not_lost_without_a_word(
    killed: Path, whole: Path, tmp_path: Path, encoder: Encoder
) -> None:
    """SQLite leaves out, silently, what it cannot read of the ``-wal``."""
    right, chance = answers(copy_of(killed, tmp_path), encoder), random.Random(9)  # noqa: S311
    assert right[-1] == Document("late", "", "The late crane lifts a thousand tons.")
    refused = 0
    for _ in range(60):
        folder = copy_of(killed, tmp_path)
        where = flip(folder / WAL, chance)
        refused += is_refused(folder, encoder, right, where)
    assert refused > 30
    for name, refuses in (("catalog.sqlite-shm", False), (WAL, True), (CATALOG_FILE, True)):
        folder = copy_of(killed, tmp_path)
        (folder / name).unlink(missing_ok=True)
        assert is_refused(folder, encoder, right, name) == refuses, name
    folder = copy_of(killed, tmp_path)
    (folder / CATALOG_FILE).write_bytes(b"")
    assert is_refused(folder, encoder, right, "emptied")


def test_commits_of_another_catalog_are_not_taken_for_its_own(
    killed: Path, whole: Path, tmp_path: Path, encoder: Encoder
) -> None:
    other = tmp_path / "other"
    with Collection(other, create=True, encoder=encoder) as collection:
        put(collection, Document("other", "", "Another index."))
        folder = copy_of(whole, tmp_path)
        shutil.copy(other / WAL, folder / WAL)
        shutil.copy(other / "catalog.sqlite-shm", folder / "catalog.sqlite-shm")
    assert is_refused(folder, encoder, answers(whole, encoder), "a -wal of another catalog")


def test_a_witness_that_is_gone_or_illegible_says_nothing_until_the_next_commit(
    whole: Path, tmp_path: Path, encoder: Encoder
) -> None:
    """Only who holds the writer lock writes it: a reader's word could be older than what is there."""
    right = answers(whole, encoder)
    for content in (None, b"", b"\xff\0 what", b"0 0 0 0", bytes(63)):
        folder = copy_of(whole, tmp_path)
        file = folder / LATEST_FILE
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        assert answers(folder, encoder) == right
        assert (file.read_bytes() if file.exists() else None) == content
        with Collection(folder, encoder=encoder) as collection:
            put(collection, Document("new", "", "The crane of the new harbour."))
            with collection.catalog.read() as snapshot:
                assert Witness(folder).known() == (snapshot.identity, snapshot.generation)


def test_a_flipped_bit_in_the_witness_never_refuses_a_catalog(whole: Path, tmp_path: Path, encoder: Encoder) -> None:
    folder = copy_of(whole, tmp_path)
    written = (folder / LATEST_FILE).read_bytes()
    assert Witness(folder).known()
    for bit in range(8 * len(written)):
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / LATEST_FILE).write_bytes(changed)
        assert Witness(folder).known() is None, f"bit {bit}"
    assert answers(folder, encoder) == answers(whole, encoder)


def test_a_witness_that_was_forgotten_is_not_brought_back_by_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr("indexer.witness.sync_folder", lambda folder: synced.append((folder, (folder / LATEST_FILE).exists())))
    witness = Witness(tmp_path)
    witness.saw("a" * 32, 3)
    assert witness.known() == ("a" * 32, 3)
    witness.forget()
    assert synced == [(tmp_path, False)]


def test_what_is_damaged_while_it_is_open_is_refused_from_then_on(
    whole: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer.catalog, "CHECKED_BYTES", 0)
    folder = copy_of(whole, tmp_path)
    content = bytearray((folder / CATALOG_FILE).read_bytes())
    content[content.index(b"harbour 3 ")] ^= 1
    (folder / CATALOG_FILE).write_bytes(content)
    with Collection(folder, encoder=encoder) as collection:
        with collection.catalog.read() as snapshot:
            assert snapshot.document("d5") is not None
        message = rf"^{folder}/catalog.sqlite is damaged: a document is not what was written; .*passages restore FILE --index"
        with pytest.raises(DamagedError, match=message), collection.catalog.read() as snapshot:
            snapshot.document("d3")
        for use in (collection.catalog.read, collection.catalog.write, collection.view):
            with pytest.raises(DamagedError, match=message), use():
                pass


def test_a_catalog_that_was_moved_away_and_back_is_answered_from_again(whole: Path, tmp_path: Path, encoder: Encoder) -> None:
    folder = copy_of(whole, tmp_path)
    with Collection(folder, encoder=encoder) as collection:
        before = search(collection, QUERIES[0]).results
        (folder / CATALOG_FILE).rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(DamagedError, match=f"is gone; .*passages restore FILE --index {folder}"):
                search(collection, QUERIES[0])
        (tmp_path / "away").rename(folder / CATALOG_FILE)
        assert search(collection, QUERIES[0]).results == before


def test_the_whole_check_can_be_left_at_any_moment(whole: Path, tmp_path: Path, encoder: Encoder) -> None:
    class LeftError(Exception):
        pass

    def leave() -> None:
        raise LeftError

    with Collection(copy_of(whole, tmp_path), encoder=encoder) as collection:
        with pytest.raises(LeftError):
            collection.catalog.check(leave)
        collection.catalog.check()
        put(collection, Document("new", "", "And writing goes on."))
