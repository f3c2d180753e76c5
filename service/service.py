"""What the server serves: one collection, opened and made ready in the background."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import indexer
from indexer import deadline, synced
from indexer.engines.address import Address, Where
from indexer.engines.contract import Engine
from indexer.engines.opening import open_engine
from indexer.errors import AwayError, PassagesError
from indexer.extraction import DEFAULT_LIMITS as DEFAULT_EXTRACTION
from indexer.extraction import Limits as Extraction
from indexer.lock import LockedError
from indexer.models import ModelContract
from indexer.reading import Encoding
from indexer.records import Counts
from indexer.runtimes import Kind
from indexer.schema import DamagedError, MissingError
from indexer.search import Query, all_encoded, encoded
from indexer.sync import Sync
from service.admission import DEFAULT_LIMITS, Admission, Limits
from service.events import Commit, Events, Progress, State
from service.metrics import Metrics
from service.problems import NotReadyError, StartError
from service.recall import LiveRecall
from service.rendering import Rendered
from service.searchers import SearcherError, Searchers
from service.upkeep import Scrub, Upkeep
from service.uploads import sweep

log = logging.getLogger(__name__)
_LOOK_S = 1.0
_WATCH_S = 10.0
_MOST_ENDED = 5  # starts in which a process that searches ended: one may have met a server that went away
MAX_WRITERS = 4  # requests that write or wait for their turn
SEEDS = Path(indexer.__file__).resolve().parent.parent / "seeds"


class Seen(NamedTuple):
    """What is served, as of one look."""

    counts: Counts
    generation: int
    exact: bool
    contract: ModelContract | None
    notes: tuple[str, ...]
    last_commit: datetime | None


class Service:
    """Starts at once; ``ready`` is set when questions can be answered. ``failure`` says why it never will be,
    ``waiting`` what it waits for."""

    def __init__(
        self,
        index: Where,
        model: str,
        limits: Limits = DEFAULT_LIMITS,
        runtime: Kind = "auto",
        extraction: Extraction = DEFAULT_EXTRACTION,
    ) -> None:
        self.index, self._model, self._runtime, self.extraction = index, model, runtime, extraction
        self.events = Events(self._commit)
        self.admission, self.metrics, self._processes = Admission(limits), Metrics(), min(limits.processes, limits.threads)
        self._patience_s = limits.deadline_s
        # One at a time, and not where questions wait: who writes judgements, whose file another process may have, and who has
        # every document looked at.
        self.judging, self.scanning = (Admission(limits._replace(threads=1)) for _ in range(2))
        self._searchers: Searchers | None = None
        self._closed = threading.Event()
        self.recall = LiveRecall(lambda: self.admission.admitted > 0)
        self.upkeep, self.scrub = Upkeep(self._renew), Scrub()
        self._watch()
        self._writers = threading.BoundedSemaphore(MAX_WRITERS)
        self.ready = threading.Event()
        self.failure: str | None = None
        self.waiting: str | None = None
        self._waits_for_server = False
        self._collection: Engine | None = None
        self._holding = threading.Lock()
        self._seen = Seen(Counts(0, 0, 0, 0), 0, True, None, (), None)
        self._told: str | None = None

    def tell(self, fault: str) -> None:
        """Log what does not pass by itself, once and not at each request that meets it."""
        if fault != self._told:
            self._told = fault
            log.error("%s", fault)

    @property
    def collection(self) -> Engine:
        """The open collection. Raises :class:`NotReadyError`, and :class:`indexer.schema.DamagedError` while it is damaged."""
        if self.failure is not None:
            raise StartError(self.failure)
        collection = self._collection
        if collection is None or not self.ready.is_set():
            why = self.waiting or "the model is being loaded; try again in a few seconds"
            raise NotReadyError(f"the service is starting: {why}")
        collection.catalog.look()
        return collection

    @property
    def searchers(self) -> Searchers:
        """What searches. Raises :class:`NotReadyError`."""
        if self._searchers is None:
            raise NotReadyError("the service is starting: try again in a few seconds")
        return self._searchers

    @property
    def state(self) -> Literal["starting", "ready", "failed", "damaged"]:
        """How far it has come."""
        if self.failure is not None:
            return "failed"
        return "damaged" if self.damage else "ready" if self.ready.is_set() else "starting"

    @property
    def damage(self) -> str | None:
        """What is wrong with the catalog that is served, and how to restore it; None if nothing is known to be."""
        if (collection := self._collection) is not None:
            try:
                collection.catalog.look()
            except DamagedError as error:
                return str(error)
        return None

    def look(self) -> Seen:
        """What is served now. Raises what reading it raises."""
        collection = self.collection
        with collection.view() as view:
            counts, contract = collection.counts(view.snapshot), view.snapshot.contract
            generation, exact = view.snapshot.generation, view.exact
        self._seen = Seen(counts, generation, exact, contract, collection.notes, collection.last_commit())
        return self._seen

    @property
    def seen(self) -> Seen:
        """What was served when somebody last looked."""
        return self._seen

    @contextmanager
    def writing(self) -> Iterator[Engine]:
        """The collection, for a write, which takes the time that it takes once the collection could be read. Raises
        :class:`LockedError` at once if many wait already: they hold the threads that answer questions."""
        if not self._writers.acquire(blocking=False):
            raise LockedError("other requests are waiting to write this index: try again in a moment")
        try:
            collection = self.collection
            # Its own time: a body may have taken long to come.
            with deadline.ending(time.monotonic() + self._patience_s), collection.catalog.read():
                pass
            with deadline.ending(None):
                yield collection
        finally:
            self._writers.release()

    def answer(self, query: Query) -> bytes:
        """The answer as JSON, within the query's time. Raises what :func:`indexer.search` raises."""
        until = _until(query)
        encoding = encoded(self.collection, query)
        return self._counted(encoding, self.searchers.ask(query, encoding, until))

    def answers(self, queries: Sequence[Query]) -> list[bytes]:
        """The answer of each query as JSON, all within the first one's time; their questions are encoded together."""
        until = _until(queries[0])
        encodings = all_encoded(self.collection, queries)
        answers = self.searchers.ask_all(queries, encodings, until)
        return [self._counted(*one) for one in zip(encodings, answers, strict=True)]

    def _counted(self, encoding: Encoding, answer: Rendered) -> bytes:
        self.metrics.answered(answer)
        if not answer.exact:
            self.recall.offer(encoding.encoded.pooled[0])
        return answer.body

    def start(self) -> None:
        """Open the collection in a thread of its own."""
        threading.Thread(target=self._start, name="start", daemon=True).start()

    def close(self) -> None:
        """Let go of the index."""
        self._closed.set()
        self.events.end()
        self.recall.stop()
        self.upkeep.stop()
        self.scrub.stop()
        self._let_go()

    def _watch(self) -> None:
        watch = self.metrics.watch
        watch("requests_admitted", "Requests that are worked on or wait.", lambda: self.admission.admitted)
        watch(
            "ready",
            "1 once it has started: questions are answered, unless the server of the collection is away.",
            lambda: float(self.ready.is_set()),
        )
        watch("server_away", "1 while the server of the collection does not answer.", self._away)
        watch("recall_at_10", "Of the nearest vectors, repeated exactly; NaN before the first.", lambda: self._recall("at_10"))
        watch("recall_at_10_low", "The low end of its 95 % interval.", lambda: self._recall("low"))
        watch("recall_at_10_high", "The high end of its 95 % interval.", lambda: self._recall("high"))

    def _away(self) -> float:
        collection = self._collection
        return float(self._waits_for_server if collection is None else collection.is_away)

    def _watch_server(self) -> None:
        """Asks now and then, so that it is known whether the server is away also where nobody else asks."""
        while True:
            with suppress(PassagesError):  # what is seen is what is told while it is away
                self.look()
            if self._closed.wait(_WATCH_S):
                return

    def _commit(self) -> Commit | None:
        if (collection := self._collection) is None:
            return None
        # Whoever listened first began to look, and is long answered.
        with deadline.ending(None), collection.catalog.read() as snapshot:
            return Commit(snapshot.generation, *snapshot.sizes())

    def _renew(self) -> None:
        self.searchers.renew()

    def _recall(self, what: str) -> float:
        return float(getattr(self.recall.measured, what, math.nan))

    def _start(self) -> None:
        try:
            self._get_ready()
        except Exception as error:
            if self._closed.is_set():  # ended while it started
                return
            is_known = isinstance(error, PassagesError)
            self.failure = str(error) if is_known else "the service could not start; its log says why"
            log.error("not ready: %s", self.failure, exc_info=None if is_known else error)

    def _get_ready(self) -> None:
        """A server that is away is waited for, at whatever step it is met, and so is a collection that is not there: who
        misspells its name must not be given an empty one."""
        ended = 0
        while True:
            try:
                collection = self._opened()
            except Exception as error:
                self._let_go()
                ended += isinstance(error, SearcherError)
                waits = isinstance(error, AwayError | MissingError | SearcherError) and isinstance(self.index, Address)
                if not waits or ended == _MOST_ENDED or self._closed.wait(_LOOK_S):
                    raise
                self.waiting, self._waits_for_server = str(error), isinstance(error, AwayError)
                if not self._waits_for_server:  # an outage is logged where it is met
                    self.tell(f"not ready yet, and waiting: {self.waiting}")
            else:
                self.waiting, self._waits_for_server = None, False
                break
        self.recall.start(collection)
        self.upkeep.start(collection)
        self.scrub.start(collection)
        self.ready.set()
        if isinstance(self.index, Address):
            threading.Thread(target=self._watch_server, name="server", daemon=True).start()

    def _opened(self) -> Engine:
        """The collection, ready to be asked."""
        is_folder = isinstance(self.index, Path)
        collection = open_engine(
            self.index, self._model, create=is_folder, runtime=self._runtime, fold_later=self.upkeep.is_due,
            patience_s=self._patience_s,
        )  # fmt: skip
        searchers = Searchers(collection, self._processes)
        with self._holding:
            self._collection, self._searchers = collection, searchers
        if self._closed.is_set():  # before who ends it could let go of them
            raise NotReadyError("the service is ending")
        searchers.start()
        sweep(collection.upload_folder())
        if is_folder:
            _seed(collection, self.events.progress)
        collection.encoder.warm()
        searchers.wait()
        query = Query("is everything loaded?", limit=1)  # so that no user's question pays for it
        encoding = encoded(collection, query)
        searchers.ask_all([query] * max(1, self._processes), [encoding] * max(1, self._processes))
        return collection

    def _let_go(self) -> None:
        with self._holding:
            searchers, self._searchers = self._searchers, None
            collection, self._collection = self._collection, None
        if searchers is not None:
            searchers.stop()
        if collection is not None:
            collection.close()


def _until(query: Query) -> float | None:
    return None if query.timeout_s is None else time.monotonic() + query.timeout_s


def _seed(collection: Engine, tell: Callable[[Progress], None]) -> None:
    """Give an empty index something to search: the documents of seeds/, which a container's image leaves out."""
    if not SEEDS.is_dir():
        return

    def report(how: synced.Progress, state: State = "indexing") -> None:
        tell(Progress("seeds", SEEDS.name, how.done_bytes, how.total_bytes, state))

    with collection.catalog.read() as snapshot:
        if snapshot.generation > 0:  # also an index that was emptied on purpose stays empty
            return
    try:
        seeding = Sync(collection, report)
        seeding.run([SEEDS])
        report(seeding.progress, "done")
    except LockedError:  # an indexer has just begun to fill it
        log.info("another process is indexing; not indexing seeds/")
