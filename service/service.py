"""What the server serves: one collection, opened and made ready in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import indexer
from indexer.collection import Collection
from indexer.errors import PassagesError
from indexer.lock import LockedError
from indexer.search import Query, search
from indexer.sync import Sync
from service.problems import NotReadyError, StartError

log = logging.getLogger(__name__)
MAX_WRITERS = 4  # requests that write or wait for their turn
SEEDS = Path(indexer.__file__).resolve().parent.parent / "seeds"


class Service:
    """Starts at once; ``ready`` is set when questions can be answered. ``failure`` says why it never will be."""

    def __init__(self, index: Path, model: str) -> None:
        self.index, self._model = index, model
        self._writers = threading.BoundedSemaphore(MAX_WRITERS)
        self.ready = threading.Event()
        self.failure: str | None = None
        self._collection: Collection | None = None

    @property
    def collection(self) -> Collection:
        """The open collection. Raises :class:`NotReadyError`."""
        if self.failure is not None:
            raise StartError(self.failure)
        if self._collection is None or not self.ready.is_set():
            raise NotReadyError("the service is starting: the model is being loaded; try again in a few seconds")
        return self._collection

    @property
    def state(self) -> Literal["starting", "ready", "failed"]:
        """How far it has come."""
        return "failed" if self.failure is not None else "ready" if self.ready.is_set() else "starting"

    @contextmanager
    def writing(self) -> Iterator[Collection]:
        """The collection, for a write. Raises :class:`LockedError` at once if many wait already: they hold the threads
        that answer questions."""
        if not self._writers.acquire(blocking=False):
            raise LockedError("other requests are waiting to write this index: try again in a moment")
        try:
            yield self.collection
        finally:
            self._writers.release()

    def start(self) -> None:
        """Open the collection in a thread of its own."""
        threading.Thread(target=self._start, name="start", daemon=True).start()

    def close(self) -> None:
        """Let go of the index."""
        if self._collection is not None:
            self._collection.close()

    def _start(self) -> None:
        try:
            self._collection = Collection(self.index, self._model, create=True)
            _seed(self._collection)
            search(self._collection, Query("is everything loaded?", limit=1))  # so that no user's question pays for it
        except PassagesError as error:
            self.failure = str(error)
            log.error("not ready: %s", error)
        except Exception:
            self.failure = "the service could not start; its log says why"
            log.exception("not ready")
        else:
            self.ready.set()


def _seed(collection: Collection) -> None:
    """Give an empty index something to search: the documents of seeds/."""
    with collection.catalog.read() as snapshot:
        if snapshot.generation > 0:  # also an index that was emptied on purpose stays empty
            return
    try:
        Sync(collection).run([SEEDS])
    except LockedError:  # an indexer has just begun to fill it
        log.info("another process is indexing; not indexing seeds/")
