"""A question as the readings see it."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.encoder import Encoder
from indexer.question import parse
from indexer.reading import encode, phrase_keys, question_words, read, token_weights
from indexer.terms import DIVIDER, codes
from indexer.words import Words


def words_of(*texts: str, language: str = "english") -> Words:
    terms = [np.concatenate([np.array([DIVIDER], np.uint32), codes(text, language)]) for text in texts]
    keys = np.arange(1, len(texts) + 1)
    return Words.empty().updated(keys, terms, np.empty(0, np.int64), 1)


def test_a_word_has_a_term_for_each_language_and_an_asking_word_is_told() -> None:
    found = question_words("Which Häuser burnt?", ["english", "german"])
    assert [(word.start, word.end, word.asks) for word in found] == [(0, 5, True), (6, 12, False), (13, 18, False)]
    assert set(found[1].codes) == {int(codes("Häuser", language)[0]) for language in ("english", "german")}


def test_asking_words_count_for_nothing_unless_there_are_no_others(encoder: Encoder) -> None:
    words = words_of("the ship sank", "who knows what")
    asked = read(encode(encoder, parse("Who sank the ship?")), words, ["english"])
    assert len(asked.words) == 3
    assert not any(word.asks for word in asked.words)
    alone = read(encode(encoder, parse("Who?")), words, ["english"])
    assert [word.asks for word in alone.words] == [True]


def test_a_word_that_comes_twice_counts_once(encoder: Encoder) -> None:
    asked = read(encode(encoder, parse("ships and ship")), words_of("a ship and a boat"), ["english"])
    assert len(asked.words) == 2


def test_rare_words_weigh_more_and_weights_sum_to_one(encoder: Encoder) -> None:
    words = words_of("the ship", "the boat", "the harbour", "the moon")
    asked = read(encode(encoder, parse("the harbour?")), words, ["english"])
    assert asked.rarity[1] > asked.rarity[0]
    assert asked.tokens.weights.sum() == pytest.approx(1)
    assert asked.tokens.weights[1] > asked.tokens.weights[0]


def test_tokens_of_no_word_weigh_nothing_and_all_the_same_if_there_are_no_words() -> None:
    offsets = np.array([[0, 3], [4, 8], [9, 10]], np.int32)
    found = question_words("the moon", ["english"])
    assert token_weights(offsets, found, [0.0, 2.0]).tolist() == [0, 1, 0]
    assert token_weights(offsets, [], []).tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("question", "low", "high"),
    [
        ("Who hosts the next meeting of the ministers?", 1, 1),
        ("Wer richtet die nächste Sitzung der Minister aus?", 0.1, 0.9),
        ("Кто проводит следующую встречу министров?", 0, 0.15),
        ("من يستضيف الاجتماع القادم للوزراء؟", 0, 0.1),
        ("谁将主办下一次部长会议？", 0, 0.1),
        ("1911?", 1, 1),
    ],
)
def test_how_well_the_model_reads_a_question_is_told_from_its_text(
    encoder: Encoder, question: str, low: float, high: float
) -> None:
    assert low <= encode(encoder, parse(question)).readable <= high


def test_a_phrase_is_looked_up_in_every_language() -> None:
    words = words_of("alte Häuser am Fluss", "Häuser sind alt", language="german")
    keys = phrase_keys(words, "alte Häuser", ["english", "german"])
    assert keys is not None
    assert keys.tolist() == [1]


@pytest.mark.parametrize("phrase", ["東", "😀"])
def test_a_phrase_that_the_index_cannot_tell_restricts_nothing(phrase: str) -> None:
    assert phrase_keys(words_of("東京 😀"), phrase, ["english"]) is None
