"""The one function that a question goes through: order, pages, what is refused, and that a result is the text itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder, TooLongError
from indexer.errors import PassagesError
from indexer.filters import FilterError
from indexer.ingest import Ingest, put
from indexer.models import ModelError
from indexer.question import QuestionError
from indexer.search import MAX_LIMIT, MAX_QUESTION_CHARS, MAX_REACH, Query, Result, page_of, search

QUESTION = "Where were the ships built?"
SHIPS = "The ships were built in the harbour."
COPIES = 40


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """Forty exact duplicates, some of them added later, and a few others."""
    with Collection(tmp_path_factory.mktemp("search"), create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        for number in range(COPIES):
            ingest.document(Document(f"copy {number}", "Ships", SHIPS))
            if number % 9 == 0:
                ingest.flush()
        ingest.document(Document("best", "Ships", "Where the ships were built: they were built in the harbour."))
        ingest.document(Document("two", "The 😀 river", "  A river floods.\n\nA heading\n\nSnow 😀 lies on the mountain.\n"))
        ingest.flush()
        yield collection


def pages(collection: Collection, size: int, reach: int, **filters: object) -> list[Result]:
    found: list[Result] = []
    for offset in range(0, reach, size):
        found += search(collection, Query(QUESTION, size, offset, filters)).results
    return found


# --- order and pages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 40])
def test_pages_never_overlap_and_together_are_one_list(collection: Collection, size: int) -> None:
    whole = search(collection, Query(QUESTION, 100)).results
    assert len(whole) == COPIES + 3
    assert [one.passage.id for one in pages(collection, size, 44)] == [one.passage.id for one in whole]
    assert len({one.passage.id for one in whole}) == len(whole)


def test_ties_are_in_the_order_of_their_ids(collection: Collection) -> None:
    results = search(collection, Query(QUESTION, 100)).results
    assert [one.score for one in results] == sorted((one.score for one in results), reverse=True)
    copies = [one.passage.id for one in results if one.passage.text == SHIPS]
    assert len({one.score for one in results if one.passage.text == SHIPS}) == 1
    assert copies == sorted(copies)


def test_an_offset_beyond_the_end_gives_an_empty_answer(collection: Collection) -> None:
    assert search(collection, Query(QUESTION, 10, 500)).results == ()


def test_equal_collections_that_grew_in_another_order_answer_alike(
    collection: Collection, tmp_path: Path, encoder: Encoder
) -> None:
    with Collection(tmp_path / "other", create=True, encoder=encoder) as other:
        with collection.catalog.read() as snapshot:
            documents = [snapshot.document(one) for one in reversed(snapshot.document_ids())]
        ingest = Ingest(other)
        for document in documents:
            assert document
            ingest.document(document)
        ingest.flush()
        mine, its = (search(one, Query(QUESTION, 100)).results for one in (collection, other))
    assert [one.passage.id for one in mine] == [one.passage.id for one in its]
    assert [one.score for one in mine] == pytest.approx([one.score for one in its], abs=1e-3)


def test_thousands_of_duplicates_are_ranked_by_id(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        put(collection, Document("many", "", "\n\n".join([SHIPS] * 3000)))
        with collection.catalog.read() as snapshot:
            ids = sorted(one.id for one in snapshot.passages_of("many"))
        assert [one.passage.id for one in search(collection, Query(QUESTION, 10, 20)).results] == ids[20:30]


# --- results ------------------------------------------------------------------------------------------------------


def test_a_result_is_the_text_of_its_document_at_its_place(collection: Collection) -> None:
    results = search(collection, Query("What lies on the mountain?", 100)).results
    assert results[0].passage.text == "Snow 😀 lies on the mountain."
    assert results[0].passage.heading == "A heading"
    for result in results:
        passage = result.passage
        assert passage.text == passage.document.text[passage.start : passage.end] == passage.text.strip() != ""


def test_the_answer_tells_its_commit_and_gives_signals_when_they_are_asked_for(collection: Collection) -> None:
    with collection.catalog.read() as snapshot:
        generation = snapshot.generation
    answer = search(collection, Query(QUESTION, 1, explain=True))
    assert (answer.question, answer.verdict, answer.exact, answer.generation) == (QUESTION, "uncalibrated", True, generation)
    assert answer.took_ms > 0
    assert answer.results[0].signals == {"cosine": answer.results[0].score}
    assert search(collection, Query(QUESTION, 1)).results[0].signals is None


def test_a_filter_restricts_the_search(collection: Collection) -> None:
    assert [one.passage.document.id for one in pages(collection, 1, 3, id=["two"])] == ["two", "two"]
    assert search(collection, Query(QUESTION, filter={"id": "none"})).results == ()
    with pytest.raises(FilterError):
        search(collection, Query(QUESTION, filter={"id": {"like": "two"}}))


def test_an_empty_index_gives_an_empty_answer(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        answer = search(collection, Query(QUESTION, filter={"id": "a"}))
        assert (answer.results, answer.generation) == ((), 0)
        put(collection, Document("a", "", SHIPS))
        assert [one.passage.text for one in search(collection, Query(QUESTION)).results] == [SHIPS]


def test_a_place_is_on_the_page_that_began_before_it() -> None:
    document = Document("a", "", "text", pages=(0, 10, 10, 20))
    assert [page_of(document, at) for at in (0, 9, 10, 19, 20, 99)] == [1, 1, 3, 3, 4, 4]
    assert page_of(replace(document, pages=()), 5) is None


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(""), "the question is empty; ask something"),
        (Query(" \n\u2003"), "the question is empty; ask something"),
        (Query("a" * (MAX_QUESTION_CHARS + 1)), "has 4001 characters, at most 4000 are read; ask it in fewer words"),
        (Query("half \ud83d"), "half of a surrogate pair, which is not text; send valid Unicode"),
        (Query(QUESTION, limit=0), f"limit is 0; it can be 1 to {MAX_LIMIT}"),
        (Query(QUESTION, limit=MAX_LIMIT + 1), f"limit is 101; it can be 1 to {MAX_LIMIT}"),
        (Query(QUESTION, offset=-1), "together reach 9; they can reach up to 1000"),
        (Query(QUESTION, 10, MAX_REACH - 9), "together reach 1001; they can reach up to 1000"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_what_can(collection: Collection, query: Query, message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        search(collection, query)


def test_the_furthest_page_and_the_longest_question_are_answered(collection: Collection) -> None:
    assert search(collection, Query(QUESTION, MAX_LIMIT, MAX_REACH - MAX_LIMIT)).results == ()
    assert search(collection, Query("x" * MAX_QUESTION_CHARS, 1)).results


def test_a_question_of_more_tokens_than_the_model_reads_is_refused(collection: Collection) -> None:
    with pytest.raises(TooLongError, match=r"the question has 300 tokens and the model reads 254: ask it in fewer words"):
        search(collection, Query("word " * 300))


@pytest.mark.parametrize("question", ["\0", "?", "😀", "\u200b", "a\0b", "\U0010ffff", "Кто?", "' OR 1=1 --"])
def test_odd_questions_are_answered(collection: Collection, question: str) -> None:
    scores = [one.score for one in search(collection, Query(question, 3)).results]
    assert len(scores) == 3
    assert all(-1 <= score <= 1 for score in scores)


def test_an_index_that_is_encoded_again_with_another_model_while_the_question_is_encoded_is_an_error(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        put(collection, Document("a", "", SHIPS))
        question = Encoder.question

        def meanwhile(self: Encoder, text: str) -> object:
            with collection.catalog.write() as writer:
                writer.set_contract(replace(encoder.contract, weights="others"))
            return question(self, text)

        monkeypatch.setattr(Encoder, "question", meanwhile)
        with pytest.raises(ModelError, match="encode the whole index again") as caught:
            search(collection, Query(QUESTION))
        assert isinstance(caught.value, PassagesError)
