"""What is done in the background, so that no request waits for it: folding what was written, and checking mapped files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from indexer.collection import Collection
from indexer.errors import PassagesError
from indexer.ingest import fold

_PATIENCE_S = 60.0  # for another writer

log = logging.getLogger(__name__)


class Upkeep:
    """Folds in a thread of its own when :meth:`is_due` was called."""

    def __init__(self, mended: Callable[[], None] = lambda: None) -> None:
        """``mended`` is told when files were found damaged and made again: other processes may have them open."""
        self._due, self._stopped, self._mended = threading.Event(), False, mended

    def is_due(self) -> None:
        """Something was written."""
        self._due.set()

    def start(self, collection: Collection) -> None:
        """Begin, with a look at the files that searches map."""
        threading.Thread(target=self._run, args=(collection,), name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Fold no more."""
        self._stopped = True
        self._due.set()

    def _run(self, collection: Collection) -> None:
        if not _is_whole(collection):
            log.warning("the vectors in %s are damaged: they are read from the catalog and made again", collection.folder)
            self._fold(collection)
            self._mended()
        while self._due.wait() and not self._stopped:
            self._due.clear()
            self._fold(collection)

    def _fold(self, collection: Collection) -> None:
        try:
            with collection.lock.held(_PATIENCE_S):
                fold(collection)
        except PassagesError as error:  # another process is writing, and folds what it finds
            log.info("not folded: %s", error)
        except Exception:  # the next commit is another chance
            log.exception("not folded")


def _is_whole(collection: Collection) -> bool:
    try:
        return collection.check_vectors()
    except Exception:  # it is a look, nothing depends on it
        log.exception("the vectors in %s were not checked", collection.folder)
        return True
