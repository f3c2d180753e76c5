"""Every derived file, damaged in every way: no crash, no other answer, and the next fold makes it anew."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer.catalog import EncodedPassage
from indexer.collection import Collection
from indexer.documents import Document
from indexer.fastscan import FastScanIndex
from indexer.models import ModelContract
from indexer.passages import Passage
from tests.files import replace_bytes

DIMENSION = 8
CONTRACT = ModelContract("tiny", "weights", DIMENSION, "mean", "", "", 8, "none", 1)
OF_WORDS = ("words.json", "meta.json", "*.fast", "*.fieldnorm", "*.idx", "*.pos", "*.term", "*.store")
FILES = (*OF_WORDS, "vectors.json", "keys.i64", "rows.f16", "codes.faiss")
PASSAGES = 60


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.vectorstate.FILES_PASSAGES", 40)


def prepared(folder: Path, seed: int) -> Path:
    """A folder with passages of random words and vectors, all of them folded."""
    random_ = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch, Collection(folder, create=True) as collection:
        patch.setattr("indexer.vectorstate.FILES_PASSAGES", 40)
        with collection.lock.held(1), collection.catalog.write() as writer:
            writer.set_contract(CONTRACT)
            for number in range(PASSAGES + seed):  # the other has one more before, and so other keys
                terms = np.array([0, *random_.integers(1, 9, 5 + (seed + number) % 3)], np.uint32)
                vector = random_.normal(size=DIMENSION).astype(np.float16)
                passage = EncodedPassage(Passage(0, 1), f"{seed} {number}".encode(), vector, terms=terms)
                writer.put_document(Document(str(number), "", "x"), None, [passage])
            writer.delete_document("0")
            for number in range(1, seed):
                writer.delete_document(str(number))
        with collection.lock.held(1):
            collection.fold_words()
            collection.fold_vectors()
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two indexes of as many passages."""
    return prepared(tmp_path_factory.mktemp("one") / "index", 1), prepared(tmp_path_factory.mktemp("other") / "index", 2)


@pytest.fixture
def folder(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(folders[0], tmp_path / "index")


def answers(collection: Collection) -> list[list[int]]:
    """Keys that are nearest to some questions, hold some words and some phrases."""
    found = []
    with collection.view() as view:
        for at in range(1, 6):
            question = np.random.default_rng(1000 + at).normal(size=DIMENSION).astype(np.float32)
            rarity = np.array(view.words.rarities([[at], [at + 1]]), np.float32)
            keys = [view.vectors.nearest(question, 15).keys, view.words.matching([[at], [at + 1]], rarity, 15)]
            found += [some.tolist() for some in (*keys, view.words.phrase([at, at + 1]))]
    return found


def is_on_disk(collection: Collection) -> tuple[bool, bool]:
    """Whether words, and vectors, come from files."""
    with collection.view() as view:
        return view.words.disk is not None, isinstance(view.vectors, FastScanIndex)


def one(folder: Path, name: str) -> Path:
    (path,) = [*folder.glob(name), *folder.glob(f"*-*/{name}")]
    return path


Damage = Callable[[Path, Path], None]  # of a file; the second is the same file of another index


def emptied(path: Path, _: Path) -> None:
    replace_bytes(path, b"")


def shortened(path: Path, _: Path) -> None:
    replace_bytes(path, path.read_bytes()[:-1])


def lengthened(path: Path, _: Path) -> None:
    replace_bytes(path, path.read_bytes() + b"\0")


def of_another_index(path: Path, other: Path) -> None:
    replace_bytes(path, other.read_bytes())


def of_another_name(path: Path, _: Path) -> None:
    files = (some for some in path.parent.iterdir() if some.is_file() and some.stat().st_size)
    siblings = sorted(some for some in files if some.name not in (path.name, "catalog.sqlite"))
    replace_bytes(path, siblings[0].read_bytes())


def deleted(path: Path, _: Path) -> None:
    path.unlink()


def a_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Damage] = [emptied, shortened, lengthened, of_another_index, of_another_name, deleted, a_folder]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_changes_no_answer_and_the_next_fold_makes_it_anew(
    folders: tuple[Path, Path], folder: Path, name: str, damage: Damage
) -> None:
    with Collection(folders[0]) as whole:
        expected = answers(whole)
    path = one(folder, name)
    content = path.read_bytes()
    damage(path, one(folders[1], name))
    is_damaged = not path.is_file() or path.read_bytes() != content  # "*.store" of one index is that of any other
    of_words = name in OF_WORDS
    with Collection(folder) as reader:
        assert answers(reader) == expected
        assert is_on_disk(reader) == (not (is_damaged and of_words), not is_damaged or of_words)
        with reader.lock.held(1):
            reader.fold_words()
            reader.fold_vectors()
    with Collection(folder) as again:
        assert answers(again) == expected
        assert is_on_disk(again) == (True, True)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_noticed(folders: tuple[Path, Path], folder: Path, name: str) -> None:
    with Collection(folders[0]) as whole:
        expected = answers(whole)
    path, places = one(folder, name), random.Random(name)  # noqa: S311
    content = path.read_bytes()
    for _ in range(8):
        damaged = bytearray(content)
        damaged[places.randrange(len(content))] ^= 1 << places.randrange(8)
        replace_bytes(path, bytes(damaged))
        with Collection(folder) as reader:
            assert answers(reader) == expected
            assert is_on_disk(reader) != (True, True)


def test_files_that_nothing_names_change_nothing_and_go_with_the_next_fold(folders: tuple[Path, Path], folder: Path) -> None:
    shutil.copytree(one(folders[1], "meta.json").parent, folder / "words-99")
    with Collection(folders[0]) as whole, Collection(folder) as reader:
        assert answers(reader) == answers(whole)
        with reader.lock.held(1):
            reader.rebuild_derived()
        assert answers(reader) == answers(whole)
    assert len(list(folder.glob("words-*"))) == 1
