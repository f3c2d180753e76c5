"""The sentence that carries the answer, and the words that are shared."""

from __future__ import annotations

import pytest

from indexer.collection import Collection
from indexer.documents import Document
from indexer.ingest import put
from indexer.search import Query, Result, search

TEXT = (
    "😀 The lighthouse stands on a rock. It was built by Fresnel in 1827, and its lamp burns oil. "
    "The keeper's family lived below the lamp room until 1911. Ships are warned by a horn when fog hides the light."
)


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
