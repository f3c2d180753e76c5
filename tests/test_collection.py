"""An open collection: it follows the commits of other processes, each whole, and answers only for its own model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from indexer.catalog import EncodedPassage
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder, PassageInput
from indexer.ingest import Effort, Ingest, Step, passage_terms, put, reindex, remove
from indexer.models import ModelContract, ModelError, locate
from indexer.passages import Passage
from indexer.ranking import CALIBRATIONS
from indexer.schema import CatalogError
from indexer.search import Query, search
from indexer.tokens import compress
from tests.files import replace_bytes

RIVER = "The river floods the lower town in spring."
MOUNTAIN = "Nobody has climbed the mountain from the north."
QUESTION = "Who has climbed the mountain?"


def found(collection: Collection, question: str = QUESTION) -> list[str]:
    """The documents of the passages that were found, best first."""
    return [one.passage.document.id for one in search(collection, Query(question, 100)).results]


def state(collection: Collection) -> tuple[int, ModelContract | None, list[tuple[int, str, str]]]:
    """Generation, contract, and key, id and text of every passage."""
    with collection.catalog.read() as snapshot:
        passages = [(p.key, p.id, p.text) for one in snapshot.document_ids() for p in snapshot.passages_of(one)]
        return snapshot.generation, snapshot.contract, passages


def with_title(text: str) -> PassageInput:
    return PassageInput("A title", text)


# --- open and close -----------------------------------------------------------------------------------------------


def test_a_folder_of_other_files_does_not_become_an_index(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir.")
    with pytest.raises(CatalogError, match="holds other files and no index; choose a new or empty folder"):
        Collection(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_without_an_index_is_an_error_that_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogError, match=rf"no index in {tmp_path} \(from .*\); make one: passages index --index {tmp_path} PATH\.\.\."
    ):
        Collection(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match=r"cannot be made: .*; choose another with --index"):
        Collection(tmp_path / "file", create=True)
    assert (tmp_path / "file").read_bytes() == b""


def test_a_collection_that_was_closed_is_as_it_was_when_it_is_opened_again(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path / "index", create=True, encoder=encoder) as collection:
        put(collection, Document("a", "", RIVER))
        put(collection, Document("b", "", MOUNTAIN))
        before = found(collection)
    with Collection(tmp_path / "index", encoder=encoder) as collection:
        assert found(collection) == before == ["b", "a"]


# --- commits of other processes -----------------------------------------------------------------------------------

OTHER = """
import sys
from pathlib import Path
import numpy as np
from indexer.catalog import Catalog, EncodedPassage
from indexer.documents import Document
from indexer.passages import Passage
from indexer.tokens import TokenCodes

catalog, text, made = Catalog(Path(sys.argv[1])), sys.argv[2], np.load(sys.argv[3])
tokens = TokenCodes(made["codes"], made["places"], made["norms"])
passage = EncodedPassage(Passage(0, len(text)), b"input", made["vector"], tokens, made["terms"], "english")
for line in sys.stdin:
    with catalog.write() as writer:
        if line == "put\\n":
            writer.put_document(Document("b", "", text), None, [passage])
        else:
            writer.delete_document("b")
    print("committed", flush=True)
catalog.close()
"""


def test_a_document_that_another_process_puts_or_deletes_is_seen_within_a_second(
    collection: Collection, encoder: Encoder, tmp_path: Path
) -> None:
    put(collection, Document("a", "", RIVER))
    assert found(collection) == ["a"]
    given = PassageInput("", MOUNTAIN)
    encoded = encoder.passages([given])
    tokens = compress(encoded.tokens[0], encoded.offsets[0], MOUNTAIN)._asdict()
    vector, terms = encoded.pooled[0].astype(np.float16), passage_terms(given, "english")
    np.savez(tmp_path / "encoded.npz", vector=vector, terms=terms, **tokens)
    command: list[str | Path] = [sys.executable, "-c", OTHER, collection.folder, MOUNTAIN, tmp_path / "encoded.npz"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        for order, expected in [("put", ["b", "a"]), ("delete", ["a"]), ("put", ["b", "a"])]:
            print(order, file=other.stdin, flush=True)
            assert other.stdout.readline() == "committed\n"
            began = time.monotonic()
            with collection.view() as view:
                assert len(view.vectors) == view.words.passages == len(expected)
            assert time.monotonic() - began < 1
            assert found(collection) == expected
            assert found(collection, f'"{MOUNTAIN}"') == [one for one in expected if one == "b"]
        other.stdin.close()
        assert other.wait(10) == 0


def test_a_search_during_a_long_write_sees_the_commit_before_it_whole(collection: Collection) -> None:
    put(collection, Document("a", "", RIVER))
    put(collection, Document("b", "", MOUNTAIN))
    before = state(collection)
    with collection.catalog.write() as writer:
        writer.delete_document("b")
        writer.put_document(Document("c", "", RIVER), None, [])
        answers: list[list[str]] = []
        reader = threading.Thread(target=lambda: answers.append(found(collection)))
        reader.start()
        reader.join(60)
        assert answers == [["b", "a"]]
        assert state(collection) == before
    assert found(collection) == ["a"]


def test_a_view_is_one_commit_while_others_follow(collection: Collection) -> None:
    """Threads search while a thread commits: each view's index holds exactly the passages of its snapshot."""
    contract = ModelContract("tiny", "weights", 2, "mean", "", "", 8, "none", 1)
    with collection.catalog.write() as writer:
        writer.set_contract(contract)
    torn: list[object] = []
    views: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            with collection.view() as view:
                keys = view.vectors.nearest(np.array([1, 0], np.float32), 1000).keys.tolist()
                passages = view.snapshot.passages(keys)
                if sorted(passages) != sorted(keys) or view.snapshot.counts().passages != len(keys):
                    torn.append((keys, sorted(passages)))
                views.append(view.snapshot.generation)

    readers = [threading.Thread(target=watch) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(120):
            with collection.catalog.write() as writer:
                passage = EncodedPassage(Passage(0, 1), str(number).encode(), np.array([1, number], np.float16))
                writer.put_document(Document(str(number), "", "x"), None, [passage])
                writer.delete_document(str(number - 3))
                if number % 3 == 0:
                    writer.put_document(Document(str(number), "", "y"), None, [passage])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []
    assert len(set(views)) > 5, "the readers looked while it was written"


def test_an_open_collection_follows_to_vectors_of_another_dimension(collection: Collection) -> None:
    """As after another process has encoded the index again."""
    document = Document("a", "", "x")
    for dimension in (2, 3):
        vector = np.eye(dimension, dtype=np.float16)[0]
        with collection.catalog.write() as writer:
            writer.set_contract(ModelContract("tiny", f"weights {dimension}", dimension, "mean", "", "", 8, "none", 1))
            writer.put_document(document, None, [EncodedPassage(Passage(0, 1), bytes([dimension]), vector)])
        with collection.view() as view:
            near = view.vectors.nearest(vector.astype(np.float32), 5)
        assert (near.keys.tolist(), near.cosines.tolist()) == ([dimension - 1], [1.0])


# --- the model ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model with one weight changed."""
    folder = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(locate().folder, folder)
    (file,) = folder.rglob("*.safetensors")
    weights = {name: array.copy() for name, array in load_file(file).items()}
    weights["embeddings.LayerNorm.bias"][0] += 0.5
    save_file(weights, file, {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def other_encoder(other_model: Path) -> Encoder:
    return Encoder.of(str(other_model))


def test_an_index_of_another_model_is_told_before_the_model_is_loaded(collection: Collection, other_model: Path) -> None:
    put(collection, Document("a", "", RIVER))
    before = state(collection)
    with Collection(collection.folder, str(other_model)) as mismatched:
        command = f"passages index --index {collection.folder} --model {other_model} --reindex"
        with pytest.raises(ModelError, match=r"was made with the model all-MiniLM-L6-v2 .*or encode the whole index") as caught:
            search(mismatched, Query(QUESTION))
        assert str(caught.value).endswith(command)
        with pytest.raises(ModelError):
            put(mismatched, Document("b", "", MOUNTAIN))
    assert state(collection) == before


def test_reindex_encodes_everything_again_and_keeps_documents_and_text(
    collection: Collection, encoder: Encoder, other_model: Path, other_encoder: Encoder
) -> None:
    documents = [
        Document("a", "A title", f"{RIVER}\n\n{MOUNTAIN}", "file:///a", "2022-05-11", {"tags": ["x"]}),
        Document("b", "A title", RIVER),
    ]
    ingest = Ingest(collection)
    ingest.then(lambda writer: writer.put_source("/a.txt", "a", "stamp", "hash", ()))
    ingest.document(documents[0], "/a.txt")
    ingest.document(documents[1])
    ingest.flush()
    assert found(collection) == ["a", "a"]  # b has one of the same texts
    before = state(collection)
    steps: list[Step] = []
    with Collection(collection.folder, str(other_model), encoder=other_encoder) as other:
        with pytest.raises(ModelError):
            found(other)
        assert reindex(other, steps.append) == Effort(encoded=2, reused=1)
        assert found(other) == ["a", "a"]
        generation, contract, passages = state(other)
        assert generation == before[0] + 1
        assert contract == other_encoder.contract
        assert [one[1:] for one in passages] == [one[1:] for one in before[2]]
        assert not {one[0] for one in passages} & {one[0] for one in before[2]}
        with other.catalog.read() as snapshot:
            assert [snapshot.document(one) for one in "ab"] == documents
            assert snapshot.document_counts() == {snapshot.sources()[0].key: 1}
            vectors = snapshot.changes(-1, 0, contract.dimension).vectors.astype(np.float32)
    assert (sum(step.passages for step in steps), sum(step.characters for step in steps)) == (
        2,
        sum(len(d.text) for d in documents),
    )
    expected = other_encoder.passages([with_title(RIVER), with_title(MOUNTAIN)]).pooled
    old = encoder.passages([with_title(RIVER), with_title(MOUNTAIN)]).pooled
    assert np.allclose(vectors, expected[[0, 1, 0]], atol=2e-3)
    assert not np.allclose(vectors, old[[0, 1, 0]], atol=2e-3)
    with pytest.raises(ModelError, match="was made with the model other"):
        found(collection)  # which was open all the time


def test_a_reindex_that_is_stopped_leaves_the_old_index(
    collection: Collection, other_model: Path, other_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.ingest.COMMIT_PASSAGES", 1)
    put(collection, Document("a", "", RIVER))
    put(collection, Document("b", "", MOUNTAIN))
    before, answer = state(collection), found(collection)
    steps: list[Step] = []

    def stop(step: Step) -> None:
        steps.append(step)
        if len(steps) == 3:  # the first document is written, the second is encoded
            assert found(collection) == answer, "everyone searches the old index until the end"
            raise KeyboardInterrupt

    with Collection(collection.folder, str(other_model), encoder=other_encoder) as other:
        with pytest.raises(KeyboardInterrupt):
            reindex(other, stop)
        assert len(steps) == 3
        assert (state(collection), found(collection)) == (before, answer)
        assert reindex(other).encoded == 2
        assert found(other) == answer


def test_a_model_that_differs_only_in_name_is_the_same_model(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path / "index", create=True, encoder=encoder) as collection:
        put(collection, Document("a", "", RIVER))
        with collection.catalog.write() as writer:
            writer.set_contract(replace(encoder.contract, name="as someone else calls it"))
        assert found(collection) == ["a"]


def test_words_that_another_process_folded_are_read_from_disk(
    collection: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.collection.LONG_TAIL", 2)
    put(collection, Document("a", "", RIVER))
    assert found(collection) == ["a"]
    with Collection(collection.folder, encoder=encoder) as other:
        put(other, Document("b", "", f"{MOUNTAIN}\n\nSnow lies on it.\n\nGoats live there."))
        with other.lock.held(1):
            other.fold_words()
    assert sorted(found(collection)) == ["a", "b", "b", "b"]
    with collection.view() as view:
        assert (view.words.tail_size, view.words.passages) == (0, 4)


def test_folding_changes_no_answer(collection: Collection) -> None:
    put(collection, Document("a", "Rivers", f"{RIVER}\n\n{MOUNTAIN}"))
    put(collection, Document("b", "", "The mountain was never climbed by anybody."))
    before = [(one.passage.id, one.score) for one in search(collection, Query(QUESTION)).results]
    with collection.lock.held(1):
        collection.fold_words()
    with collection.view() as view:
        assert view.words.tail_size == 0
    assert [(one.passage.id, one.score) for one in search(collection, Query(QUESTION)).results] == before


def answers(collection: Collection) -> list[tuple[str, float]]:
    """Ids and scores of a plain question, and of one whose phrase the word index must find."""
    asked = (QUESTION, 'town "in spring"')
    return [(one.passage.id, one.score) for question in asked for one in search(collection, Query(question)).results]


@pytest.mark.parametrize("damage", ["words folder deleted", "record deleted", "record garbage", "words files garbage"])
def test_a_words_folder_that_is_deleted_or_garbage_is_made_again_and_nothing_is_lost(
    collection: Collection, encoder: Encoder, damage: str
) -> None:
    put(collection, Document("a", "", RIVER))
    put(collection, Document("gone", "", "The mountain was climbed by goats."))
    put(collection, Document("b", "", MOUNTAIN))
    remove(collection, "gone")
    with collection.lock.held(1):
        collection.fold_words()
    before = answers(collection)
    assert len(before) == 3
    (words,), record = collection.folder.glob("words-*"), collection.folder / "words.json"
    if damage == "words folder deleted":
        shutil.rmtree(words)
    elif damage == "record deleted":
        record.unlink()
    elif damage == "record garbage":
        record.write_bytes(b"\xff garbage")
    else:
        for file in list(words.iterdir()):
            replace_bytes(file, b"garbage")
    with Collection(collection.folder, encoder=encoder) as reader:
        assert answers(reader) == before
        with reader.lock.held(1):
            reader.fold_words()
    with Collection(collection.folder, encoder=encoder) as again:
        assert answers(again) == before
        with again.view() as view:
            assert (view.words.tail_size, view.words.passages) == (0, 2)
    assert len(list(collection.folder.glob("words-*"))) == 1


# --- what scores mean ---------------------------------------------------------------------------------------------


def test_constants_that_were_measured_for_an_index_are_what_search_uses(
    collection: Collection, other_model: Path, other_encoder: Encoder
) -> None:
    with Collection(collection.folder, str(other_model), encoder=other_encoder) as other:
        put(other, Document("a", "", RIVER))
        before = search(other, Query(QUESTION))
        assert before.verdict == "uncalibrated", "nobody has measured this model"
        constants = dict.fromkeys(next(iter(CALIBRATIONS.values())), 0.0) | {"bias": -1.0, "nothing": 0.1, "answered": 0.2}
        other.calibrate(constants)
        after = search(other, Query(QUESTION, explain=True))
        assert [one.score for one in after.results] == [0.268941]  # the logistic function of -1
        assert after.weights
        assert (after.verdict, after.weights["bias"]) == ("answered", -1)
        put(other, Document("b", "", MOUNTAIN))
    with Collection(collection.folder, str(other_model), encoder=other_encoder) as other:
        assert {one.score for one in search(other, Query(QUESTION)).results} == {0.268941}, "they are kept"
        for bounds, verdict in (((0.1, 0.3), "weak"), ((0.3, 0.4), "nothing")):
            other.calibrate(constants | dict(zip(("nothing", "answered"), bounds, strict=True)))
            assert search(other, Query(QUESTION)).verdict == verdict


def test_constants_of_another_model_are_not_stored(collection: Collection, other_model: Path) -> None:
    put(collection, Document("a", "", RIVER))
    before = state(collection)
    with Collection(collection.folder, str(other_model)) as mismatched, pytest.raises(ModelError):
        mismatched.calibrate({"bias": 0.0})
    assert state(collection) == before


def test_words_of_a_catalog_that_is_gone_are_not_used(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(tmp_path / "index", create=True, encoder=encoder) as first:
        for number in range(3):
            put(first, Document(str(number), "", f"{RIVER} {number}"))
        with first.lock.held(1):
            first.fold_words()
    for file in (tmp_path / "index").glob("catalog.sqlite*"):
        file.unlink()
    with Collection(tmp_path / "index", create=True, encoder=encoder) as second:
        for number in range(5):
            put(second, Document(str(number), "", f"Purple elephants, herd {number}."))
        assert len(search(second, Query('"purple elephants"')).results) == 5
