"""Live recall: some of the questions that were asked are searched again, exactly, when nobody waits.

Only vectors of questions are kept, in memory, and few of them. What it costs is bounded: ``SHARE`` of one core's time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.candidates import FIRST_BLOCK
from indexer.engines.contract import Engine
from indexer.errors import PassagesError
from indexer.intervals import wilson

COUNT = 10
SHARE = 0.01
_KEPT = 32  # questions that wait to be repeated; the oldest give way
_PAUSE_S = 0.5

Floats = npt.NDArray[np.float32]
log = logging.getLogger(__name__)


class Recall(NamedTuple):
    """The share ``at_10`` of the nearest vectors that were found, its 95 % interval, and of how many ``questions``."""

    at_10: float
    low: float
    high: float
    questions: int


class LiveRecall:
    """Repeats questions in a thread of its own, while ``is_busy`` says that nobody waits."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._waiting: deque[Floats] = deque(maxlen=_KEPT)
        self._found = self._questions = 0
        self._stopped = threading.Event()

    @property
    def measured(self) -> Recall | None:
        """What was measured since the start; None before the first question."""
        if not self._questions:
            return None
        # Of questions, not of neighbours: those of one question are found or missed together.
        found = self._found / COUNT
        low, high = wilson(found, self._questions)
        return Recall(round(found / self._questions, 4), round(low, 4), round(high, 4), self._questions)

    def offer(self, question: Floats) -> None:
        """A question that was asked, its pooled vector float32 [d]; it may be repeated later."""
        self._waiting.append(question)

    def start(self, collection: Engine) -> None:
        """Begin to repeat what is offered, unless the vectors are a server's: who could compare is not here."""
        if not collection.has_vectors:
            self._waiting = deque(maxlen=0)  # what is offered is let go
            return
        threading.Thread(target=self._run, args=(collection,), name="recall", daemon=True).start()

    def stop(self) -> None:
        """Repeat no more."""
        self._stopped.set()

    def _run(self, collection: Engine) -> None:
        began, spent = time.monotonic(), 0.0
        while not self._stopped.wait(_PAUSE_S):
            if self._waiting and not self._is_busy() and spent <= SHARE * (time.monotonic() - began):
                before = time.thread_time()
                try:
                    self._repeat(collection, self._waiting.pop())
                except PassagesError as error:  # the index may be gone or damaged, which searches tell
                    log.info("recall is not measured: %s", error)
                except Exception:  # it is a measurement, nothing depends on it
                    log.exception("recall is not measured")
                spent += time.thread_time() - before

    def _repeat(self, collection: Engine, question: Floats) -> None:
        with collection.view() as view:
            vectors = view.vectors
        if vectors is None or vectors.exact or not len(vectors):
            return
        near = vectors.nearest(question, FIRST_BLOCK).keys[:COUNT]  # as many as a search asks for
        exact = vectors.exact_nearest(question, COUNT).keys
        self._found += len(np.intersect1d(near, exact)) + COUNT - len(exact)
        self._questions += 1
