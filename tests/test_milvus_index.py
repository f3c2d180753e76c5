"""The index of vectors on a Milvus server: it is there whoever ended when, and may be of a kind that is not made here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TypeVar

import pytest

from indexer import Document, Query
from indexer.encoder import Encoder
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Tables
from indexer.errors import AwayError
from indexer.ingest import put
from indexer.search import search
from tests.milvus import CORE, MilvusServer, emptied, milvus

if TYPE_CHECKING:
    from pymilvus import MilvusClient

T = TypeVar("T")
NOTES = 120
CELLS = 100  # each of a passage or two, of which servers look through 8 or 10 if nobody asks for more
QUESTION = "Which note tells of the river?"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def engine(server: MilvusServer, request: pytest.FixtureRequest, encoder: Encoder) -> Iterator[MilvusCollection]:
    """A collection of notes, named as the test."""
    with closing(emptied(server, request.node.name, encoder)) as engine:
        text = "\n\n".join(f"Note {number} tells of the {('river', 'hill', 'road')[number % 3]}." for number in range(NOTES))
        put(engine, Document("notes", "Notes", text))
        _table(engine, lambda client, name: client.flush(name))
        yield engine


def test_an_index_of_vectors_that_was_not_made_is_made_when_the_collection_is_opened(
    server: MilvusServer, engine: MilvusCollection, encoder: Encoder
) -> None:
    before = _answers(engine)
    _drop(engine)
    with closing(MilvusCollection(engine.address, "", encoder=encoder, patience_s=60)) as opened:
        assert _kinds(opened)["vector"] == "HNSW"
        assert _kinds(opened) == _kinds(engine)
        assert _answers(opened) == before


def test_an_ivf_index_that_was_made_instead_finds_the_same(engine: MilvusCollection) -> None:
    before = _nearest(engine)
    _drop(engine)
    _make_ivf(engine)
    assert _kinds(engine)["vector"] == "IVF_FLAT"
    assert _nearest(engine) == before


def test_while_the_index_is_changed_a_question_is_answered_or_told_to_come_again(engine: MilvusCollection) -> None:
    """``told``: what other requests get meanwhile, each with an end."""
    before = _answers(engine)
    told: list[object] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            began = time.monotonic()
            try:
                told.append(_answers(engine, timeout_s=2.0) == before)
            except AwayError as error:
                told.append(error)
            except Exception as error:  # the thread ends, and the test tells of it
                told.append(error)
                return
            assert time.monotonic() - began < 10

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        _drop(engine)
        time.sleep(1)
        _make_ivf(engine)
        time.sleep(1)
    finally:
        ended.set()
        thread.join()
    assert _answers(engine) == before
    assert told
    assert [one for one in told if one is not True and not isinstance(one, AwayError)] == []


def _answers(engine: MilvusCollection, timeout_s: float | None = None) -> list[tuple[str, float]]:
    found = search(engine, Query(QUESTION, limit=50, timeout_s=timeout_s))
    return [(one.passage.id, one.score) for one in found.results]


def _nearest(engine: MilvusCollection) -> list[int]:
    """Where the passages lie in their text, nearest first."""
    with engine.view() as view:
        near = view.nearest(engine.encoder.question(QUESTION).pooled[0], 60)
        return [view.snapshot.head(key).start for key in near.keys.tolist()]


def _kinds(engine: MilvusCollection) -> dict[str, str]:
    """Of each field that has an index."""

    def kinds(client: MilvusClient, name: str) -> dict[str, str]:
        described = [client.describe_index(name, one) for one in client.list_indexes(name)]
        return {one["field_name"]: one["index_type"] for one in described}

    return _table(engine, kinds)


def _drop(engine: MilvusCollection) -> None:
    """Take the index of vectors away, which a server lets nobody do while the table is loaded: a question loads it again."""
    from pymilvus.exceptions import MilvusException

    def drop(client: MilvusClient, name: str) -> bool:
        client.release_collection(name)
        (index,) = client.list_indexes(name, "vector")
        with suppress(MilvusException):
            # The small server drops every index of the table for the name that it lists, and this one for the other.
            client.drop_index(name, index if CORE else f"{index}_idx")
        return not client.list_indexes(name, "vector")

    until = time.monotonic() + 30
    while not _table(engine, drop):
        assert time.monotonic() < until


def _make_ivf(engine: MilvusCollection) -> None:
    def make(client: MilvusClient, name: str) -> None:
        indexes = client.prepare_index_params()
        indexes.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params={"nlist": CELLS})
        client.create_index(name, indexes)
        client.load_collection(name)

    _table(engine, make)


def _table(engine: MilvusCollection, work: Callable[[MilvusClient, str], T]) -> T:
    """``work`` with the client and the table of passages."""
    name = Tables(engine._connection).name("")
    return engine._connection.call(lambda client, _: work(client, name))
