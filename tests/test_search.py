"""The one function that a question goes through: order, pages, what is refused, and that a result is the text itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.candidates import DeadlineError
from indexer.catalog import passage_ids
from indexer.collection import Collection, View
from indexer.documents import Document
from indexer.encoder import Encoder, TooLongError
from indexer.errors import ChangedError, PassagesError
from indexer.filters import FilterError
from indexer.ingest import Ingest, put
from indexer.models import ModelError
from indexer.passages import Passage
from indexer.question import QuestionError
from indexer.ranking import SIGNALS
from indexer.search import MAX_LIMIT, MAX_QUESTION_CHARS, MAX_REACH, Query, Result, page_of, search

QUESTION = "Where were the ships built?"
SHIPS = "The ships were built in the harbour."
NUMBERED = [f"Ship number {number} was built in the harbour." for number in range(40)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """Forty near duplicates, some of them added later, an exact pair, and a few others."""
    with Collection(tmp_path_factory.mktemp("search"), create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        for number, text in enumerate(NUMBERED):
            ingest.document(Document(f"ship {number}", "Ships", text))
            if number % 9 == 0:
                ingest.flush()
        ingest.document(Document("pair b", "Ships", SHIPS))
        ingest.document(Document("pair a", "Other ships", SHIPS))
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
    assert len(whole) == len(NUMBERED) + 4
    assert [one.passage.id for one in pages(collection, size, 45)] == [one.passage.id for one in whole]
    assert len({one.passage.id for one in whole}) == len(whole)


def test_results_are_best_first_and_ties_in_the_order_of_their_ids(collection: Collection) -> None:
    results = search(collection, Query(QUESTION, 100)).results
    ranks = [(-one.score, one.passage.id) for one in results]
    assert ranks == sorted(ranks)


def test_the_same_text_twice_is_one_result_that_names_the_other_place(collection: Collection) -> None:
    (both,) = [one for one in search(collection, Query(QUESTION, 100)).results if one.passage.text == SHIPS]
    places = {both.passage.document.id, *(copy.document.id for copy in both.also_in)}
    assert (places, len(both.also_in)) == ({"pair a", "pair b"}, 1)


def test_the_first_id_stands_for_more_equal_texts_than_are_candidates_however_they_were_added(
    tmp_path: Path, encoder: Encoder
) -> None:
    ids = {passage_ids(Document(f"copy {n}", "", SHIPS), [Passage(0, len(SHIPS))])[0]: f"copy {n}" for n in range(250)}
    for name, order in (("first is last", sorted(ids, reverse=True)), ("first is first", sorted(ids))):
        with Collection(tmp_path / name, create=True, encoder=encoder) as collection:
            ingest = Ingest(collection)
            for one in order:
                ingest.document(Document(ids[one], "", SHIPS))
            ingest.flush()
            (only,) = search(collection, Query(QUESTION)).results
            assert (only.passage.id, [copy.id for copy in only.also_in]) == (min(ids), sorted(ids)[1:])


def test_of_equal_texts_only_those_that_the_filter_leaves_are_named(collection: Collection) -> None:
    for name in ("pair a", "pair b"):
        (only,) = search(collection, Query(QUESTION, filter={"id": name})).results
        assert (only.passage.document.id, only.also_in) == (name, ())


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
    assert [one.score for one in mine] == [one.score for one in its]
    assert [one.also_in for one in mine if one.also_in]


def test_thousands_of_equal_passages_are_one_result_under_their_first_id(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        put(collection, Document("many", "", "\n\n".join([SHIPS] * 3000 + [NUMBERED[7]])))
        with collection.catalog.read() as snapshot:
            ids = sorted(one.id for one in snapshot.passages_of("many") if one.text == SHIPS)
        results = search(collection, Query(QUESTION, 10)).results
        (equal,) = [one for one in results if one.passage.text == SHIPS]
        assert (equal.passage.id, [copy.id for copy in sorted(equal.also_in, key=lambda one: one.id)]) == (ids[0], ids[1:])
        assert [one.passage.text for one in results if one != equal] == [NUMBERED[7]]


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
    assert (answer.question, answer.verdict, answer.exact, answer.generation) == (QUESTION, "answered", True, generation)
    assert answer.took_ms > 0
    assert answer.stages
    assert set(answer.results[0].signals or {}) == set(SIGNALS)
    plain = search(collection, Query(QUESTION, 1))
    assert (plain.weights, plain.results[0].signals, plain.results[0].terms) == (None, None, None)


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
    assert all(0 <= score <= 1 for score in scores)


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


@contextmanager
def changed_late(takes_s: float, times: int) -> Iterator[None]:
    """So many times what was found is replaced, which shows after some seconds, or at the end of the time that is given."""
    view, rest = Collection.view, iter(range(times))

    @contextmanager
    def changes(self: Collection, timeout_s: float | None = None) -> Iterator[View]:
        if next(rest, None) is not None:
            time.sleep(takes_s if timeout_s is None else min(takes_s, timeout_s))
            raise ChangedError("a document that was found has just been replaced: ask again")
        with view(self, timeout_s) as seen:
            yield seen

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Collection, "view", changes)
        yield


def test_all_tries_of_a_search_together_have_its_time(collection: Collection) -> None:
    search(collection, Query(QUESTION))  # the model is loaded
    began = time.monotonic()
    with changed_late(0.9, times=3), pytest.raises(DeadlineError, match="within 1 seconds"):
        search(collection, Query(QUESTION, timeout_s=1))
    assert time.monotonic() - began < 1.2
    with changed_late(0.2, times=2):
        assert search(collection, Query(QUESTION, timeout_s=5)).took_ms > 400
    with changed_late(0, times=3), pytest.raises(ChangedError):
        search(collection, Query(QUESTION))


# --- question syntax, groups, bounds ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """Six hundred passages about ships, none of which says what one far passage says; documents with dates."""
    with Collection(tmp_path_factory.mktemp("library"), create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        ships = [f"Ship {number} was built in harbour {number % 7}." for number in range(600)]
        for part in range(6):
            ingest.document(Document(f"part {part}", "Ships", "\n\n".join(ships[part * 100 : part * 100 + 100])))
        ingest.document(Document("far", "Cookery", "Simmer the stock, said Aunt Ágota’s grey book, until the moon is up."))
        for date in ("2020", "2021-03", "2021-03-15", "2022-01-01"):
            ingest.document(Document(f"of {date}", "", f"The regatta of {date} was rowed in the rain.", date=date))
        ingest.flush()
        yield collection


def texts(collection: Collection, question: str, **options: Any) -> list[str]:
    return [one.passage.text for one in search(collection, Query(question, **options)).results]


@pytest.mark.parametrize("phrase", ['"until the moon"', "“Until the MOON”", '"Aunt Ágota\'s grey  book"'])
def test_a_quoted_phrase_is_found_wherever_it_occurs(library: Collection, phrase: str) -> None:
    far = "Simmer the stock, said Aunt Ágota’s grey book, until the moon is up."
    assert texts(library, f"Which ship was built in the harbour {phrase}?") == [far]


def test_a_phrase_that_occurs_nowhere_finds_nothing(library: Collection) -> None:
    answer = search(library, Query('ships "until the sun is up"'))
    assert (answer.results, answer.verdict) == ((), "nothing")


def test_an_unclosed_quote_is_text(library: Collection) -> None:
    assert len(texts(library, 'Which ship was built "in the harbour?')) == 10


def test_an_excluded_word_does_not_occur(library: Collection) -> None:
    found = texts(library, "regatta in the rain -rain", limit=100)
    assert found
    assert not any("rain" in text for text in found)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ("before:2021", ["2020"]),
        ("after:2021", ["2022-01-01"]),
        ("after:2020 before:2022", ["2021-03", "2021-03-15"]),
        ("before:2021-03-15", ["2020", "2021-03"]),
        ("before:2021-03", ["2020"]),
        ("after:2021-03", ["2022-01-01"]),
        ("after:2020-05 before:2021-03-15", ["2021-03"]),
        ("after:2021-03-14", ["2021-03-15", "2022-01-01"]),
    ],
)
def test_dates_bound_the_documents(library: Collection, dates: str, expected: list[str]) -> None:
    results = search(library, Query(f"regatta {dates}", 100)).results
    assert sorted(one.passage.document.date or "" for one in results) == expected


def test_phrase_dates_and_filter_hold_together(library: Collection) -> None:
    only = {"id": ["of 2020", "of 2022-01-01", "far"]}
    assert texts(library, 'regatta "rowed in the rain" after:2020', filter=only) == [
        "The regatta of 2022-01-01 was rowed in the rain."
    ]


def test_pages_of_any_size_are_one_list_also_past_the_first_candidates(library: Collection) -> None:
    question = "Which ship was built in harbour 3?"
    lists = []
    for size in (100, 64, 31):
        pages_of = [search(library, Query(question, size, offset)).results for offset in range(0, 700, size)]
        lists.append([(one.passage.id, one.score) for page in pages_of for one in page])
    assert lists[0] == lists[1] == lists[2]
    assert len(set(lists[0])) == len(lists[0]) == 605


def test_a_document_is_one_result_when_grouped(library: Collection) -> None:
    question = "Which ship was built in harbour 3?"
    pages_of = [search(library, Query(question, 4, offset, group="document")).results for offset in (0, 4, 8)]
    documents = [one.passage.document.id for page in pages_of for one in page]
    assert len(documents) == len(set(documents)) == 11
    best = pages_of[0][0]
    assert best.passage == search(library, Query(question, 1)).results[0].passage
    assert best.others is not None
    assert best.others > 0


def test_grouped_pages_of_one_are_the_list_that_one_page_is(library: Collection) -> None:
    question = "Which ship was built in harbour 3?"
    whole = search(library, Query(question, 100, group="document")).results
    single = [one for offset in range(11) for one in search(library, Query(question, 1, offset, group="document")).results]
    assert [(one.passage.id, one.others) for one in single] == [(one.passage.id, one.others) for one in whole]


def test_others_are_the_passages_of_the_document_that_were_found_too(collection: Collection) -> None:
    every = search(collection, Query("mountain snow river", 100)).results
    two = [one for one in every if one.passage.document.id == "two"]
    assert len(two) == 2
    for bound, others in ((0.0, 1), (two[0].score, 0)):
        grouped = search(collection, Query("mountain snow river", 100, group="document", min_score=bound)).results
        assert [(one.passage.id, one.others) for one in grouped if one.passage.document.id == "two"] == [
            (two[0].passage.id, others)
        ]


def test_min_score_leaves_out_what_is_below(library: Collection) -> None:
    every = search(library, Query("regatta of 2020", 100)).results
    bound = every[2].score
    assert [one.score for one in search(library, Query("regatta of 2020", 100, min_score=bound)).results] == [
        one.score for one in every if one.score >= bound
    ]


@pytest.mark.parametrize(
    ("readings", "weighing"),
    [
        (("vector",), {"cosine"}),
        (("words",), {"bm25", "coverage", "unread", "unread_bm25", "unread_coverage"}),
        (("tokens",), {"maxsim", "sentence"}),
        (("vector", "words"), {"cosine", "bm25", "coverage", "unread", "unread_bm25", "unread_coverage"}),
    ],
)
def test_fewer_readings_rank_by_these_alone(library: Collection, readings: tuple[str, ...], weighing: set[str]) -> None:
    answer = search(library, Query("Which ship was built in harbour 3?", 5, explain=True, readings=readings))
    assert answer.weights
    assert {name for name, weight in answer.weights.items() if weight} - {"bias"} <= weighing
    ranks = [one.ranks for one in answer.results if one.ranks]
    assert len(ranks) == 5
    if readings == ("vector",):
        assert {one.words for one in ranks} == {None}
    if readings == ("words",):
        assert {one.vector for one in ranks} == {None}


# --- languages ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """Two documents in German, two in English."""
    texts = {
        "Häuser": "Die Häuser der Altstadt wurden nach dem Brand mit Ziegeln gedeckt, und das war eine Vorschrift.",
        "Fluss": "Der Fluss ist in dem Tal nicht tief, und die Ufer sind mit Schilf bewachsen.",
        "towers": "The towers of the castle were painted by the monks, and that was in the spring.",
        "river": "The river in the valley is not deep, and it is full of reeds.",
    }
    with Collection(tmp_path_factory.mktemp("languages"), create=True, encoder=encoder) as collection:
        for name, text in texts.items():
            put(collection, Document(name, "", text))
        yield collection


@pytest.mark.parametrize(
    ("question", "document", "marked"),
    [
        ("Haus Ziegel", "Häuser", ["Häuser", "Ziegeln"]),
        ("Vorschriften", "Häuser", ["Vorschrift"]),
        ("tower painting monk", "towers", ["towers", "painted", "monks"]),
        ("valleys reed", "river", ["valley", "reeds"]),
    ],
)
def test_inflected_words_are_found_in_each_language_of_a_collection(
    languages: Collection, question: str, document: str, marked: list[str]
) -> None:
    best = search(languages, Query(question, 1, explain=True)).results[0]
    assert best.passage.document.id == document
    assert [span.of(best.passage.document.text) for span in best.matches] == marked
    assert [term.held for term in best.terms or ()] == [True] * len(question.split())


RUSSIAN = {
    "бюджет": "Совет министров утвердил бюджет на следующий год.",
    "пожар": "Пожар уничтожил старую мельницу у реки.",
    "парк": "Школьники посадили деревья в городском парке.",
}


@pytest.mark.parametrize(
    ("question", "document"),
    [("Кто утвердил бюджеты?", "бюджет"), ("Что уничтожили пожары?", "пожар"), ("Где посадили дерево?", "парк")],
)
def test_a_russian_collection_is_ranked_by_words(tmp_path: Path, encoder: Encoder, question: str, document: str) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as russian:
        for name, text in RUSSIAN.items():
            put(russian, Document(name, "", text))
        best, *rest = search(russian, Query(question, explain=True)).results
        assert (best.passage.document.id, len(rest)) == (document, 2)
        assert best.signals
        assert (best.signals["cosine"], best.signals["maxsim"], best.signals["unread"]) == (0, 0, 1)
        assert {one.score for one in rest} == {rest[0].score}, "words that they lack are all that tells them apart"
        assert best.score > rest[0].score


def test_the_verdict_does_not_depend_on_the_score_that_is_asked_for(library: Collection) -> None:
    plain = search(library, Query("regatta of 2020 in the rain"))
    bounded = search(library, Query("regatta of 2020 in the rain", min_score=1.0))
    assert bounded.results == ()
    assert bounded.verdict == plain.verdict != "nothing"


@pytest.mark.parametrize("phrase", ["release 2", "release 2.0", "2,500", "Hawai'i"])
def test_a_phrase_with_a_number_that_goes_on_is_found(tmp_path: Path, encoder: Encoder, phrase: str) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        put(collection, Document("a", "", "Since release 2.0 it holds 2,500,000 names of Hawaiʻi."))
        assert texts(collection, f'"{phrase}"') == ["Since release 2.0 it holds 2,500,000 names of Hawaiʻi."]


def test_copies_do_not_bring_a_document_twice_when_grouped(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        for number in range(30):
            ingest.document(Document(f"d{number}", "Briefing", f"We meet every day.\n\nShip {number} sailed on day {number}."))
        ingest.flush()
        found = search(collection, Query("When do we meet?", 100, group="document")).results
        documents = [one.passage.document.id for one in found]
        assert len(documents) == len(set(documents))
