"""The way in: what was encoded before is not encoded again, and a document is stored whole or not at all."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from indexer import ingest
from indexer.collection import Collection
from indexer.documents import Document, Heading
from indexer.encoder import Encoder, PassageInput
from indexer.ingest import Effort, Ingest, Step, put, remove, split_document
from indexer.lock import LockedError

ONE = "The first paragraph is about a river that floods in spring."
TWO = "The second paragraph is about a mountain that nobody has climbed."
THREE = "The third paragraph is about a harbour where ships are built."
FOUR = "The fourth paragraph is about a road that was never finished."
FIVE = "The fifth paragraph is about a bell that rings at noon."


def stored(collection: Collection) -> dict[str, list[tuple[int, str, str]]]:
    """Of each document the key, id and text of every passage."""
    with collection.catalog.read() as snapshot:
        ids = snapshot.document_ids()
        return {one: [(p.key, p.id, p.text) for p in snapshot.passages_of(one)] for one in ids}


def effort(collection: Collection, *documents: Document) -> tuple[int, int]:
    """Index in one batch: passages encoded, and passages whose vectors were there."""
    one = Ingest(collection)
    for document in documents:
        one.document(document)
    one.flush()
    return one.effort.encoded, one.effort.reused


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many passages the encoder was given, each time that it was."""
    found: list[int] = []
    passages = Encoder.passages

    def count(self: Encoder, inputs: list[PassageInput], *rest: object) -> object:
        found.append(len(inputs))
        return passages(self, inputs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "passages", count)
    return found


def text(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


# --- nothing is encoded twice -------------------------------------------------------------------------------------


def test_an_unchanged_document_is_not_encoded_again(collection: Collection) -> None:
    document = Document("a", "Title", text(ONE, TWO))
    assert effort(collection, document) == (2, 0)
    before = stored(collection)
    assert effort(collection, document) == (0, 2)
    assert stored(collection) == before


def test_a_paragraph_in_front_is_the_only_one_that_is_encoded(collection: Collection) -> None:
    effort(collection, Document("a", "Title", text(ONE, TWO)))
    before = stored(collection)["a"]
    assert effort(collection, Document("a", "Title", text(THREE, ONE, TWO))) == (1, 2)
    assert [passage[2] for passage in stored(collection)["a"]] == [THREE, ONE, TWO]
    assert stored(collection)["a"][1:] == before


def test_the_same_text_in_the_same_context_is_encoded_once_for_all_documents(collection: Collection) -> None:
    both = Document("a", "Title", text(ONE, TWO)), Document("b", "Title", text(TWO, ONE))
    assert effort(collection, *both) == (2, 2)
    assert effort(collection, Document("c", "Title", text(ONE))) == (0, 1)


def test_the_same_text_in_another_context_is_encoded(collection: Collection) -> None:
    effort(collection, Document("a", "Title", ONE))
    assert effort(collection, Document("b", "Another title", ONE)) == (1, 0)
    under = Document("c", "Title", f"Heading\n\n{ONE}", headings=(Heading(0, 7, 1),))
    assert effort(collection, under) == (1, 0)


def test_what_was_deleted_in_the_same_batch_is_not_encoded_again(collection: Collection) -> None:
    """So a document that goes from one id to another costs nothing."""
    effort(collection, Document("a", "Title", text(ONE, TWO)))
    one = Ingest(collection)
    one.then(lambda writer: writer.delete_document("a"))
    one.document(Document("b", "Title", text(ONE, TWO)))
    one.flush()
    assert one.effort == Effort(0, 2)
    assert list(stored(collection)) == ["b"]


def test_what_decides_a_vector_decides_whether_it_is_used_again(collection: Collection, encoder: Encoder) -> None:
    """All of the model contract but its name, what questions are read with, and the splitter."""
    document = Document("a", "Title", ONE)
    (usual,) = split_document(encoder, document).hashes
    contract = encoder.contract
    for changed in (
        replace(contract, weights="others"), replace(contract, pooling="cls"), replace(contract, passage_prefix="passage: "),
        replace(contract, token_limit=128), replace(contract, context="none"),
    ):  # fmt: skip
        assert ingest._hash(changed, split_document(encoder, document).inputs[0]) != usual
    for same in (replace(contract, name="x"), replace(contract, question_prefix="x"), replace(contract, splitter=99)):
        assert ingest._hash(same, split_document(encoder, document).inputs[0]) == usual


# --- whole or not at all ------------------------------------------------------------------------------------------


def test_put_adds_and_replaces_and_tells_how_many_passages(collection: Collection) -> None:
    assert put(collection, Document("a", "", text(ONE, TWO))) == 2
    assert put(collection, Document("a", "", THREE)) == 1
    assert [passage[2] for passage in stored(collection)["a"]] == [THREE]


def test_remove_deletes_and_tells_whether_there_was_one(collection: Collection) -> None:
    put(collection, Document("a", "", ONE))
    put(collection, Document("b", "", TWO))
    assert remove(collection, "a")
    assert not remove(collection, "a")
    assert list(stored(collection)) == ["b"]


def test_put_and_remove_wait_for_the_lock_and_then_change_nothing(collection: Collection) -> None:
    put(collection, Document("a", "", ONE))
    before = stored(collection)
    with collection.lock.held(0):
        with pytest.raises(LockedError):
            put(collection, Document("a", "", TWO), wait_s=0.01)
        with pytest.raises(LockedError):
            remove(collection, "a", wait_s=0.01)
    assert stored(collection) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_encoder_that_fails_leaves_the_catalog_as_it_was(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    put(collection, Document("a", "", ONE))
    with collection.catalog.read() as snapshot:
        before = stored(collection), snapshot.generation

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(Encoder, "passages", fail)
        with pytest.raises(error):
            put(collection, Document("b", "", TWO))
        with pytest.raises(error):
            put(collection, Document("a", "", text(ONE, TWO)))
    with collection.catalog.read() as snapshot:
        assert (stored(collection), snapshot.generation) == before
    assert put(collection, Document("b", "", TWO)) == 1


def test_an_action_that_fails_undoes_the_documents_of_its_batch(collection: Collection) -> None:
    told: list[object] = []
    one = Ingest(collection)
    one.document(Document("a", "", ONE))
    one.then(lambda _: "stored", told.append)
    one.then(lambda writer: writer.source_key("no such file"))
    with pytest.raises(TypeError):
        one.flush()
    assert stored(collection) == {}
    assert told == [], "who waits for the commit is not told of one that did not happen"


def test_who_waits_is_told_the_result_when_it_is_stored(collection: Collection) -> None:
    put(collection, Document("a", "", ONE))
    seen: list[tuple[object, list[str]]] = []
    one = Ingest(collection)
    one.then(lambda writer: writer.delete_document("a"), lambda result: seen.append((result, list(stored(collection)))))
    assert seen == []
    one.flush()
    assert seen == [(True, [])]


def test_one_giant_document_is_stored_whole_in_one_commit(
    collection: Collection, rounds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded in several rounds, since the token vectors of all of it would not fit in memory."""
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 16)
    paragraphs = [f"Paragraph {number} says that the river is {number * 7} miles long." for number in range(100)]
    steps: list[Step] = []
    one = Ingest(collection, steps.append)
    one.document(Document("giant", "", text(*paragraphs)))
    one.flush()
    assert rounds == [16] * 6 + [4]
    assert [passage[2] for passage in stored(collection)["giant"]] == paragraphs
    with collection.catalog.read() as snapshot:
        assert snapshot.generation == 1
    assert sum(step.passages for step in steps) == 100
    assert sum(step.characters for step in steps) == len(text(*paragraphs))


def test_vectors_are_those_of_the_encoder_in_sixteen_bits(collection: Collection, encoder: Encoder) -> None:
    put(collection, Document("a", "Title", text(ONE, TWO)))
    expected = encoder.passages(split_document(encoder, Document("a", "Title", text(ONE, TWO))).inputs).pooled
    with collection.catalog.read() as snapshot:
        assert snapshot.contract == encoder.contract
        vectors = snapshot.changes(-1, 0, encoder.contract.dimension).vectors
    assert np.allclose(vectors, expected, atol=1e-3)
    assert np.allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-3)


def test_documents_are_committed_batch_by_batch_while_the_next_is_encoded(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 2)
    with Ingest(collection) as one:
        for name, paragraph in [("a", ONE), ("b", TWO), ("c", THREE), ("d", FOUR), ("e", FIVE)]:
            one.document(Document(name, "", paragraph))
        assert list(stored(collection)) == ["a", "b"], "c and d are with the encoder, e is waiting"
        one.flush()
    assert list(stored(collection)) == ["a", "b", "c", "d", "e"]
    assert one.effort == Effort(5, 0)


def test_what_another_batch_is_encoding_is_not_encoded_again(
    collection: Collection, rounds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 2)
    with Ingest(collection) as one:
        for name, paragraphs in [("a", (ONE, TWO)), ("b", (TWO, THREE)), ("c", (ONE, THREE))]:
            one.document(Document(name, "", text(*paragraphs)))
        one.flush()
    assert (rounds, one.effort) == ([2, 1], Effort(3, 3))
    assert [passage[2] for passage in stored(collection)["c"]] == [ONE, THREE]


def test_the_end_of_its_context_keeps_what_was_committed_and_drops_what_waits(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 1)
    with Ingest(collection) as one:
        for name, paragraph in [("a", ONE), ("b", TWO), ("c", THREE)]:
            one.document(Document(name, "", paragraph))
    assert list(stored(collection)) == ["a", "b"]
    assert one.effort == Effort(2, 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


def test_an_error_of_the_encoder_reaches_who_waits_for_the_commit(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> object:
        raise MemoryError("no room")

    put(collection, Document("a", "", ONE))
    monkeypatch.setattr(Encoder, "passages", fail)
    with Ingest(collection) as one:
        one.document(Document("b", "", TWO))
        with pytest.raises(MemoryError, match="no room"):
            one.flush()
    assert list(stored(collection)) == ["a"]


def test_what_a_waiting_batch_took_from_the_catalog_is_found_when_it_is_gone_there(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch replaces the only document that holds a passage, the second takes it over, the third needs it too."""
    put(collection, Document("a", "", ONE))
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 1)
    with Ingest(collection) as one:
        for name, paragraph in [("a", TWO), ("b", ONE), ("c", ONE), ("d", ONE)]:
            one.document(Document(name, "", paragraph))
        one.flush()
    assert {name: passages[0][2] for name, passages in stored(collection).items()} == {"a": TWO, "b": ONE, "c": ONE, "d": ONE}


def test_the_first_commits_are_small(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "FIRST_PASSAGES", 2)
    monkeypatch.setattr(ingest, "COMMIT_PASSAGES", 8)
    sizes = []
    with collection.lock.held(1), Ingest(collection) as working:
        for number in range(30):
            working.document(Document(f"d{number}", "", f"Heron number {number}."))
            with collection.catalog.read() as snapshot:
                sizes.append(snapshot.counts().passages)
        working.flush()
    assert list(dict.fromkeys(sizes)) == [0, 2, 6, 14, 22]
