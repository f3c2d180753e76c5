import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from indexer import collection as collections
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Tables
from indexer.engines.milvus.generations import STALE_S, new_generation
from indexer.engines.milvus.state import pending_rows
from indexer.engines.milvus.tables import PASSAGES
from indexer.engines.milvus.writer import MilvusWriter
from indexer.ingest import put, remove
from service.searchers import SearcherError
from service.upkeep import Scrub, Upkeep
from tests.milvus import emptied, milvus


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within ten seconds."""
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def tail_size(collection: Collection) -> int:
    with collection.view() as view:
        return view.words.tail_size


def generation(collection: MilvusCollection) -> int:
    with collection.catalog.read() as snapshot:
        return snapshot.generation


def test_what_was_written_is_folded_in_another_thread_and_the_writer_does_not_wait(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collections, "FOLD_PASSAGES", 2)
    folding: list[str] = []
    fold_words = Collection.fold_words

    def record(self: Collection, at_least: int = 1) -> None:
        folding.append(threading.current_thread().name)
        fold_words(self, at_least)

    monkeypatch.setattr(Collection, "fold_words", record)
    upkeep = Upkeep()
    collection.fold_later = upkeep.is_due
    for number in range(3):
        put(collection, Document(f"d{number}", "", f"The harbour has {number} cranes."))
    assert folding == []
    assert tail_size(collection) == 3
    upkeep.start(collection)
    assert until(lambda: tail_size(collection) == 0)
    upkeep.stop()
    assert set(folding) == {"upkeep"}


def test_a_deletion_makes_it_due_too(collection: Collection) -> None:
    due: list[bool] = []
    put(collection, Document("d", "", "A text."))
    collection.fold_later = lambda: due.append(True)
    assert remove(collection, "d")
    assert due == [True]


def test_another_writer_is_no_error(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.upkeep._PATIENCE_S", 0.05)
    monkeypatch.setattr(collections, "FOLD_PASSAGES", 1)
    put(collection, Document("d", "", "A text."))
    upkeep = Upkeep()
    with collection.lock.held(1):
        upkeep.start(collection)
        upkeep.is_due()
        time.sleep(0.3)
    upkeep.is_due()
    assert until(lambda: tail_size(collection) == 0)
    upkeep.stop()


def test_files_are_checked_once_and_made_again_if_they_are_damaged(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Collection, "check_vectors", lambda _: False)
    folded = threading.Event()
    monkeypatch.setattr(Collection, "fold", lambda _: folded.set())
    upkeep = Upkeep()
    upkeep.start(collection)
    assert folded.wait(10)
    upkeep.stop()
    assert "damaged" in caplog.text


def test_processes_that_cannot_be_renewed_do_not_end_the_folding(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Collection, "check_vectors", lambda _: False)
    monkeypatch.setattr(collections, "FOLD_PASSAGES", 1)

    def fail() -> None:
        raise SearcherError("no process can be started")

    upkeep = Upkeep(fail)
    upkeep.start(collection)
    assert until(lambda: "do not use the files" in caplog.text)
    put(collection, Document("d", "", "A text."))
    upkeep.is_due()
    assert until(lambda: tail_size(collection) == 0)
    upkeep.stop()


def test_a_service_that_only_reads_clears_up_what_a_writer_left_once_it_is_stale(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MilvusCollection.check_every_s <= STALE_S
    monkeypatch.setattr(MilvusCollection, "check_every_s", 0.1)
    soon_s, scrub = 6.0, Scrub()
    with milvus(tmp_path / "milvus") as server, closing(emptied(server, "left", encoder)) as writing:
        put(writing, Document("d", "", "A text."))
        with monkeypatch.context() as patch:
            earlier = new_generation() - (round((STALE_S - soon_s) * 1000) << 20)
            patch.setattr("indexer.engines.milvus.writer.new_generation", lambda: earlier)
            patch.setattr(MilvusWriter, "_flip", _end)
            with pytest.raises(_EndedError):
                put(writing, Document("d", "", "Another text."))
        with closing(MilvusCollection(server.address("left"), "", encoder=encoder)) as reading:
            tables = Tables(reading._connection, consistency="Strong")
            before = generation(reading)
            scrub.start(reading)
            try:
                time.sleep(0.5)  # some looks
                assert (tables.count(PASSAGES), len(pending_rows(tables))) == (2, 1)  # who wrote it may still be at work
                assert until(lambda: generation(reading) > before)  # so lists that others keep are read anew
            finally:
                scrub.stop()
            assert (tables.count(PASSAGES), pending_rows(tables)) == (1, [])


class _EndedError(Exception):
    """What a kill would be."""


def _end(*_: object) -> NoReturn:
    raise _EndedError
