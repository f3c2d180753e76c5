"""The index of large collections, over small ones: recall, masks, folds, and files that are damaged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer import fastscan
from indexer.fastscan import FastScanIndex, new_record
from indexer.vectorfiles import Block, VectorFilesError, write_files
from indexer.vectors import ExactIndex, Floats, Keys
from tests.files import replace_bytes

DIMENSION = 32
NONE = np.empty(0, np.int64)
Halves = npt.NDArray[np.float16]


def clustered(count: int, seed: int = 1) -> Halves:
    """Vectors of unit length around 60 centres, as texts are around subjects."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(60, DIMENSION))
    rows = centres[random.integers(0, 60, count)] + random.normal(scale=0.7, size=(count, DIMENSION))
    unit: Halves = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return unit


def blocks(keys: Keys, rows: Halves, size: int = 700) -> Iterator[Block]:
    return ((keys[at : at + size], rows[at : at + size]) for at in range(0, len(keys), size))


def questions(count: int = 40) -> Floats:
    return clustered(count, seed=9).astype(np.float32)


KEYS = np.arange(6000, dtype=np.int64) * 3 + 5
ROWS = clustered(6000)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> FastScanIndex:
    return FastScanIndex.build(tmp_path_factory.mktemp("vectors"), blocks(KEYS, ROWS), DIMENSION)


def exact(keys: Keys = KEYS, rows: Halves = ROWS) -> ExactIndex:
    return ExactIndex(DIMENSION).updated(keys, rows, NONE)


def recall(index: FastScanIndex, oracle: ExactIndex, count: int = 10, allowed: Keys | None = None) -> float:
    found = [
        set(index.nearest(one, count, allowed).keys) & set(oracle.nearest(one, count, allowed).keys) for one in questions()
    ]
    return sum(map(len, found)) / (len(found) * count)


def the_same(index: FastScanIndex, oracle: ExactIndex, count: int = 20) -> bool:
    """By an exact scan of both; the two add in another order, so a tie may fall either way in the last bit."""
    for one in questions(5):
        found, expected = index.exact_nearest(one, count), oracle.nearest(one, count)
        if not np.allclose(found.cosines, expected.cosines, atol=1e-6) or set(found.keys) != set(expected.keys):
            return False
    return True


# --- search -------------------------------------------------------------------------------------------------------


def test_nearly_all_of_the_true_neighbours_are_found_with_their_exact_cosines(big: FastScanIndex) -> None:
    assert not big.exact
    assert recall(big, exact()) > 0.99
    for one in questions(5):
        near = big.nearest(one, 10)
        rows = ROWS[np.searchsorted(KEYS, near.keys)].astype(np.float64)
        assert np.allclose(near.cosines, rows @ one, atol=1e-6)
        assert (np.diff(near.cosines) <= 0).all()


def test_an_exact_scan_misses_none(big: FastScanIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastscan, "BLOCK_ROWS", 1000)
    assert the_same(big, exact())


def test_the_scan_is_what_misses(big: FastScanIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no more candidates than results the codes alone decide: recall falls, so the test of recall can fail."""
    monkeypatch.setattr(fastscan, "OVERFETCH", 1)
    monkeypatch.setattr(fastscan, "FEWEST", 1)
    assert recall(big, exact()) < 0.95


def test_what_was_removed_is_never_found_and_hides_nothing(big: FastScanIndex) -> None:
    """Not even if all that lies around a question is gone."""
    one = questions(1)[0]
    gone = np.sort(exact().nearest(one, 3000).keys)
    left, oracle = big.updated(NONE, ROWS[:0], gone), exact().updated(NONE, ROWS[:0], gone)
    assert len(left) == len(oracle) == 3000
    assert not np.isin(left.nearest(one, 3000).keys, gone).any()
    assert len(left.nearest(one, 5000).keys) == 3000
    assert recall(left, oracle) > 0.99
    assert the_same(left, oracle)
    assert np.isnan(left.cosines(one, gone)).all()
    assert len(big) == 6000
    assert recall(big, exact()) > 0.99, "the older index answers as before"


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.05, 0.03, 0.01, 0.001])
def test_a_filter_finds_as_many_as_exist_and_none_outside(big: FastScanIndex, share: float) -> None:
    random = np.random.default_rng(3)
    allowed = np.sort(random.choice(np.arange(1, 20_000), int(20_000 * share) - 1, replace=False))  # a third have a passage
    inside = np.intersect1d(allowed, KEYS)
    for one in questions(10):
        for count in (1, 10, 300):
            near = big.nearest(one, count, allowed)
            assert len(near.keys) == min(count, len(inside))
            assert np.isin(near.keys, inside).all()
            assert len(np.unique(near.keys)) == len(near.keys)
    assert recall(big, exact(), min(10, len(inside)), allowed) > 0.99


def test_a_filter_that_leaves_only_the_farthest_finds_as_many_as_exist(big: FastScanIndex) -> None:
    """The worst case of fetching more and dropping the rest. They lie so close that the codes may confuse some of them."""
    one = questions(1)[0]
    far = np.sort(exact().nearest(one, 6000).keys[-1000:])
    found = big.nearest(one, 10, far)
    assert np.isin(found.keys, far).all()
    assert np.abs(found.cosines - exact().nearest(one, 10, far).cosines).max() < 0.005
    assert len(big.nearest(one, 2000, far).keys) == 1000


def test_what_is_newer_is_found_beside_the_files(big: FastScanIndex) -> None:
    newer, rows = np.arange(20_000, 20_200), clustered(200, seed=4)
    index, oracle = big.updated(newer, rows, KEYS[:1000]), exact().updated(newer, rows, KEYS[:1000])
    assert len(index) == len(oracle) == 5200
    assert index.nearest(rows[7].astype(np.float32), 1).keys.tolist() == [20_007]
    assert recall(index, oracle) > 0.99
    assert the_same(index, oracle)
    assert index.updated(NONE, rows[:0], newer[:100]).memory_bytes < index.memory_bytes


def test_memory_beside_the_mapped_files_is_16_bytes_a_vector_of_32_dimensions_and_1_a_key(big: FastScanIndex) -> None:
    assert big.memory_bytes == 6000 * (DIMENSION // 4 + 8) + KEYS[-1] + 1


def test_threads_that_search_at_once_find_what_one_finds(big: FastScanIndex) -> None:
    asked = questions()
    alone = [big.nearest(one, 50).keys.tolist() for one in asked]
    wrong: list[int] = []

    def ask() -> None:
        wrong.extend(at for at, one in enumerate(asked) if big.nearest(one, 50).keys.tolist() != alone[at])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_odd_number_of_dimensions_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 dimensions cannot be coded two by two"):
        FastScanIndex.build(tmp_path, [(np.array([1]), np.ones((1, 3), np.float16))], 3)
    assert list(tmp_path.iterdir()) == []


# --- folds --------------------------------------------------------------------------------------------------------


def folded(index: FastScanIndex, folder: Path, keys: Keys, rows: Halves, removed: Keys) -> FastScanIndex:
    return FastScanIndex(write_files(folder, blocks(keys, rows), new_record(DIMENSION, ""), index.files, removed))


@pytest.mark.parametrize("more", [500, 9000])
def test_a_fold_is_the_index_of_what_is_left_and_new(tmp_path: Path, more: int) -> None:
    """Below twice the size with the code book that there is, else with a new one."""
    before = FastScanIndex.build(tmp_path, blocks(KEYS, ROWS), DIMENSION)
    newer, rows = np.arange(20_000, 20_000 + more), clustered(more, seed=4)
    removed = np.concatenate([KEYS[100:1100], [19_999, 20_000 + more]])
    after = folded(before, tmp_path, newer, rows, removed)
    oracle = exact().updated(newer, rows, removed)
    assert len(after) == len(oracle) == 5000 + more
    assert after.memory_bytes == len(after) * (DIMENSION // 4 + 8) + newer[-1] + 1
    assert after.files.record.trained == (6000 if more == 500 else 14_000)
    assert the_same(after, oracle)
    assert recall(after, oracle) > 0.99
    assert recall(before, exact()) > 0.99, "who has the old files open keeps them"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["vectors-2", "vectors.json"]
    opened = FastScanIndex.open(tmp_path)
    assert opened
    assert all((opened.nearest(one, 20).keys == after.nearest(one, 20).keys).all() for one in questions(10))


def test_codes_of_a_fold_are_those_of_a_build(tmp_path: Path) -> None:
    """FAISS removes by moving the last code into the gap; its distances must be those of a fresh index with the same book."""
    before = FastScanIndex.build(tmp_path, blocks(KEYS, ROWS), DIMENSION)
    after = folded(before, tmp_path, NONE, ROWS[:0], KEYS[::2])
    for one in questions(10):
        old, codes = before.files.codes.search(one[None], 6000)
        known = dict(zip(codes[0].tolist(), old[0].tolist(), strict=True))
        distances, keys = after.files.codes.search(one[None], 2900)
        assert np.allclose(distances[0], [known[key] for key in keys[0].tolist()])


def test_a_fold_that_is_interrupted_leaves_the_old_files(tmp_path: Path) -> None:
    before = FastScanIndex.build(tmp_path, blocks(KEYS, ROWS), DIMENSION)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def stopped() -> Iterator[Block]:
        yield np.array([20_000]), ROWS[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, stopped(), new_record(DIMENSION, ""), before.files, NONE)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    assert FastScanIndex.open(tmp_path)


# --- damage -------------------------------------------------------------------------------------------------------

FILES = ["vectors.json", "vectors-1/codes.faiss", "vectors-1/keys.i64"]


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    FastScanIndex.build(tmp_path, blocks(KEYS, ROWS), DIMENSION)
    assert FastScanIndex.open(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*FILES, "vectors-1/rows.f16"])
@pytest.mark.parametrize("how", ["deleted", "shorter", "longer", "empty"])
def test_a_file_of_another_length_is_not_opened(on_disk: Path, name: str, how: str) -> None:
    path = on_disk / name
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
    else:
        replace_bytes(path, {"shorter": content[:-100], "longer": content + b"x" * 100, "empty": b""}[how])
    assert FastScanIndex.open(on_disk) is None


@pytest.mark.parametrize("name", FILES[1:])
def test_a_flipped_bit_in_codes_or_keys_is_noticed_at_opening(on_disk: Path, name: str) -> None:
    content = bytearray((on_disk / name).read_bytes())
    content[len(content) // 2] ^= 1
    replace_bytes(on_disk / name, bytes(content))
    assert FastScanIndex.open(on_disk) is None


def test_files_of_two_indexes_are_not_mixed(on_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    FastScanIndex.build(other, blocks(KEYS, ROWS[::-1]), DIMENSION)
    replace_bytes(on_disk / FILES[1], (other / FILES[1]).read_bytes())
    assert FastScanIndex.open(on_disk) is None


def test_files_made_for_something_else_are_not_opened(on_disk: Path) -> None:
    assert FastScanIndex.open(on_disk, "another model") is None


def test_a_flipped_bit_in_the_rows_is_found_by_the_check_and_never_copied(on_disk: Path) -> None:
    path = on_disk / "vectors-1" / "rows.f16"
    content = bytearray(path.read_bytes())
    content[-5] ^= 64
    replace_bytes(path, bytes(content))
    index = FastScanIndex.open(on_disk)
    assert index
    assert not index.whole()
    with pytest.raises(VectorFilesError):
        write_files(on_disk, [], new_record(DIMENSION, ""), index.files, NONE)
    assert [one.name for one in sorted(on_disk.iterdir())] == ["vectors-1", "vectors.json"]
