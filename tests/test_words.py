"""The word index: the same answers from disk, from memory, or from both; and nothing lost when the disk is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer.wordfiles
import indexer.words
from indexer.errors import PassagesError
from indexer.files import file_hash, sweep
from indexer.terms import Codes
from indexer.words import WORDS_FILE, Keys, Words, bm25, fold, idf, open_words
from tests.files import replace_bytes

TAG = "test"
NONE = np.empty(0, np.int64)


def matching(words: Words, codes: Sequence[int], count: int, allowed: Keys | None = None) -> list[int]:
    """Keys, for a question whose words have one form each."""
    groups = [[code] for code in codes]
    rarity = np.array(words.rarities(groups), np.float32)
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
    fold(tmp_path, in_memory(), TAG)
    (place,) = tmp_path.glob("words-*")
    if damage == "missing":
        (tmp_path / WORDS_FILE).unlink()
    elif damage == "garbage":
        (tmp_path / WORDS_FILE).write_text("{")
    elif damage == "other tag":
        assert open_words(tmp_path, "another").passages == 0
        return
    else:
        for file in list(place.iterdir()):
            replace_bytes(file, b"") if damage == "truncated" else file.unlink()
    assert open_words(tmp_path, TAG).passages == 0
    fold(tmp_path, in_memory(), TAG)
    assert matching(open_words(tmp_path, TAG), [3], 10) == [3, 1]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_crash_before_the_record_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fold(tmp_path, in_memory(PASSAGES[:3]), TAG)
    newer = first.updated(keys(4, 5), blobs(PASSAGES[3:]), keys(2), 2)
    with monkeypatch.context() as patched:
        patched.setattr("indexer.wordfiles.replace_file", stopped)
        patched.setattr("indexer.wordfiles.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            fold(tmp_path, newer, TAG)
    words = open_words(tmp_path, TAG)
    assert sorted(matching(words, [1], 10)) == [1, 2]
    again = fold(tmp_path, words.updated(keys(4, 5), blobs(PASSAGES[3:]), keys(2), 2), TAG)
    assert sorted(matching(again, [1], 10)) == [1, 4, 5]
    assert (again.passages, again.disk and again.disk.searcher.num_docs) == (4, 4)
    assert len(list(tmp_path.glob("words-*"))) == 1


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


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


# --- memory, disk or both, against brute force ---------------------------------------------------------------------


def layout(folder: Path, passages: Sequence[Sequence[int]], folds: Sequence[int], removed: Keys = NONE) -> Words:
    """Passages under keys from 1: folded up to each of ``folds``, the rest in memory, then ``removed`` taken out."""
    words, at = Words.empty(), 0
    for end in folds:
        words = fold(folder, words.updated(np.arange(at + 1, end + 1), blobs(passages[at:end]), NONE, end), TAG)
        at = end
    rest = words.updated(np.arange(at + 1, len(passages) + 1), blobs(passages[at:]), NONE, len(passages))
    return rest.updated(NONE, [], removed, len(passages) + 1)


def holds(passage: Sequence[int], phrase: Sequence[int]) -> bool:
    """Whether the phrase stands behind the divider, read as text."""
    own = passage[list(passage).index(0) + 1 :]
    return f" {' '.join(map(str, phrase))} " in f" {' '.join(map(str, own))} "


titled = st.tuples(st.lists(st.integers(1, 4), max_size=3), st.lists(st.integers(1, 4), min_size=1, max_size=8)).map(
    lambda one: [*one[0], 0, *one[1]]
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(titled, min_size=1, max_size=12),
    st.lists(st.integers(0, 12), max_size=2),
    st.sets(st.integers(1, 12), max_size=4),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_wherever_passages_lie_the_same_ones_are_found(
    tmp_path_factory: pytest.TempPathFactory, passages: list[list[int]], cuts: list[int], gone: set[int], asked: list[int]
) -> None:
    folds = sorted({min(cut, len(passages)) for cut in cuts} - {0})
    gone &= set(range(1, len(passages) + 1))
    words = layout(tmp_path_factory.mktemp("words"), passages, folds, keys(*sorted(gone)))
    left = {key: one for key, one in enumerate(passages, 1) if key not in gone}
    assert words.passages == len(left)
    assert sorted(matching(words, asked[:1], 20)) == [key for key, one in left.items() if asked[0] in one]
    assert words.phrase(asked).tolist() == [key for key, one in left.items() if holds(one, asked)]
    # What is removed counts until it is folded, but only where it lies on disk.
    on_disk = max(folds, default=0)
    counted = [one for key, one in enumerate(passages, 1) if key in left or key <= on_disk]
    assert words.frequency(asked[0]) == sum(asked[0] in one for one in counted)
    folded = fold(tmp_path_factory.mktemp("anew"), layout(Path(), list(left.values()), []), TAG)
    assert folded.frequency(asked[0]) == sum(asked[0] in one for one in left.values())


@pytest.mark.parametrize("folds", [[], [300], [100, 200], [100, 200, 300]])
@pytest.mark.parametrize("few_keys", [1, 5000])
def test_the_allowed_are_all_found_however_far_behind_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: list[int], few_keys: int
) -> None:
    monkeypatch.setattr(indexer.words, "_FEW_KEYS", few_keys)
    worst = {7, 150, 299}  # longest, so that all others come first
    words = layout(tmp_path, [[0, 1, *([2] * 30 if key in worst else [])] for key in range(1, 301)], folds, keys(8, 298))
    assert matching(words, [1], 300, keys(7, 8, 150, 298, 299)) == [7, 150, 299]
    assert len(matching(words, [1], 2, keys(7, 8, 150, 298, 299))) == 2
    assert sorted(matching(words, [1], 400, np.arange(1, 301))) == [key for key in range(1, 301) if key not in (8, 298)]
    assert matching(words, [1], 10, NONE) == matching(words, [1], 10, keys(8)) == matching(words, [3], 10, keys(7)) == []


def test_a_fetch_that_brings_too_few_of_the_allowed_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.words, "_FEW_KEYS", 1)
    words = layout(tmp_path, [[0, 1]] * 240 + [[0, 1, 2, 2]] * 60, [300])
    # a fifth is allowed, so five times 1 + 16 are fetched at first, and none of them is among these
    assert matching(words, [1], 1, np.arange(241, 301)) == [241]
    assert matching(words, [1], 100, np.arange(241, 301)) == list(range(241, 301))


@pytest.mark.parametrize("folds", [[], [60], [60, 70]])
def test_more_removed_than_asked_for_hide_no_passage(tmp_path: Path, folds: list[int]) -> None:
    words = layout(tmp_path, [[0, 1]] * 69 + [[0, 1, 2]], folds, np.arange(1, 69))
    assert matching(words, [1], 2) == [69, 70]


@pytest.mark.parametrize("folds", [[], [40], [10, 20]])
def test_equally_good_passages_come_by_key(tmp_path: Path, folds: list[int]) -> None:
    words = layout(tmp_path, [[0, 1, 2]] * (folds[-1] if folds else 40), folds)
    assert matching(words, [1], 5) == [1, 2, 3, 4, 5]


def test_a_question_word_that_nothing_holds_changes_no_order(words: Words) -> None:
    assert matching(words, [3, 7], 10) == [3, 1]


def test_a_phrase_does_not_begin_before_the_divider_where_the_title_repeats_the_text(tmp_path: Path) -> None:
    passages = [[1, 2, 0, 3], [1, 2, 0, 2, 1], [0, 1, 2]]
    for words in (layout(tmp_path, passages, []), layout(tmp_path, passages, [3])):
        assert words.phrase([1, 2]).tolist() == [3]
        assert words.phrase([2, 3]).tolist() == []
        assert sorted(matching(words, [1], 10)) == [1, 2, 3]  # the title counts for a word


def test_a_passage_added_and_removed_by_one_commit_is_never_there(tmp_path: Path) -> None:
    words = Words.empty().updated(keys(1, 2), blobs([[0, 1], [0, 1]]), keys(2), 1)
    assert (words.passages, words.last_key, matching(words, [1], 10)) == (1, 2, [1])
    assert matching(fold(tmp_path, words, TAG), [1], 10) == [1]


def test_folding_takes_out_what_was_removed_on_disk_and_in_memory(tmp_path: Path) -> None:
    words = fold(tmp_path, layout(tmp_path, PASSAGES, [3], keys(1, 5)), TAG)
    assert (words.passages, words.tail_size, len(words.removed)) == (3, 0, 0)
    assert matching(words, [1], 10) == matching(open_words(tmp_path, TAG), [1], 10)
    assert sorted(matching(words, [1], 10)) == [2, 4]
    assert words.mean_length == (3 + 3 + 3) / 3


# --- damage, other folds, rebuilds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["meta.json", "*.fast", "*.fieldnorm", "*.idx", "*.pos", "*.term", "*.store"])
def test_half_a_file_is_no_index(tmp_path: Path, file: str) -> None:
    fold(tmp_path, in_memory(), TAG)
    (path,) = tmp_path.glob(f"words-1/{file}")
    replace_bytes(path, path.read_bytes()[: path.stat().st_size // 2])
    assert open_words(tmp_path, TAG).passages == 0
    assert matching(fold(tmp_path, in_memory(), TAG), [3], 10) == [3, 1]


@pytest.mark.parametrize("record", ["", "[]", "null", "{}", '{"format": 0, "tag": "test"}', "\x00" * 40])
def test_a_record_that_says_nothing_is_no_index(tmp_path: Path, record: str) -> None:
    fold(tmp_path, in_memory(), TAG)
    (tmp_path / WORDS_FILE).write_text(record)
    assert open_words(tmp_path, TAG).generation == -1
    assert matching(fold(tmp_path, in_memory(), TAG), [3], 10) == [3, 1]


def test_words_of_another_tag_are_made_anew(tmp_path: Path) -> None:
    fold(tmp_path, in_memory(), TAG)
    assert (open_words(tmp_path, "other").passages, open_words(tmp_path, TAG).passages) == (0, 5)
    fold(tmp_path, in_memory(PASSAGES[:3]), "other")
    assert (open_words(tmp_path, "other").passages, open_words(tmp_path, TAG).passages) == (3, 0)


def test_open_words_answer_as_before_also_when_their_files_were_replaced(tmp_path: Path) -> None:
    before = fold(tmp_path, in_memory(), TAG)
    other = open_words(tmp_path, TAG).updated(keys(6), blobs([[0, 3]]), keys(1), 2)
    fold(tmp_path, other, TAG)
    fold(tmp_path, in_memory([[0, 7]]), TAG)  # anew: the first folder is gone
    assert not (tmp_path / "words-1").exists()
    assert (before.passages, before.frequency(3), matching(before, [3], 10)) == (5, 2, [3, 1])
    assert before.phrase([1, 2]).tolist() == [1, 5]
    assert matching(open_words(tmp_path, TAG), [7], 10) == [1]


def test_what_cannot_be_written_is_an_error_and_the_record_stays(tmp_path: Path) -> None:
    stale = fold(tmp_path, in_memory(), TAG)
    fold(tmp_path, in_memory(), TAG)
    record = (tmp_path / WORDS_FILE).read_text()
    with pytest.raises(PassagesError, match="cannot be written"):
        fold(tmp_path, stale.updated(keys(6), blobs([[0, 3]]), NONE, 2), TAG)
    assert (tmp_path / WORDS_FILE).read_text() == record
    assert open_words(tmp_path, TAG).passages == 5


@pytest.mark.parametrize(("removed", "needed"), [(1, False), (2, True)])
def test_a_rebuild_is_due_above_a_tenth(tmp_path: Path, removed: int, needed: bool) -> None:
    words = layout(tmp_path, [[0, 1]] * 10, [10], np.arange(1, removed + 1))
    assert words.needs_rebuild is needed
    assert not layout(tmp_path, [[0, 1]] * 10, [], np.arange(1, removed + 1)).needs_rebuild  # in memory nothing drifts


# --- statistics over folds, ties over segments, damage that tantivy does not notice ---------------------------------


def test_deletions_of_many_folds_add_up_to_a_rebuild(tmp_path: Path) -> None:
    words = layout(tmp_path, [[0, 1]] * 100, [100])
    for fold_number in range(2):
        gone = np.arange(1, 7) + 6 * fold_number
        assert not words.needs_rebuild
        words = fold(tmp_path, words.updated(NONE, [], gone, 101 + fold_number), TAG)
    assert (words.passages, words.frequency(1), words.needs_rebuild) == (88, 100, True)
    assert open_words(tmp_path, TAG).needs_rebuild


def test_ties_at_the_last_place_go_by_key_over_all_segments(tmp_path: Path) -> None:
    words = layout(tmp_path, [[0, 1, 2]] * 450, [100, 400, 450])
    assert matching(words, [1], 5) == [1, 2, 3, 4, 5]
    assert matching(words, [1], 100) == list(range(1, 101))


def test_ties_at_the_last_place_go_by_name_where_passages_have_one(tmp_path: Path) -> None:
    words = layout(tmp_path, [[0, 1, 2]] * 60 + [[0, 1]], [20, 40, 61])
    found = words.matching([[1]], np.ones(1, np.float32), 4, None, lambda some: [f"{100 - key:03}" for key in some.tolist()])
    assert found.tolist() == [61, 60, 59, 58]


def test_a_word_weighs_the_same_on_disk_and_in_memory(tmp_path: Path) -> None:
    passages = [[0, 1, 5], [0, 1, 1, 1], *[[0, 1, 6]] * 18, *[[0, 1, *[7] * 6]] * 30, *[[0, 8]] * 200]
    # Each passage on disk holds 1, which is rare among all: tantivy alone would take it for worth nothing.
    assert matching(layout(tmp_path, passages, [20]), [1], 10) == matching(in_memory(passages), [1], 10)


def test_words_that_are_made_anew_while_they_are_opened_are_opened_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold(tmp_path, in_memory(PASSAGES[:3]), TAG)
    check, rebuilt = indexer.wordfiles._check_files, list[bool]()

    def overtaken(place: Path, hashes: dict[str, str]) -> None:
        if not rebuilt:
            rebuilt.append(True)
            fold(tmp_path, in_memory(), TAG)
        check(place, hashes)

    monkeypatch.setattr(indexer.wordfiles, "_check_files", overtaken)
    assert open_words(tmp_path, TAG).passages == 5


def test_a_fold_into_a_folder_that_is_missing_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(PassagesError, match="make the folder"):
        fold(tmp_path / "missing", in_memory(), TAG)


def test_a_panic_of_tantivy_is_an_ordinary_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = fold(tmp_path, in_memory(), TAG)
    (path,) = tmp_path.glob("words-*/*.idx")
    replace_bytes(path, b"\xff" * path.stat().st_size)
    monkeypatch.setattr(indexer.wordfiles, "_check_files", lambda *_: None)
    assert words.passages == 5
    again = open_words(tmp_path, TAG)  # nothing, or words that an error tells of
    with pytest.raises(PassagesError) if again.passages else nullcontext():
        matching(again, [1, 2, 3], 10)


def test_of_very_many_passages_that_tie_only_some_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    found = indexer.wordfiles.Disk._found

    def counted(disk: indexer.wordfiles.Disk, query: object, limit: int) -> object:
        fetched.append(limit)
        return found(disk, query, limit)  # type: ignore[arg-type]

    words = fold(tmp_path, in_memory([[0, 1, number + 10] for number in range(3000)]), TAG)
    monkeypatch.setattr(indexer.words, "_MOST_TIED", 200)
    monkeypatch.setattr(indexer.wordfiles.Disk, "_found", counted)
    assert len(matching(words, [1], 10)) == 10
    assert max(fetched) < 1000
    assert len(matching(words, [1], 10, np.arange(2000, 3001))) == 10  # and still none that is allowed is missed
    assert matching(words, [1], 5000) == list(range(1, 3001))


def test_files_that_were_checked_are_not_read_again_until_they_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return file_hash(path)

    monkeypatch.setattr(indexer.wordfiles, "file_hash", counted)
    written = fold(tmp_path, in_memory(), TAG)
    first = len(read)
    known = open_words(tmp_path, TAG, written.disk)
    assert known.disk is written.disk
    assert len(read) == first
    assert open_words(tmp_path, TAG).disk is not None
    assert len(read) > first
    fold(tmp_path, known.updated(keys(6), blobs([[0, 3]]), NONE, 2), TAG)
    assert open_words(tmp_path, TAG, written.disk).passages == 6


def test_only_numbered_folders_that_the_record_does_not_name_are_swept(tmp_path: Path) -> None:
    fold(tmp_path, in_memory(), TAG)
    for name in ("words-7", "words-of-wisdom", "words-3.bak"):
        (tmp_path / name).mkdir()
    sweep(tmp_path, "words")
    assert {path.name for path in tmp_path.iterdir()} == {WORDS_FILE, "words-1", "words-of-wisdom", "words-3.bak"}
    assert open_words(tmp_path, TAG).passages == len(PASSAGES)
