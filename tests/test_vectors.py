"""The vector index against a brute-force oracle. All numbers are small integers, so that cosines tie exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.vectors import ExactIndex, Keys

DIMENSION = 3
NONE = np.empty(0, np.int64)


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def vectors(*rows: list[int]) -> npt.NDArray[np.float16]:
    return np.array(rows, np.float16).reshape(-1, DIMENSION)


def oracle(rows: dict[int, list[int]], question: list[int], count: int, allowed: set[int] | None) -> list[tuple[int, float]]:
    """Every row compared: best first, ties by key."""
    scored = [(key, float(np.dot(row, question))) for key, row in rows.items() if allowed is None or key in allowed]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:count]


def nearest(index: ExactIndex, question: list[int], count: int, allowed: set[int] | None = None) -> list[tuple[int, float]]:
    only = None if allowed is None else keys(*sorted(allowed))
    found = index.nearest(np.array(question, np.float32), count, only)
    assert [str(found.keys.dtype), str(found.cosines.dtype)] == ["int64", "float32"]
    return list(zip(found.keys.tolist(), found.cosines.tolist(), strict=True))


ROW = st.lists(st.integers(-2, 2), min_size=DIMENSION, max_size=DIMENSION)
STEP = st.tuples(st.lists(ROW, max_size=12), st.sets(st.integers(1, 60), max_size=12))


@given(st.lists(STEP, min_size=1, max_size=6), ROW, st.integers(1, 30), st.none() | st.sets(st.integers(1, 60)))
@settings(max_examples=300, deadline=None)
def test_the_nearest_are_those_of_a_brute_force_search(
    steps: list[tuple[list[list[int]], set[int]]], question: list[int], count: int, allowed: set[int] | None
) -> None:
    """After any adds and removals, for any filter; and every older index answers as before."""
    index, rows, next_key = ExactIndex(DIMENSION), dict[int, list[int]](), 1
    history = [(index, dict(rows))]
    for added, removed in steps:
        new = {next_key + 2 * i: row for i, row in enumerate(added)}  # some keys are of passages that were removed at once
        next_key += 2 * len(added) + 1
        index = index.updated(keys(*new), vectors(*added), keys(*removed))
        rows = {key: row for key, row in (rows | new).items() if key not in removed}
        history.append((index, rows))
    for older, its_rows in history:
        assert len(older) == len(its_rows)
        assert nearest(older, question, count, allowed) == oracle(its_rows, question, count, allowed)


def test_ties_go_to_the_lower_key_also_at_the_last_place() -> None:
    same = [[1, 0, 0]] * 5
    index = ExactIndex(DIMENSION).updated(keys(1, 2, 3, 4, 5), vectors(*same), NONE)
    index = index.updated(keys(6, 7), vectors([2, 0, 0], [1, 0, 0]), NONE)
    assert nearest(index, [1, 0, 0], 3) == [(6, 2.0), (1, 1.0), (2, 1.0)]
    assert nearest(index, [1, 0, 0], 3, {2, 4, 5, 6, 7}) == [(6, 2.0), (2, 1.0), (4, 1.0)]


def test_a_filter_returns_none_outside_it_and_all_inside_it() -> None:
    index = ExactIndex(DIMENSION).updated(keys(*range(1, 101)), vectors(*[[i, 0, 0] for i in range(100)]), keys(50))
    assert nearest(index, [1, 0, 0], 10, {3, 50, 70, 999}) == [(70, 69.0), (3, 2.0)]
    assert nearest(index, [1, 0, 0], 10, set()) == []


def test_an_empty_index_finds_nothing() -> None:
    assert nearest(ExactIndex(DIMENSION), [1, 0, 0], 5) == []
    emptied = ExactIndex(DIMENSION).updated(keys(1), vectors([1, 0, 0]), NONE).updated(NONE, vectors(), keys(1))
    assert (nearest(emptied, [1, 0, 0], 5), len(emptied)) == ([], 0)


def test_many_small_additions_leave_few_segments() -> None:
    """Each segment is a search of its own, so a thousand documents put one by one must not leave a thousand."""
    index = ExactIndex(DIMENSION)
    for key in range(1, 1001):
        index = index.updated(keys(key), vectors([key, 0, 0]), NONE)
    assert len(index._segments) < 12
    assert nearest(index, [1, 0, 0], 2) == [(1000, 1000.0), (999, 999.0)]


@pytest.mark.parametrize("dimension", [1, 384])
def test_sixteen_bit_vectors_are_compared_as_they_were_stored(dimension: int) -> None:
    row = np.linspace(-0.1, 0.1, dimension, dtype=np.float16).reshape(1, -1)
    index = ExactIndex(dimension).updated(keys(1), row, NONE)
    found = index.nearest(row[0].astype(np.float32), 1)
    assert found.cosines[0] == pytest.approx(float(row[0].astype(np.float64) @ row[0].astype(np.float64)), rel=1e-6)
