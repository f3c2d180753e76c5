"""What an index holds decides its results, and nothing of how it came about: order, commits, folds, what was deleted."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexer.collection import Collection
from indexer.contents import content_hash
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.ingest import put, remove
from indexer.search import Query, search

QUESTIONS = ("who saw the river?", "mountain", 'the "cold river" in spring', "boat -goat")
PLACES = ("river", "mountain", "town", "harbour")
# Many of equal length and equal words, which tie by BM25; equal texts; texts that the model reads alike but for their case.
DOCUMENTS = [
    *(Document(f"note-{at:02}", "", f"The {PLACES[at % 4]} number {at % 9} was cold in spring.") for at in range(24)),
    *(Document(f"copy-{at}", f"Title {at % 2}", "They saw the cold river.") for at in range(5)),
    *(Document(f"case-{at}", "", text) for at, text in enumerate(("A BOAT IN THE RIVER", "a boat in the river"))),
    Document("deutsch", "", "Der Fluss und die Stadt sind im Winter nicht so kalt wie der Berg."),
]
GONE = [Document(f"gone-{at}", "", f"La rivière et le bateau sont dans la montagne {at}.") for at in range(6)]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that ties at their last place decide which ones there are."""
    monkeypatch.setattr("indexer.candidates.FIRST_BLOCK", 5)
    monkeypatch.setattr("indexer.candidates.LAST_BLOCK", 5)
    monkeypatch.setattr("indexer.candidates.PROMISING", 4)


def built(folder: Path, encoder: Encoder, documents: Sequence[Document], gone: Sequence[Document] = ()) -> Collection:
    collection = Collection(folder, create=True, encoder=encoder)
    for number, document in enumerate([*gone, *documents]):
        put(collection, document)
        if number % 10 == 9:
            with collection.lock.held(1):
                collection.fold_words()
                collection.fold_vectors()
    for document in gone:
        remove(collection, document.id)
    return collection


def answers(collection: Collection) -> list[object]:
    found = [search(collection, Query(question, explain=True)) for question in QUESTIONS]
    return [
        (one.verdict, [(row.passage.id, row.score, row.evidence, row.matches, row.ranks, row.others) for row in one.results])
        for one in found
    ]


def contents(collection: Collection) -> str:
    with collection.catalog.read() as snapshot:
        return content_hash(snapshot)


@pytest.fixture
def plain(tmp_path: Path, encoder: Encoder) -> Iterator[Collection]:
    with built(tmp_path / "plain", encoder, DOCUMENTS) as collection:
        with collection.lock.held(1):
            collection.rebuild_derived()
        yield collection


@pytest.mark.parametrize("passages_in_files", [10, 20_000])
def test_the_same_documents_in_any_order_give_the_same_results_after_compaction(
    tmp_path: Path, encoder: Encoder, plain: Collection, passages_in_files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.vectorstate.FILES_PASSAGES", passages_in_files)
    with plain.lock.held(1):
        plain.rebuild_derived()
    expected = answers(plain)
    for seed in range(3):
        shuffled = random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))  # noqa: S311
        with built(tmp_path / str(seed), encoder, shuffled, GONE) as other:
            with other.lock.held(1):
                other.rebuild_derived()
            assert answers(other) == expected
            assert contents(other) == contents(plain)


def test_the_content_hash_is_another_for_every_change_of_what_is_held(plain: Collection) -> None:
    known = {contents(plain)}
    changes = [Document("note-00", "", "Other."), Document("note-00", "New", "Other."), Document("more", "", "More.")]
    changes.append(Document("more", "", "More.", metadata={"a": 1}))
    changes.append(Document("more", "", "More.", date="2026-01-01"))
    for number, document in enumerate(changes, 2):
        put(plain, document)
        known.add(contents(plain))
        assert len(known) == number
    before = contents(plain)
    put(plain, Document("more", "", "More.", uri="https://example.org/elsewhere", date="2026-01-01"))
    assert contents(plain) == before


def test_compaction_forgets_languages_of_what_is_gone(plain: Collection) -> None:
    put(plain, GONE[0])
    remove(plain, GONE[0].id)
    with plain.lock.held(1):
        plain.rebuild_derived()
    with plain.catalog.read() as snapshot:
        assert snapshot.languages() == ["english", "german"]
