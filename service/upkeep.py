"""What is done in the background, so that no request waits for it: folding what was written, and checking mapped files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from indexer.engines.contract import Engine
from indexer.errors import AwayError, PassagesError
from indexer.lock import LockedError

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

    def start(self, collection: Engine) -> None:
        """Begin, with a look at the files that searches map."""
        threading.Thread(target=self._run, args=(collection,), name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Fold no more."""
        self._stopped = True
        self._due.set()

    def _run(self, collection: Engine) -> None:
        if not _is_whole(collection):
            log.warning("the vectors in %s are damaged: they are read from the catalog and made again", collection.name)
            self._fold(collection)
            self._tell()
        while self._due.wait() and not self._stopped:
            self._due.clear()
            self._fold(collection)

    def _tell(self) -> None:
        try:
            self._mended()
        except Exception:  # they read the catalog until they open the files anew; what is written must still be folded
            log.exception("the processes that search do not use the files that were made again")

    def _fold(self, collection: Engine) -> None:
        try:
            with collection.lock.held(_PATIENCE_S):
                collection.fold()
        except PassagesError as error:  # another process is writing, and folds what it finds
            log.info("not folded: %s", error)
        except Exception:  # the next commit is another chance
            log.exception("not folded")


class Scrub:
    """Checks what is kept after the start, and then as often as the engine finds it worth it, in a thread of its own. Of a
    folder it reads the whole catalog: what is damaged is refused from then on, before a question meets it. On a server it
    clears up what writers left that ended in the middle."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def start(self, collection: Engine) -> None:
        """Begin."""
        threading.Thread(target=self._run, args=(collection,), name="scrub", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self, collection: Engine) -> None:
        while not self._stopped.is_set():
            try:
                collection.catalog.check(_Pace(self._stopped))
            except _StoppedError:
                return
            except (AwayError, LockedError) as error:  # the next look is another chance
                log.info("%s was not checked: %s", collection.name, error)
            except PassagesError as error:
                log.error("%s", error)
            except Exception:  # it is a look, nothing depends on it
                log.exception("%s was not checked", collection.name)
            self._stopped.wait(collection.check_every_s)


class _StoppedError(Exception):
    """Nobody waits for the look any more."""


class _Pace:
    """Rests after each piece of work as long as it took, so that half a core at most is taken from the questions."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped, self._since = stopped, time.monotonic()

    def __call__(self) -> None:
        if self._stopped.wait(time.monotonic() - self._since):
            raise _StoppedError
        self._since = time.monotonic()


def _is_whole(collection: Engine) -> bool:
    try:
        return collection.check_vectors()
    except Exception:  # it is a look, nothing depends on it
        log.exception("the vectors in %s were not checked", collection.name)
        return True
