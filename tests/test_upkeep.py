import threading
import time
from collections.abc import Callable

import pytest

from indexer import collection as collections
from indexer.collection import Collection
from indexer.documents import Document
from indexer.ingest import put, remove
from service.searchers import SearcherError
from service.upkeep import Upkeep


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within ten seconds."""
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def tail_size(collection: Collection) -> int:
    with collection.view() as view:
        return view.words.tail_size


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
