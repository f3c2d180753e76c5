"""Every vector index against a brute-force oracle. All numbers are small integers, so that cosines tie exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.fastscan import FastScanIndex
from indexer.vectors import ExactIndex, Keys, VectorIndex

DIMENSION = 4
NONE = np.empty(0, np.int64)


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def vectors(*rows: list[int]) -> npt.NDArray[np.float16]:
    return np.array(rows, np.float16).reshape(-1, DIMENSION)


Maker = Callable[[Path, Keys, npt.NDArray[np.float16]], VectorIndex]


def exact(_: Path, first: Keys, rows: npt.NDArray[np.float16]) -> VectorIndex:
    return ExactIndex(DIMENSION).updated(first, rows, NONE)


def fast_scan(folder: Path, first: Keys, rows: npt.NDArray[np.float16]) -> VectorIndex:
    """With so few rows every one is a candidate, so it must not miss any either."""
    return FastScanIndex.build(folder, [(first, rows)], DIMENSION)


@pytest.fixture(params=[exact, fast_scan])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Keys, npt.NDArray[np.float16]], VectorIndex]:
    """Makes an index of its first rows."""
    return lambda first, rows: request.param(tmp_path, first, rows)


@pytest.fixture(params=[0.0, 1.0], ids=["filters over-fetch", "filters scan"], autouse=True)
def few_share(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.fastscan.FEW_SHARE", request.param)
        yield


def oracle(rows: dict[int, list[int]], question: list[int], count: int, allowed: set[int] | None) -> list[tuple[int, float]]:
    """Every row compared: best first, ties by key."""
    scored = [(key, float(np.dot(row, question))) for key, row in rows.items() if allowed is None or key in allowed]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:count]


def nearest(index: VectorIndex, question: list[int], count: int, allowed: set[int] | None = None) -> list[tuple[int, float]]:
    only = None if allowed is None else keys(*sorted(allowed))
    found = index.nearest(np.array(question, np.float32), count, only)
    assert [str(found.keys.dtype), str(found.cosines.dtype)] == ["int64", "float32"]
    return list(zip(found.keys.tolist(), found.cosines.tolist(), strict=True))


ROW = st.lists(st.integers(-2, 2), min_size=DIMENSION, max_size=DIMENSION)
STEP = st.tuples(st.lists(ROW, max_size=12), st.sets(st.integers(1, 60), max_size=12))


@pytest.mark.parametrize("make", [exact, fast_scan])
@given(st.lists(STEP, min_size=1, max_size=6), ROW, st.integers(1, 30), st.none() | st.sets(st.integers(1, 60)))
@settings(max_examples=150, deadline=None)
def test_the_nearest_are_those_of_a_brute_force_search(
    make: Maker,
    steps: list[tuple[list[list[int]], set[int]]],
    question: list[int],
    count: int,
    allowed: set[int] | None,
) -> None:
    """After any adds and removals, for any filter; and every older index answers as before."""
    history: list[tuple[VectorIndex, dict[int, list[int]]]] = []
    rows, next_key = dict[int, list[int]](), 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for added, removed in steps:
            new = {next_key + 2 * i: row for i, row in enumerate(added)}  # some keys are of passages removed at once
            next_key += 2 * len(added) + 1
            if history:
                index = history[-1][0].updated(keys(*new), vectors(*added), keys(*sorted(removed)))
                rows = {key: row for key, row in (rows | new).items() if key not in removed}
            else:
                index, rows = make(folder, keys(*new), vectors(*added)), new
            history.append((index, rows))
        for older, its_rows in history:
            assert len(older) == len(its_rows)
            assert nearest(older, question, count, allowed) == oracle(its_rows, question, count, allowed)
            every = older.exact_nearest(np.array(question, np.float32), count)
            assert list(zip(every.keys.tolist(), every.cosines.tolist(), strict=True)) == oracle(
                its_rows, question, count, None
            )
            cosines = older.cosines(np.array(question, np.float32), keys(*range(1, 61))).tolist()
            known = dict(oracle(its_rows, question, 1000, None))
            assert [known.get(key, "none") for key in range(1, 61)] == ["none" if one != one else one for one in cosines]  # noqa: PLR0124


def test_ties_go_to_the_lower_key_also_at_the_last_place(made: Callable[..., VectorIndex]) -> None:
    same = [[1, 0, 0, 0]] * 5
    index = made(keys(1, 2, 3, 4, 5), vectors(*same))
    index = index.updated(keys(6, 7), vectors([2, 0, 0, 0], [1, 0, 0, 0]), NONE)
    assert nearest(index, [1, 0, 0, 0], 3) == [(6, 2.0), (1, 1.0), (2, 1.0)]
    assert nearest(index, [1, 0, 0, 0], 3, {2, 4, 5, 6, 7}) == [(6, 2.0), (2, 1.0), (4, 1.0)]


def test_a_filter_returns_none_outside_it_and_all_inside_it(made: Callable[..., VectorIndex]) -> None:
    index = made(keys(*range(1, 101)), vectors(*[[i, 0, 0, 0] for i in range(100)])).updated(NONE, vectors(), keys(50))
    assert nearest(index, [1, 0, 0, 0], 10, {3, 50, 70, 999}) == [(70, 69.0), (3, 2.0)]
    assert nearest(index, [1, 0, 0, 0], 10, set()) == []


def test_an_empty_index_finds_nothing(made: Callable[..., VectorIndex]) -> None:
    assert nearest(made(NONE, vectors()), [1, 0, 0, 0], 5) == []


def test_an_emptied_index_finds_nothing(made: Callable[..., VectorIndex]) -> None:
    emptied = made(keys(1), vectors([1, 0, 0, 0])).updated(NONE, vectors(), keys(1))
    assert (nearest(emptied, [1, 0, 0, 0], 5), len(emptied)) == ([], 0)


def test_many_small_additions_leave_few_segments() -> None:
    """Each segment is a search of its own, so a thousand documents put one by one must not leave a thousand."""
    index = ExactIndex(DIMENSION)
    for key in range(1, 1001):
        index = index.updated(keys(key), vectors([key, 0, 0, 0]), NONE)
    assert len(index._segments) < 12
    assert nearest(index, [1, 0, 0, 0], 2) == [(1000, 1000.0), (999, 999.0)]


@pytest.mark.parametrize("dimension", [1, 384])
def test_sixteen_bit_vectors_are_compared_as_they_were_stored(dimension: int) -> None:
    row = np.linspace(-0.1, 0.1, dimension, dtype=np.float16).reshape(1, -1)
    index = ExactIndex(dimension).updated(keys(1), row, NONE)
    found = index.nearest(row[0].astype(np.float32), 1)
    assert found.cosines[0] == pytest.approx(float(row[0].astype(np.float64) @ row[0].astype(np.float64)), rel=1e-6)
