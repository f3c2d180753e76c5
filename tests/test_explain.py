"""Why a passage was found or not, and what is like it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.explain import Explanation, explain, similar
from indexer.ingest import Ingest
from indexer.search import Query, search

QUESTION = "Which ship was built in harbour 3?"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """Two hundred and fifty near passages, two equal ones, and a far one."""
    with Collection(tmp_path_factory.mktemp("explain"), create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        ships = "\n\n".join(f"Ship {number} was built in harbour {number % 7}." for number in range(250))
        ingest.document(Document("ships", "Ships", ships, date="2022-01-01"))
        for name in ("copy a", "copy b"):
            ingest.document(Document(name, "Ships", "The ship in harbour 3 was built in a year.", date="2022-01-01"))
        ingest.document(Document("far", "Cookery", "Simmer the onions slowly.", date="2020-01-01"))
        ingest.flush()
        yield collection


def passage(collection: Collection, document: str, number: int = 0) -> str:
    with collection.catalog.read() as snapshot:
        return snapshot.passages_of(document)[number].id


def explained(collection: Collection, passage_id: str, question: str = QUESTION, **options: Any) -> Explanation:
    found = explain(collection, Query(question, **options), passage_id)
    assert found
    return found


def test_a_passage_that_is_returned_is_told_with_its_place(collection: Collection) -> None:
    results = search(collection, Query(QUESTION, 5, explain=True)).results
    for rank, result in enumerate(results, 1):
        found = explained(collection, result.passage.id, limit=5)
        assert (found.step, found.rank, found.score) == ("returned", rank, result.score)
        assert found.signals == pytest.approx(result.signals, abs=1e-6)
        assert found.terms == result.terms


def test_each_step_that_drops_a_passage_is_told(collection: Collection) -> None:
    results = search(collection, Query(QUESTION, 20)).results
    late = results[10].passage.id
    far, ids = passage(collection, "far"), {passage(collection, name) for name in ("copy a", "copy b")}
    assert explained(collection, late, limit=5).step == "rank"
    assert explained(collection, late, limit=5, offset=15).step == "rank"
    assert explained(collection, late, limit=20, min_score=results[9].score + 1e-5).step == "min_score"
    assert explained(collection, far).step == "candidates"
    assert explained(collection, far, QUESTION + " after:2021").step == "filter"
    assert explained(collection, far, QUESTION + ' "harbour"').step == "phrase"
    assert explained(collection, far, QUESTION + " -onions").step == "phrase"
    steps = {explained(collection, one, limit=100).step for one in ids}
    assert steps == {"returned", "duplicate"}


def test_ranks_are_of_the_whole_lists(collection: Collection) -> None:
    found = explained(collection, passage(collection, "far"))
    assert (found.ranks.vector, found.ranks.words) == (253, None)


def test_a_passage_that_is_not_there_has_no_explanation(collection: Collection) -> None:
    assert explain(collection, Query(QUESTION), "none") is None
    assert similar(collection, "none", 3) is None


def test_similar_passages_are_neither_the_passage_nor_its_copies(collection: Collection) -> None:
    found = similar(collection, passage(collection, "copy a"), 4)
    assert found
    assert len({one.text for one, _ in found} | {"The ship in harbour 3 was built in a year."}) == 5
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
