"""A collection on a Milvus server. What is kept is there alone, so any number of services can share it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from indexer import deadline
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.engines.address import Address, Consistency
from indexer.engines.contract import Engine
from indexer.engines.milvus.connection import TABLES, Connection, Tables
from indexer.engines.milvus.encoding import described_of, described_text, tags, token_fields
from indexer.engines.milvus.generations import STALE_S, sweep, sweep_unnamed
from indexer.engines.milvus.mirror import Mirror, Mirrors
from indexer.engines.milvus.reader import MilvusReader
from indexer.engines.milvus.state import State, Totals, later, pending_rows, read_state, state_row
from indexer.engines.milvus.tables import DOCUMENTS, META, WEIGHED, fields_of, has, make_named, make_passages
from indexer.engines.milvus.view import Frequencies, MilvusView
from indexer.engines.milvus.writer import MilvusWriter
from indexer.lock import LockedError
from indexer.ranking import READINGS
from indexer.runtimes import Kind
from indexer.schema import CatalogError, MissingError

PATIENCE_S = 60.0  # a server that was started again takes half a minute until it answers
_COUNTED = 3  # times that documents are counted, if others commit meanwhile
_WITHOUT_WORDS = ("vector", "tokens")


class MilvusCollection(Engine):
    """See :class:`indexer.engines.contract.Engine`."""

    has_vectors = False
    check_every_s = STALE_S  # looking for notes is cheap, and what a writer left is cleared up soon after it may be

    def __init__(
        self,
        address: Address,
        model: str,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
        runtime: Kind = "auto",
        fold_later: Callable[[], None] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Open what is at ``address``, or make it if ``create``. A call waits ``patience_s`` for the server, unless it has a
        time of its own (:mod:`indexer.deadline`). Raises :class:`MissingError`, and what :meth:`Connection.call` raises."""
        super().__init__(model, encoder, runtime, fold_later)
        self.address = address
        self._connection = Connection(address, patience_s)
        self._lock = _Lock()
        self._mirrors = Mirrors()
        self._frequencies = Frequencies()
        self._must_count = False  # nobody has added up what was cleared up
        try:
            has_words = self._open(create) and self._connection.server.words
        except BaseException:
            self._connection.close()
            raise
        if not has_words:
            self.readings = _WITHOUT_WORDS

    @property
    def where(self) -> Address:
        """The address."""
        return self.address

    @property
    def catalog(self) -> MilvusCollection:
        """What is kept is the collection itself."""
        return self

    @property
    def lock(self) -> _Lock:
        """One request of this process writes; other processes write as they like."""
        return self._lock

    @property
    def is_away(self) -> bool:
        """Whether the server has not answered for some seconds."""
        return self._connection.is_away

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server lacks."""
        if self.readings == READINGS:
            return ()
        server = self._connection.server
        why = (
            "the collection was made on a Milvus server that did not rank by words: passages copy moves it to a new one"
            if server.words
            else f"the Milvus server is of version {server.version}, which does not rank by words (2.5 does)"
        )
        return (
            f"{why}; passages are found by their vectors and ranked by these and their tokens, phrases are looked for in "
            "these, and scores are not calibrated",
        )

    @contextmanager
    def read(self) -> Iterator[MilvusReader]:
        """See :class:`indexer.engines.contract.Store`. Who writes reads what is there now."""
        consistency: Consistency | None = "Strong" if self._lock.is_mine else None
        yield self._reader(Tables(self._connection, deadline.until(), consistency))

    @contextmanager
    def write(self) -> Iterator[MilvusWriter]:
        """See :class:`indexer.engines.contract.Store`."""
        tables = Tables(self._connection, consistency="Strong")
        writer = MilvusWriter(tables, read_state(tables), self._mirror_of)
        yield writer
        writer.commit()

    @contextmanager
    def view(self, timeout_s: float | None = None) -> Iterator[MilvusView]:
        """See :class:`indexer.engines.contract.Engine`."""
        until = deadline.until() if timeout_s is None else time.monotonic() + timeout_s
        yield MilvusView(self._reader(Tables(self._connection, until)), self._frequencies, self.readings == READINGS)

    def look(self) -> None:
        """Nothing is known to be wrong: what is, each request meets."""

    def check(self, pause: Callable[[], None] = lambda: None) -> None:
        """A server looks after what it keeps; who only reads clears up here what writers left that ended in the middle, and
        counts again if what they added up is not what is there. Documents are counted without the lock, which writes wait for,
        and in vain if somebody writes meanwhile: then the next look is another chance."""
        tables = Tables(self._connection, consistency="Strong")
        with self._lock.held(PATIENCE_S):
            if sweep(tables):
                self._must_count = True
                state = read_state(tables)
                _commit(tables, state, state.totals)
        before = _quiet(tables)
        if before and (self._must_count or before.totals.documents != tables.count(DOCUMENTS)):
            totals = _counted(tables)
            with self._lock.held(PATIENCE_S):
                now = _quiet(tables)
                if now and now.generation == before.generation:
                    self._must_count = False
                    if totals != now.totals:
                        _commit(tables, now, totals)
        pause()

    def refuse(self, damage: str) -> None:
        """Nothing is: no process can find a server's files damaged."""

    def fold(self, at_once: bool = False) -> None:
        """Clear up and count again ``at_once``. After a commit nothing is worth it: see :meth:`check`."""
        if at_once:
            tables = Tables(self._connection, consistency="Strong")
            self._count(tables, sweep(tables) > 0)

    def rebuild_derived(self) -> None:
        """Count again how much there is, and clear up."""
        tables = Tables(self._connection, consistency="Strong")
        self._count(tables, sweep(tables) + sweep_unnamed(tables) > 0)

    def check_vectors(self) -> bool:
        """Nothing is mapped here."""
        return True

    def check_document(self, document: Document) -> None:
        """Raises :class:`indexer.errors.UnreadableError` for a document with fields that a server cannot hold."""
        described = described_of(document)
        described_text(described)
        tags(described, "somewhere")

    def last_commit(self) -> datetime | None:
        """The collection's generation is the millisecond of its last commit."""
        with self.read() as snapshot:
            generation = snapshot.generation
        return datetime.fromtimestamp(generation // 1000, UTC) if generation else None

    def upload_folder(self) -> None:
        """No folder belongs to it."""
        return

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _open(self, create: bool) -> bool:
        """Whether passages are weighed by their words there, as far as the table is there."""
        if has(self._connection, META):
            make_named(self._connection)  # loads them, and makes what an interruption left out
        elif create:
            taken = tuple(f"_{table}" for table in TABLES if table)
            if self.address.collection.endswith(taken):
                raise CatalogError(
                    f"{self.address}: a new collection's name does not end with {' or '.join(taken)}, as its tables' do"
                )
            make_named(self._connection)
        else:
            raise self._missing()
        tables = Tables(self._connection, consistency="Strong")
        state = read_state(tables)
        if state.contract:
            make_passages(self._connection, state.contract)
        if not state.identity:
            if not create:  # somebody is making it, and what is written here could be written over theirs
                raise self._missing()
            tables.upsert(META, [state_row(State(secrets.token_hex(16), 0, Totals(), None, []))])
            tables.flush([META])
        return state.contract is None or WEIGHED in fields_of(self._connection)

    def _missing(self) -> MissingError:
        return MissingError(
            f"there is no index at {self.address}; make one: passages index --index {self.address} PATH..., or passages copy"
        )

    def _reader(self, tables: Tables) -> MilvusReader:
        state = read_state(tables)
        return MilvusReader(tables, state, self._mirror_of, token_fields(state.contract) if state.contract else 1)

    def _mirror_of(self, reader: MilvusReader) -> Mirror:
        """The list of documents as of the reader's commit, read once for each."""
        return self._mirrors.of(
            (reader.identity, reader.generation), reader.tables.left_s, lambda: self._mirrored(reader.state)
        )

    def _mirrored(self, state: State) -> Mirror:
        # It stays, so it must be whole, however old what others read may be.
        reader = MilvusReader(Tables(self._connection, consistency="Strong"), state, self._mirror_of, 1)
        return Mirror(reader.kept_where(""), {source.key: source.name for source in reader.sources()})

    def _count(self, tables: Tables, changed: bool = False) -> None:
        for _ in range(_COUNTED):
            before, totals, state = read_state(tables), _counted(tables), read_state(tables)
            if state.generation == before.generation:
                break
        else:  # others write on and on: what they add up stays, until somebody counts when it is quiet
            totals = state.totals
        if changed or totals != state.totals:
            _commit(tables, state, totals)


def _commit(tables: Tables, state: State, totals: Totals) -> None:
    """Another commit, for what is kept of the last one: who ended in the middle told nobody what had changed."""
    tables.upsert(META, [state_row(state._replace(totals=totals, generation=later(state.generation)))])
    tables.flush([META])


def _quiet(tables: Tables) -> State | None:
    """The state, if nobody is writing: who has written and not added it up yet would add it to what is counted. The notes are
    read first, since a writer's commit comes before the end of its note."""
    return None if pending_rows(tables) else read_state(tables)


def _counted(tables: Tables) -> Totals:
    fields = ("passages", "characters", "terms")
    totals = Totals()
    for page in tables.pages(DOCUMENTS, "", ["key", *fields]):
        for row in page:
            totals = totals.plus(Totals(1, *(int(row[name]) for name in fields)))
    return totals


class _Lock:
    """One request of this process at a time: see :class:`indexer.engines.contract.Lock`."""

    def __init__(self) -> None:
        self._thread = threading.Lock()
        self._holder: int | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        return self._holder == threading.get_ident()

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """See the contract."""
        if not self._thread.acquire(timeout=wait_s):
            raise LockedError("another request is writing this index: try again in a moment")
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = None
            self._thread.release()
