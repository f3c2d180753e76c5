"""The sentence that carries the answer, and the words that are shared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder, PassageInput
from indexer.evidence import evidence, matches, shared
from indexer.ingest import put
from indexer.question import parse
from indexer.reading import Question, encode, read
from indexer.records import StoredPassage
from indexer.search import Query, Result, search
from indexer.sentences import Span, sentences
from indexer.terms import DIVIDER, Term, codes
from indexer.tokens import NO_TOKENS, TokenCodes, compress
from indexer.words import Words

TEXT = (
    "😀 The lighthouse stands on a rock. It was built by Fresnel in 1827, and its lamp burns oil. "
    "The keeper's family lived below the lamp room until 1911. Ships are warned by a horn when fog hides the light."
)


BEFORE = "😀😀 Before. "
RARE = Words.empty()  # of no passage: all words are equally rare


def asked(encoder: Encoder, question: str, words: Words = RARE) -> Question:
    return read(encode(encoder, parse(question)), words, ["english"])


def stored(text: str) -> StoredPassage:
    """The passage in the middle of a document."""
    document = Document("a", "", BEFORE + text + " After.")
    return StoredPassage(1, "1", 1, len(BEFORE), len(BEFORE + text), (), "english", document)


def in_common(question: Question, text: str) -> list[Term]:
    return shared(question, text, codes(text, "english"))


def tokens_of(encoder: Encoder, text: str) -> TokenCodes:
    encoded = encoder.passages([PassageInput("", text)])
    return compress(encoded.tokens[0], encoded.offsets[0], text)


def marked(question: Question, text: str) -> list[str]:
    passage = stored(text)
    return [span.of(passage.document.text) for span in matches(question, passage, in_common(question, text))]


def told(question: Question, text: str, tokens: TokenCodes) -> str | None:
    passage = stored(text)
    span = evidence(question, passage, tokens, in_common(question, text))
    return span.of(passage.document.text) if span else None


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("When was it sold?", "Oak is hard. 😀 They sold it in 1904! It is painted red.", "😀 They sold it in 1904!"),
        ("What is it painted with?", "Oak is hard. They sold it in 1904. It has red colour on it.", "It has red colour on it."),
        ("What tree is it from?", "It is of oak. They sold it in 1904. Now it rests.", "It is of oak."),
        ("Anything?", "One sentence and no mark", "One sentence and no mark"),
    ],
)
def test_tokens_tell_the_sentence_also_where_no_word_is_shared(encoder: Encoder, question: str, text: str, answer: str) -> None:
    assert told(asked(encoder, question), text, tokens_of(encoder, text)) == answer


def test_shared_words_tell_the_sentence_where_there_are_no_tokens(encoder: Encoder) -> None:
    question = asked(encoder, "horns in fog")
    assert told(question, "Fog is wet. Horns sound in fog. Horns in fog sound.", NO_TOKENS) == "Horns sound in fog."
    assert told(question, "Nothing of it. Nor here.", NO_TOKENS) is None
    assert told(question, "", NO_TOKENS) is None


def test_terms_are_shared_by_stem_with_their_characters(encoder: Encoder) -> None:
    question = asked(encoder, "lighthouses burning?")
    text = "😀 A lighthouse burned; the light-house burns."
    assert [(text[term.start : term.end]) for term in in_common(question, text)] == ["lighthouse", "burned", "burns"]
    assert in_common(question, "Nothing.") == in_common(question, "") == []


def test_words_that_overlap_are_one_match_and_neighbours_are_two(encoder: Encoder) -> None:
    assert marked(asked(encoder, "東京都"), "😀 東京都 京都 東") == ["東京都", "京都"]
    assert marked(asked(encoder, "東京 abc"), "東京abc") == ["東京", "abc"]
    assert marked(asked(encoder, '"ship\'s bell" rang'), "The ship’s  bell rang, rang.") == ["ship’s  bell", "rang", "rang"]
    assert marked(asked(encoder, '"a bell" "bell rang"'), "A bell rang.") == ["A bell rang"]


def test_words_that_nearly_every_passage_holds_are_not_marked(encoder: Encoder) -> None:
    texts = [codes(text, "english") for text in ["the ship"] + ["the oak"] * 9]
    words = RARE.updated(np.arange(1, 11), [np.insert(some, 0, DIVIDER) for some in texts], np.empty(0, np.int64), 1)
    assert marked(asked(encoder, "the ship", words), "The ship and the oak") == ["ship"]
    assert marked(asked(encoder, "the", words), "The ship and the oak") == ["The", "the"]


@given(st.text("ab .。!😀東\n", max_size=40), st.sampled_from(["a b", '"a b" ab', "東東 a", "😀"]))
@settings(deadline=None, max_examples=60)  # the encoder, on a busy machine
def test_evidence_and_matches_are_inside_the_passage_in_order_and_apart(encoder: Encoder, text: str, question: str) -> None:
    ask = asked(encoder, question)
    passage = stored(text)
    found = in_common(ask, text)
    spans = matches(ask, passage, found)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(passage.start <= span.start < span.end <= passage.end for span in spans)
    inside = {at for term in found for at in range(term.start, term.end)}
    if not ask.asked.phrases:
        assert {at - passage.start for span in spans for at in range(*span)} == inside
    sentence = evidence(ask, passage, NO_TOKENS, found)
    assert (sentence is None) == (not found)
    assert sentence is None or sentence in [
        Span(span.start + passage.start, span.end + passage.start) for span in sentences(text)
    ]


@pytest.fixture
def lighthouse(collection: Collection) -> Collection:
    put(collection, Document("lighthouse", "A guide", "Before.\n\n" + TEXT + "\n\nAfter it, nothing."))
    return collection


def best(collection: Collection, question: str) -> Result:
    return next(one for one in search(collection, Query(question)).results if one.passage.text == TEXT)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who built it?", "Fresnel"),
        ("Where did the family of the keeper live?", "below the lamp room"),
        ("How are ships warned in fog?", "by a horn"),
    ],
)
def test_the_evidence_is_the_sentence_that_answers(lighthouse: Collection, question: str, answer: str) -> None:
    result = best(lighthouse, question)
    assert result.evidence
    sentence = result.evidence.of(result.passage.document.text)
    assert answer in sentence
    assert sentence.endswith(".")
    assert result.passage.start <= result.evidence.start < result.evidence.end <= result.passage.end


def test_matches_are_the_question_s_words_in_order_behind_an_emoji_too(lighthouse: Collection) -> None:
    result = best(lighthouse, "lighthouses on rocks")
    text = result.passage.document.text
    words = [span.of(text) for span in result.matches]
    assert [word for word in words if word != "on"] == ["lighthouse", "rock"]
    assert all(one.end <= other.start for one, other in zip(result.matches, result.matches[1:], strict=False))


def test_a_phrase_is_one_match(lighthouse: Collection) -> None:
    result = best(lighthouse, '"burns oil"')
    assert [span.of(result.passage.document.text) for span in result.matches] == ["burns oil"]


def test_words_alone_can_carry_evidence_where_the_model_does_not_read(collection: Collection) -> None:
    put(collection, Document("ru", "", "Маяк стоит на скале. Его построил мастер Иванов. Лампа горит всю ночь."))
    (result,) = search(collection, Query("Кто построил?")).results
    assert result.evidence
    assert result.evidence.of(result.passage.document.text) == "Его построил мастер Иванов."
