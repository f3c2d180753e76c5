import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from indexer.collection import Collection, View
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.view import MilvusView
from indexer.ingest import put
from indexer.ties import Names
from indexer.vectors import ExactIndex, Floats, Keys, Neighbours
from service import recall
from service.recall import LiveRecall, Recall
from tests.milvus import emptied, milvus


class Forgetful(ExactIndex):
    """Finds all but the best."""

    exact = False

    def nearest(self, question: Floats, count: int, allowed: Keys | None = None, names: Names | None = None) -> Neighbours:
        found = super().nearest(question, count + 1, allowed, names)
        return Neighbours(found.keys[1:], found.cosines[1:])

    def exact_nearest(self, question: Floats, count: int) -> Neighbours:
        return super().nearest(question, count)


def vectors(count: int = 100) -> Floats:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def forgetful(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A collection whose vector index misses one in ten."""
    nothing = np.empty(0, np.int64)
    index = Forgetful(8, ExactIndex(8).updated(np.arange(100), vectors(), nothing)._segments)
    view = Collection.view

    def forgetting(self: Collection) -> Iterator[View]:
        with view(self) as seen:
            yield seen._replace(vectors=index)

    monkeypatch.setattr(Collection, "view", contextmanager(forgetting))
    monkeypatch.setattr(recall, "_PAUSE_S", 0.001)
    return collection


def measured(live: LiveRecall, questions: int) -> Recall:
    until = time.monotonic() + 10
    while (live.measured is None or live.measured.questions < questions) and time.monotonic() < until:
        time.sleep(0.005)
    assert live.measured is not None
    return live.measured


def test_questions_are_repeated_exactly_and_what_was_missed_is_counted(forgetful: Collection) -> None:
    live = LiveRecall(lambda: False)
    assert live.measured is None
    for question in vectors(20):
        live.offer(question)
    live.start(forgetful)
    try:
        found = measured(live, 20)
    finally:
        live.stop()
    assert (found.at_10, found.questions) == (0.9, 20)
    assert found.low == pytest.approx(0.6990, abs=1e-3)  # of 18 in 20 (questions, not neighbours), by scipy
    assert found.high == pytest.approx(0.9721, abs=1e-3)


def test_nothing_is_repeated_while_somebody_waits(forgetful: Collection) -> None:
    busy = [True]
    live = LiveRecall(lambda: busy[0])
    live.offer(vectors()[0])
    live.start(forgetful)
    try:
        time.sleep(0.2)
        assert live.measured is None
        busy[0] = False
        assert measured(live, 1).questions == 1
    finally:
        live.stop()


def test_it_costs_no_more_than_its_share(forgetful: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def expensive(self: LiveRecall, *_: object) -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        self._questions += 1

    monkeypatch.setattr(LiveRecall, "_repeat", expensive)
    live = LiveRecall(lambda: False)
    for question in vectors(30):
        live.offer(question)
    live.start(forgetful)
    time.sleep(1)
    live.stop()
    assert live._questions == 1, "the next one is due after five seconds: 0.05 is one hundredth of that"


def test_an_exact_index_needs_no_measurement(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_PAUSE_S", 0.001)
    live = LiveRecall(lambda: False)
    live.offer(np.ones(384, np.float32))
    live.start(collection)
    time.sleep(0.1)
    live.stop()
    assert live.measured is None


def test_where_the_vectors_are_a_server_s_nothing_is_opened_to_measure(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "_PAUSE_S", 0.001)
    opened: list[MilvusCollection] = []
    view = MilvusCollection.view

    def counted(self: MilvusCollection, timeout_s: float | None = None) -> AbstractContextManager[MilvusView]:
        opened.append(self)
        return view(self, timeout_s)

    with milvus(tmp_path / "milvus") as server, closing(emptied(server, "recall", encoder)) as engine:
        put(engine, Document("d", "", "A text."))
        live = LiveRecall(lambda: False)
        live.start(engine)
        with monkeypatch.context() as patch:
            patch.setattr(MilvusCollection, "view", counted)
            live.offer(np.ones(384, np.float32))
            time.sleep(0.3)
        live.stop()
        with engine.view() as seen:
            assert (seen.vectors is not None) == engine.has_vectors
    assert (opened, live.measured, len(live._waiting)) == ([], None, 0)


def test_an_index_that_is_damaged_is_told_without_a_traceback(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recall, "_PAUSE_S", 0.001)
    caplog.set_level(logging.INFO)
    put(collection, Document("d", "", "A text."))
    collection.catalog.refuse("the catalog is damaged; restore a backup")
    live = LiveRecall(lambda: False)
    live.offer(np.ones(384, np.float32))
    live.start(collection)
    until = time.monotonic() + 10
    while "not measured" not in caplog.text and time.monotonic() < until:
        time.sleep(0.005)
    live.stop()
    (told,) = [record for record in caplog.records if record.name == "service.recall"]
    assert (told.levelname, told.exc_info) == ("INFO", None)
    assert "restore a backup" in told.getMessage()
