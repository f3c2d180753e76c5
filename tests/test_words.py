"""The word index: the same answers from disk, from memory, or from both; and nothing lost when the disk is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer.words
from indexer.terms import Codes
from indexer.words import WORDS_FILE, Keys, Words, bm25, fold, idf, open_words

TAG = "test"
NONE = np.empty(0, np.int64)


def matching(words: Words, codes: Sequence[int], count: int, allowed: Keys | None = None) -> list[int]:
    """Keys, for a question whose words have one form each."""
    groups = [[code] for code in codes]
    rarity = np.array([words.rarity(group) for group in groups], np.float32)
    return [int(key) for key in words.matching(groups, rarity, count, allowed)]


# title | text
PASSAGES = [[9, 0, 1, 2, 3], [9, 0, 2, 1], [0, 3, 3, 3], [9, 1, 0, 4], [0, 1, 2]]


def blobs(passages: Sequence[Sequence[int]]) -> list[Codes]:
    return [np.array(one, np.uint32) for one in passages]


def keys(*numbers: int) -> Keys:
    return np.array(numbers, np.int64)


def in_memory(passages: Sequence[Sequence[int]] = PASSAGES) -> Words:
    return Words.empty().updated(np.arange(1, len(passages) + 1), blobs(passages), NONE, 1)


@pytest.fixture(params=["memory", "disk", "both"])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> Words:
    """The passages under keys 1 to 5, and one that was removed, 6."""
    passages = [*PASSAGES, [0, 1, 1, 1]]
    on_disk = {"memory": 0, "disk": 6, "both": 3}[request.param]
    words = Words.empty()
    if on_disk:
        words = fold(tmp_path, in_memory(passages[:on_disk]), TAG)
    rest = np.arange(on_disk + 1, 7)
    return words.updated(rest, blobs(passages[on_disk:]), NONE, 2).updated(NONE, [], keys(6), 3)


def test_what_is_removed_counts_no_more(words: Words) -> None:
    assert (words.passages, words.last_key, words.generation) == (5, 6, 3)
    assert sorted(matching(words, [1], 10)) == [1, 2, 4, 5]


def test_a_term_counts_each_passage_once(words: Words) -> None:
    assert [words.frequency(code) for code in (3, 9, 7)] == [2, 3, 0]


def test_a_phrase_stands_in_order_in_the_text_alone(words: Words) -> None:
    assert words.phrase([1, 2]).tolist() == [1, 5]
    assert words.phrase([2, 1]).tolist() == [2]
    assert words.phrase([4]).tolist() == [4]
    assert words.phrase([9, 1]).tolist() == words.phrase([1, 4]).tolist() == []  # not over the border to the title


def test_the_best_come_first_and_only_allowed_ones(words: Words) -> None:
    assert matching(words, [3], 10) == [3, 1]
    assert matching(words, [3], 1) == [3]
    assert matching(words, [3], 10, keys(1, 2)) == [1]
    assert matching(words, [7], 10) == matching(words, [], 10) == []


def test_many_allowed_keys_are_not_missed(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.words, "_FEW_KEYS", 0)
    assert sorted(matching(words, [1, 2], 3, keys(1, 4, 5))) == [1, 4, 5]


def plain_bm25(passages: Sequence[Sequence[int]], codes: Sequence[int]) -> list[float]:
    """Robertson & Zaragoza's formula, term by term."""
    mean = sum(len(one) - 1 for one in passages) / len(passages)
    scores = []
    for one in passages:
        total = 0.0
        for code in codes:
            frequency = sum(code in other for other in passages)
            count = one.count(code)
            total += idf(len(passages), frequency) * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * (len(one) - 1) / mean))
        scores.append(total)
    return scores


random_passages = st.lists(
    st.lists(st.integers(1, 6), min_size=1, max_size=12).map(lambda one: [0, *one]), min_size=1, max_size=12
)


@given(random_passages, st.sets(st.integers(1, 7), min_size=1, max_size=4))
def test_bm25_is_the_plain_formula(passages: list[list[int]], asked: set[int]) -> None:
    codes = sorted(asked)
    rarity = np.array([idf(len(passages), sum(code in one for one in passages)) for code in codes], np.float32)
    lengths = np.array([len(one) for one in passages])
    mean = float((lengths - 1).mean())
    flat = np.concatenate(blobs(passages))
    scores, held = bm25(flat, lengths, [[code] for code in codes], rarity, mean)
    assert scores.tolist() == pytest.approx(plain_bm25(passages, codes), rel=1e-4, abs=1e-5)
    assert held.tolist() == [[code in one for code in codes] for one in passages]


def test_forms_of_one_word_count_as_one_term() -> None:
    passages = blobs([[0, 1, 2], [0, 1, 1], [0, 2, 2]])
    scores, held = bm25(np.concatenate(passages), np.array([3, 3, 3]), [[1, 2]], np.ones(1, np.float32), 2.0)
    assert len(set(scores.tolist())) == 1
    assert held.all()


@settings(max_examples=15, deadline=None)
@given(random_passages, st.integers(0, 12), st.sets(st.integers(1, 6), min_size=1, max_size=3))
def test_disk_and_memory_rank_alike(
    tmp_path_factory: pytest.TempPathFactory, passages: list[list[int]], on_disk: int, asked: set[int]
) -> None:
    codes = sorted(asked)
    first, rest = passages[:on_disk], passages[on_disk:]
    words = Words.empty()
    if first:
        words = fold(tmp_path_factory.mktemp("words"), in_memory(first), TAG)
    words = words.updated(np.arange(len(first) + 1, len(passages) + 1), blobs(rest), NONE, 2)
    whole = in_memory(passages)
    scores = plain_bm25(passages, codes)
    found = matching(words, codes, 20)
    assert sorted(found) == sorted(matching(whole, codes, 20))
    if not rest or not first:  # tantivy knows its own passages' statistics alone until all are folded
        ranked = [scores[key - 1] for key in found]
        assert ranked == pytest.approx(sorted(ranked, reverse=True), rel=1e-3)


def test_what_is_on_disk_is_read_again(tmp_path: Path) -> None:
    fold(tmp_path, in_memory(), TAG)
    again = open_words(tmp_path, TAG)
    assert (again.passages, again.last_key, again.generation, again.tail_size) == (5, 5, 1, 0)
    assert again.mean_length == in_memory().mean_length
    assert matching(again, [3], 10) == [3, 1]


@pytest.mark.parametrize("damage", ["missing", "garbage", "other tag", "no folder", "truncated"])
def test_a_damaged_index_is_nothing_and_is_made_anew(tmp_path: Path, damage: str) -> None:
    place = tmp_path / json.loads((fold(tmp_path, in_memory(), TAG), (tmp_path / WORDS_FILE).read_text())[1])["place"]
    if damage == "missing":
        (tmp_path / WORDS_FILE).unlink()
    elif damage == "garbage":
        (tmp_path / WORDS_FILE).write_text("{")
    elif damage == "other tag":
        assert open_words(tmp_path, "another").passages == 0
        return
    else:
        for file in place.iterdir():
            file.write_bytes(b"") if damage == "truncated" else file.unlink()
    assert open_words(tmp_path, TAG).passages == 0
    fold(tmp_path, in_memory(), TAG)
    assert matching(open_words(tmp_path, TAG), [3], 10) == [3, 1]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_crash_before_the_record_leaves_no_passage_twice(tmp_path: Path) -> None:
    first = fold(tmp_path, in_memory(PASSAGES[:3]), TAG)
    record = (tmp_path / WORDS_FILE).read_text()
    newer = first.updated(keys(4, 5), blobs(PASSAGES[3:]), keys(2), 2)
    fold(tmp_path, newer, TAG)
    (tmp_path / WORDS_FILE).write_text(record)  # as if the machine had stopped between tantivy's commit and the record
    words = open_words(tmp_path, TAG).updated(keys(4, 5), blobs(PASSAGES[3:]), keys(2), 2)
    assert sorted(matching(words, [1], 10)) == [1, 4, 5]
    again = fold(tmp_path, words, TAG)
    assert matching(again, [1], 10).count(4) == 1
    assert (again.passages, again.disk and again.disk.searcher.num_docs) == (4, 4)


def test_a_search_goes_on_undisturbed_while_another_folds(tmp_path: Path) -> None:
    before = fold(tmp_path, in_memory(PASSAGES[:3]), TAG)
    after = fold(tmp_path, before.updated(keys(4, 5), blobs(PASSAGES[3:]), keys(1), 2), TAG)
    assert matching(before, [3], 10) == [3, 1]
    assert matching(after, [3], 10) == [3]


def test_many_deletions_ask_for_a_rebuild(tmp_path: Path) -> None:
    words = fold(tmp_path, in_memory(), TAG)
    assert not words.needs_rebuild
    assert words.updated(NONE, [], keys(1), 2).needs_rebuild


def test_idf_is_never_negative() -> None:
    assert idf(10, 10) == pytest.approx(math.log(1 + 0.5 / 10.5))
    assert idf(10, 0) > idf(10, 1) > idf(10, 10) > 0
