"""A question as the readings see it."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.encoder import Encoder
from indexer.question import parse
from indexer.reading import encode, phrase_forms, question_words, read, token_weights
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


@pytest.mark.parametrize("question", ["Which ship sank?", "WHICH ship, which one, sank?"])
def test_which_weighs_less_than_a_word_however_rare_it_is(encoder: Encoder, question: str) -> None:
    words = words_of(*["the ship sank"] * 20)
    asked = read(encode(encoder, parse(question)), words, ["english"])
    assert "which" not in [question[word.start : word.end].casefold() for word in asked.words]
    assert len(asked.rarity) == len(asked.words)
    found = question_words(question, ["english"])
    assert found[0].asks
    offsets = np.array([[word.start, word.end] for word in found], np.int32)
    which, other = token_weights(offsets, found, [9.0] * len(found))[:2]
    assert which / other == pytest.approx(1 / 3)  # the root of 1 by the root of 9


def test_words_are_in_order_with_one_term_where_languages_agree() -> None:
    (one, other) = question_words("Ships 1911", ["english", "german"])
    assert other.codes == (int(codes("1911", "english")[0]),)
    assert one.codes == tuple(int(codes("Ships", language)[0]) for language in ("english", "german"))
    assert question_words("Ships", []) == []


@pytest.mark.parametrize("question", ["Who sank it?", "東京 😀?", "😀", "?", "Кто?", "the the the"])
def test_token_weights_are_not_negative_and_sum_to_one(encoder: Encoder, question: str) -> None:
    for words in (Words.empty(), words_of("the ship sank", "the boat")):
        tokens = read(encode(encoder, parse(question)), words, ["english", "german"]).tokens
        assert len(tokens.weights) == len(tokens.vectors)
        assert tokens.weights.min() >= 0
        assert tokens.weights.sum() == pytest.approx(1, abs=1e-6)


def test_a_word_of_several_tokens_gives_each_of_them_its_weight() -> None:
    found = question_words("lighthousekeeper sank", ["english"])
    offsets = np.array([[0, 5], [5, 16], [17, 21]], np.int32)
    assert token_weights(offsets, found, [4.0, 1.0]).tolist() == pytest.approx([0.4, 0.4, 0.2])


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


def found(words: Words, phrase: str, languages: list[str]) -> list[int]:
    """The passages in whose text one of the phrase's forms stands."""
    forms = phrase_forms(phrase, languages)
    assert forms is not None
    return sorted({key for codes in forms for key in words.phrase(codes).tolist()})


def test_a_phrase_is_looked_up_in_every_language() -> None:
    words = words_of("alte Häuser am Fluss", "Häuser sind alt", language="german")
    assert found(words, "alte Häuser", ["english", "german"]) == [1]


def test_a_phrase_is_its_words_in_any_form_in_order_side_by_side() -> None:
    texts = ["The keepers lamps burn.", "A lamp keeper.", "A keeper and a lamp.", "keeper lamp", "Its keeper. Lamp oil."]
    assert found(words_of(*texts), "Keeper's lamp", ["english"]) == []  # the s is a word here
    assert found(words_of(*texts), "Keeper lamp", ["english"]) == [1, 4, 5]


def test_a_phrase_of_no_language_is_nowhere() -> None:
    assert phrase_forms("ship", []) == []


@pytest.mark.parametrize("phrase", ["東", "😀"])
def test_a_phrase_that_the_index_cannot_tell_restricts_nothing(phrase: str) -> None:
    assert phrase_forms(phrase, ["english"]) is None
