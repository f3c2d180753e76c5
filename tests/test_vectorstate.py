"""A collection whose vectors lie in files: it follows commits and folds, and files of no use never change an answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer import ingest
from indexer.catalog import EncodedPassage
from indexer.collection import Collection
from indexer.documents import Document
from indexer.fastscan import FastScanIndex
from indexer.models import ModelContract
from indexer.passages import Passage
from indexer.records import Changes
from indexer.snapshot import Snapshot
from indexer.vectors import ExactIndex
from indexer.vectorstate import tag
from tests.files import replace_bytes

DIMENSION = 8
CONTRACT = ModelContract("tiny", "weights", DIMENSION, "mean", "", "", 8, "none", 1)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.vectorstate.FILES_PASSAGES", 40)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Collection]:
    with Collection(tmp_path / "index", create=True) as collection:
        yield collection


def vector(number: int, contract: ModelContract = CONTRACT) -> np.ndarray[tuple[int], np.dtype[np.float16]]:
    return np.random.default_rng(number).normal(size=contract.dimension).astype(np.float16)


def write(
    collection: Collection, put: Sequence[int] = (), delete: Sequence[int] = (), contract: ModelContract = CONTRACT
) -> None:
    """Documents of one passage each, in one commit."""
    with collection.catalog.write() as writer:
        writer.set_contract(contract)
        for number in put:
            passage = EncodedPassage(Passage(0, 1), f"{number} {tag(contract, '')}".encode(), vector(number, contract))
            writer.put_document(Document(str(number), "", "x"), None, [passage])
        for number in delete:
            writer.delete_document(str(number))


def fold(collection: Collection, at_least: int = 1) -> None:
    with collection.lock.held(1):
        collection.fold_vectors(at_least)


def answers(collection: Collection, contract: ModelContract = CONTRACT) -> list[list[tuple[str, float]]]:
    """The documents that are nearest to some questions, with their cosines."""
    with collection.view() as view:
        found = [view.vectors.nearest(vector(1000 + at, contract).astype(np.float32), 15) for at in range(5)]
        passages = view.snapshot.passages([int(key) for near in found for key in near.keys])
        assert len(view.vectors) == view.snapshot.counts().passages
    return [
        [(passages[key].document.id, cosine) for key, cosine in zip(near.keys.tolist(), near.cosines.tolist(), strict=True)]
        for near in found
    ]


def expected(numbers: Sequence[int], contract: ModelContract = CONTRACT) -> list[list[tuple[str, float]]]:
    """The same by comparing every vector."""
    rows = [(str(number), vector(number, contract).astype(np.float64)) for number in numbers]
    asked = [vector(1000 + at, contract).astype(np.float32) for at in range(5)]
    scored = [sorted(((name, float(row @ one)) for name, row in rows), key=lambda pair: -pair[1]) for one in asked]
    return [some[:15] for some in scored]


def same(found: list[list[tuple[str, float]]], right: list[list[tuple[str, float]]]) -> bool:
    return all(
        [name for name, _ in some] == [name for name, _ in those]
        and np.allclose([cosine for _, cosine in some], [cosine for _, cosine in those], atol=1e-5)
        for some, those in zip(found, right, strict=True)
    )


def in_files(collection: Collection) -> int:
    """How many vectors the view has from files; 0 if it is exact."""
    with collection.view() as view:
        return len(view.vectors.files.keys) if isinstance(view.vectors, FastScanIndex) else 0


def names(collection: Collection) -> list[str]:
    return sorted(path.name for path in collection.folder.glob("vectors*"))


def test_few_passages_have_no_files_and_are_exact(store: Collection) -> None:
    write(store, range(39))
    fold(store)
    assert names(store) == []
    with store.view() as view:
        assert isinstance(view.vectors, ExactIndex)
        assert view.vectors.exact


def test_answers_are_the_same_before_and_after_every_fold(store: Collection) -> None:
    write(store, range(60))
    assert same(answers(store), expected(range(60)))
    fold(store)
    assert in_files(store) == 60
    assert same(answers(store), expected(range(60)))
    write(store, range(60, 80), delete=range(5))
    assert in_files(store) == 60, "what is newer is in memory"
    assert same(answers(store), expected(range(5, 80)))
    fold(store)
    assert in_files(store) == 75
    assert same(answers(store), expected(range(5, 80)))
    assert names(store) == ["vectors-2", "vectors.json"]


def test_a_folded_collection_is_opened_from_its_files(store: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, range(60))
    fold(store)
    write(store, [60], delete=[3])
    read: list[int] = []
    true = Snapshot.changes

    def changes(snapshot: Snapshot, since: int, last_key: int, dimension: int) -> Changes:
        read.append(last_key)
        return true(snapshot, since, last_key, dimension)

    monkeypatch.setattr(Snapshot, "changes", changes)
    with Collection(store.folder) as opened:
        assert same(answers(opened), expected([n for n in range(61) if n != 3]))
        assert in_files(opened) == 60
    assert read == [60], "no vector of the files was read from the catalog"


def test_a_fold_waits_until_enough_is_new_or_much_was_deleted(store: Collection) -> None:
    write(store, range(60))
    fold(store, 30)
    assert names(store) == ["vectors-1", "vectors.json"]
    write(store, range(60, 89), delete=range(12))
    fold(store, 30)
    assert in_files(store) == 60
    write(store, delete=[12])
    fold(store, 30)
    assert in_files(store) == 76
    write(store, range(100, 130))
    fold(store, 30)
    assert in_files(store) == 106
    assert same(answers(store), expected([*range(13, 89), *range(100, 130)]))


def test_files_go_when_few_passages_are_left(store: Collection) -> None:
    write(store, range(60))
    fold(store)
    write(store, delete=range(30))
    fold(store)
    assert names(store) == []
    assert same(answers(store), expected(range(30, 60)))
    with Collection(store.folder) as opened:
        assert in_files(opened) == 0
        assert same(answers(opened), expected(range(30, 60)))


def test_a_fold_of_another_process_is_noticed(store: Collection) -> None:
    write(store, range(60))
    assert in_files(store) == 0
    with Collection(store.folder) as other:
        fold(other)
        write(other, [60])
    assert in_files(store) == 60
    assert same(answers(store), expected(range(61)))


def test_who_only_folds_reads_no_vectors_into_memory(store: Collection) -> None:
    write(store, range(60))
    fold(store)
    assert store._derived is None


def test_indexing_folds_vectors(store: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.collection.FOLD_VECTORS", 10)
    write(store, range(60))
    ingest.remove(store, "0")
    assert in_files(store) == 59


def test_a_fold_that_fails_leaves_what_was_committed(store: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.collection.FOLD_VECTORS", 10)
    write(store, range(60))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexer.vectorfiles.os.fsync", full)
    monkeypatch.setattr(Collection, "fold_words", lambda *_: None)
    ingest.remove(store, "0")
    assert names(store) == []
    assert same(answers(store), expected(range(1, 60)))


Damage = Callable[[Path], None]


def flipped(name: str) -> Damage:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 64  # the last row is among those that are compared with the catalog
        replace_bytes(folder / name, bytes(content))

    return damage


def shortened(name: str) -> Damage:
    return lambda folder: replace_bytes(folder / name, (folder / name).read_bytes()[:-1])


def deleted(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def swapped(folder: Path) -> None:
    keys, codes = folder / "vectors-1/keys.i64", folder / "vectors-1/codes.faiss"
    one, other = keys.read_bytes(), codes.read_bytes()
    replace_bytes(keys, other)
    replace_bytes(codes, one)


PARTS = ["vectors.json", *(f"vectors-1/{name}" for name in ("keys.i64", "rows.f16", "codes.faiss"))]
DAMAGES = {
    **{f"{how.__name__} {name}": how(name) for name in PARTS for how in (flipped, shortened, deleted)},
    "swapped": swapped,
    "folder deleted": lambda folder: shutil.rmtree(folder / "vectors-1"),
    "record of nothing": lambda folder: replace_bytes(folder / "vectors.json", b"[]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_vectors_change_no_answer_and_the_next_fold_mends_them(store: Collection, damage: Damage) -> None:
    write(store, range(60))
    fold(store)
    assert in_files(store) == 60
    damage(store.folder)
    write(store, range(60, 70), delete=[5])
    numbers = [number for number in range(70) if number != 5]
    with Collection(store.folder) as reader:
        assert in_files(reader) == 0
        assert same(answers(reader), expected(numbers))
        assert same(answers(store), expected(numbers)), "who had them open before keeps them"
        fold(reader, 100)
        assert in_files(reader) == 69
        assert same(answers(reader), expected(numbers))
    with Collection(store.folder) as again:
        assert in_files(again) == 69
        assert same(answers(again), expected(numbers))
    assert len(names(store)) == 2


def test_rows_that_the_check_finds_damaged_are_not_searched_any_more(store: Collection) -> None:
    write(store, range(1000))
    fold(store)
    content = bytearray((store.folder / "vectors-1/rows.f16").read_bytes())
    content[21 * 2 * DIMENSION + 1] ^= 64  # of row 21, which no opening looks at
    replace_bytes(store.folder / "vectors-1/rows.f16", bytes(content))
    with Collection(store.folder) as opened:
        assert in_files(opened) == 1000
        assert not opened.check_vectors()
        assert in_files(opened) == 0
        assert same(answers(opened), expected(range(1000)))
        assert opened.check_vectors()
        fold(opened, 500)
        assert in_files(opened) == 1000
        assert opened.check_vectors()
        assert same(answers(opened), expected(range(1000)))


def test_a_fold_does_not_copy_damaged_rows(store: Collection) -> None:
    write(store, range(1000))
    fold(store)
    content = bytearray((store.folder / "vectors-1/rows.f16").read_bytes())
    content[21 * 2 * DIMENSION + 1] ^= 64
    replace_bytes(store.folder / "vectors-1/rows.f16", bytes(content))
    write(store, [1000])
    with Collection(store.folder) as other:
        fold(other)
        assert other.check_vectors()
        assert in_files(other) == 1001
        assert same(answers(other), expected(range(1001)))


def test_files_newer_than_a_restored_catalog_are_not_used(store: Collection, tmp_path: Path) -> None:
    write(store, range(50))
    store.close()
    shutil.copytree(store.folder, tmp_path / "backup")
    with Collection(store.folder) as newer:
        write(newer, range(50, 60), delete=range(10))
        fold(newer)
    for file in store.folder.glob("catalog.sqlite*"):
        file.unlink()
    for file in (tmp_path / "backup").glob("catalog.sqlite*"):
        shutil.copy(file, store.folder)
    with Collection(store.folder) as restored:
        assert in_files(restored) == 0
        assert same(answers(restored), expected(range(50)))
        for number in range(100, 110):  # and written on, until it has the generation and the keys of the files
            write(restored, [number])
        right = expected([*range(50), *range(100, 110)])
        assert same(answers(restored), right)
        with Collection(store.folder) as opened:
            assert in_files(opened) == 0
            assert same(answers(opened), right)
        fold(restored)
        assert in_files(restored) == 60
        assert same(answers(restored), right)


def test_files_that_lack_passages_which_came_back_with_a_restored_catalog_are_not_used(
    store: Collection, tmp_path: Path
) -> None:
    write(store, range(100))
    store.close()
    shutil.copytree(store.folder, tmp_path / "backup")
    with Collection(store.folder) as newer:
        write(newer, delete=range(0, 100, 3))
        fold(newer)
        assert in_files(newer) == 66
    for file in store.folder.glob("catalog.sqlite*"):
        file.unlink()
    for file in (tmp_path / "backup").glob("catalog.sqlite*"):
        shutil.copy(file, store.folder)
    with Collection(store.folder) as restored:
        write(restored, [100])  # so that it is no older than the files, whose every row is still right
        write(restored, [101])
        assert same(answers(restored), expected(range(102)))
        fold(restored)
        assert in_files(restored) == 102
        assert same(answers(restored), expected(range(102)))


@pytest.mark.parametrize(
    "other", [replace(CONTRACT, weights="others"), replace(CONTRACT, dimension=10), replace(CONTRACT, dimension=5)]
)
def test_files_of_another_model_are_not_used(store: Collection, other: ModelContract) -> None:
    """An odd number of dimensions has no codes, and is searched exactly."""
    write(store, range(60))
    fold(store)
    write(store, range(60), contract=other)
    even = other.dimension % 2 == 0
    for _ in range(2):
        with Collection(store.folder) as opened:
            assert same(answers(opened, other), expected(range(60), other))
        assert same(answers(store, other), expected(range(60), other))
        fold(store)
        assert in_files(store) == (60 if even else 0)


def test_vectors_of_a_catalog_that_is_gone_are_not_used(store: Collection) -> None:
    write(store, range(60))
    fold(store)
    store.close()
    for file in store.folder.glob("catalog.sqlite*"):
        file.unlink()
    with Collection(store.folder, create=True) as second:
        write(second, range(100, 145))
        assert in_files(second) == 0
        assert same(answers(second), expected(range(100, 145)))
