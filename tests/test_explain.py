"""Why a passage was found or not, and what is like it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.explain import Explanation, explain, similar
from indexer.ingest import Ingest, put
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


def test_a_copy_is_told_which_result_names_it_and_is_returned_where_a_filter_leaves_it_alone(collection: Collection) -> None:
    first, second = sorted(passage(collection, name) for name in ("copy a", "copy b"))
    found, shown = (explained(collection, one, limit=100) for one in (second, first))
    assert (shown.step, found.step, found.rank, found.score) == ("returned", "duplicate", shown.rank, shown.score)
    assert first in found.reason
    alone = {"id": found.passage.document.id}
    assert explained(collection, second, filter=alone).step == "returned"
    assert explained(collection, first, filter=alone).step == "filter"


def test_when_grouped_all_but_the_best_passage_of_a_document_are_told_so(collection: Collection) -> None:
    ships = [one for one in search(collection, Query(QUESTION, 10)).results if one.passage.document.id == "ships"]
    best, second = (explained(collection, one.passage.id, group="document") for one in ships[:2])
    assert (best.step, second.step, second.rank) == ("returned", "document", None)


def test_signals_times_weights_give_the_score_of_a_passage_that_is_not_returned(collection: Collection) -> None:
    found = explained(collection, passage(collection, "far"))
    logit = found.weights["bias"] + sum(found.weights[name] * value for name, value in found.signals.items())
    assert found.score == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
    assert [(one.word, one.held) for one in found.terms] == [
        ("ship", False), ("built", False), ("in", False), ("harbour", False), ("3", False),
    ]  # fmt: skip


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


def test_nothing_is_like_a_passage_that_is_alone_with_its_copies(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path, create=True, encoder=encoder) as collection:
        for number in range(5):
            put(collection, Document(f"{number}", f"Title {number}", "Simmer the onions slowly."))
        assert similar(collection, passage(collection, "3"), 1) == []
        put(collection, Document("other", "", "Fry the onions fast."))
        assert [one.document.id for one, _ in similar(collection, passage(collection, "3"), 1) or ()] == ["other"]
