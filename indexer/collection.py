"""A collection on disk: its catalog, the encoder that it was made with, and the structures derived from it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from indexer.catalog import CATALOG_FILE, Catalog
from indexer.encoder import Encoder
from indexer.engines.contract import Engine
from indexer.errors import PassagesError
from indexer.files import make_folder, sweep
from indexer.filters import condition
from indexer.lock import WriterLock
from indexer.models import DEFAULT_MODEL, ModelContract
from indexer.place import check_place
from indexer.records import Keys
from indexer.runtimes import Kind
from indexer.schema import CatalogError, MissingError
from indexer.snapshot import Snapshot
from indexer.vectorfiles import VECTORS_FILE, Record
from indexer.vectors import Floats, Neighbours, VectorIndex
from indexer.vectorstate import VectorState, fold_state, follow_state, remake_state, trusted_record
from indexer.witness import Witness
from indexer.wordfiles import Disk
from indexer.words import WORDS_FILE, Words, fold, open_words

log = logging.getLogger(__name__)

# Passages whose words are in memory, from where on it is worth looking whether they lie on disk by now.
LONG_TAIL = 2000
# Newer passages than this are moved into the word index on disk; that many are searched in memory in a millisecond.
FOLD_PASSAGES = 2000
# The same for vectors, which are searched exactly until then: 0.2 ms for 8,000 of them, and a fold copies all others.
FOLD_VECTORS = 8000
# Removed passages that the catalog remembers, from where on they are forgotten once no file needs them: 1 MB of rows.
PRUNED_PASSAGES = 50_000


class View(NamedTuple):
    """One commit: what the catalog holds of it, and the indexes over exactly the same passages. ``allowed`` (ascending) are the
    only ones that may be found; None: all of them. See :class:`indexer.engines.contract.View`."""

    snapshot: Snapshot
    vectors: VectorIndex
    words: Words
    allowed: Keys | None = None

    @property
    def exact(self) -> bool:
        """See the contract."""
        return self.vectors.exact

    @property
    def passages(self) -> int:
        """See the contract."""
        return self.words.passages

    @property
    def places(self) -> int:
        """See the contract."""
        return self.passages

    @property
    def mean_length(self) -> float:
        """See the contract."""
        return self.words.mean_length

    def rarities(self, words: Sequence[Sequence[int]]) -> list[float]:
        """See the contract."""
        return self.words.rarities(words)

    def narrowed(self, filters: Sequence[Mapping[str, Any]], phrases: Sequence[Sequence[Sequence[int]]]) -> View:
        """See the contract."""
        found = [self.snapshot.keys_where(*condition(one)) for one in filters]
        found += [self._with_phrase(forms) for forms in phrases]
        allowed = self.allowed
        for keys in found:
            allowed = keys if allowed is None else np.intersect1d(allowed, keys, assume_unique=True)
        return self._replace(allowed=allowed)

    def nearest(self, question: Floats, count: int) -> Neighbours:
        """See the contract."""
        return self.vectors.nearest(question, count, self.allowed, self._names)

    def matching(self, groups: Sequence[Sequence[int]], rarity: Floats, count: int) -> Keys:
        """See the contract."""
        return self.words.matching(groups, rarity, count, self.allowed, self._names)

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """See the contract."""
        return self.vectors.cosines(question, keys)

    def within(self, keys: Iterable[int]) -> set[int]:
        """See the contract."""
        return {key for key in keys if self.allowed is None or _contains(self.allowed, key)}

    def _with_phrase(self, forms: Sequence[Sequence[int]]) -> Keys:
        found = [self.words.phrase(codes) for codes in forms]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def _names(self, keys: Keys) -> list[str]:
        """The id of each key; "" for one that the commit lacks."""
        ids = self.snapshot.passage_ids(keys.tolist())
        return [ids.get(key, "") for key in keys.tolist()]


class _Derived(NamedTuple):
    """The indexes and the commit that they cover."""

    vectors: VectorState
    words: Words
    generation: int
    contract: ModelContract | None
    identity: str = ""

    def is_of(self, contract: ModelContract | None, identity: str, generation: int) -> bool:
        """Whether they cover this commit: a restored catalog may come to a generation again."""
        return (self.contract, self.identity, self.generation) == (contract, identity, generation)


class Collection(Engine):
    """An index folder, open. Safe to share between threads and, for reading, between processes."""

    def __init__(
        self,
        folder: Path,
        model: str = DEFAULT_MODEL,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
        runtime: Kind = "auto",
        fold_later: Callable[[], None] | None = None,
    ) -> None:
        """Open ``folder``, or make it if ``create``. Several collections can share an ``encoder``, which is that of ``model``
        on ``runtime`` if it is not given. ``fold_later`` is told after commits that :func:`indexer.ingest.fold` may be due, and
        who gave it does that then; else who writes folds. Raises :class:`CatalogError`."""
        if create:
            _make(folder)
        elif not (folder / CATALOG_FILE).exists() and not Witness(folder).known():
            raise MissingError(
                f"there is no index in {folder} (from {Path.cwd()}); make one: passages index --index {folder} PATH..."
            )
        super().__init__(model, encoder, runtime, fold_later)
        self.folder = folder
        self._catalog, self._lock = Catalog(folder), WriterLock(folder)
        self._derived: _Derived | None = None
        self._disk: Disk | None = None  # the word files that were checked last
        self._verified: Record | None = None  # files that this process found good, or not
        self._refused: Record | None = None
        self._refreshing = threading.Lock()

    @property
    def where(self) -> Path:
        """The folder."""
        return self.folder

    @property
    def catalog(self) -> Catalog:
        """The catalog's file, open."""
        return self._catalog

    @property
    def lock(self) -> WriterLock:
        """One process writes, and one request of it."""
        return self._lock

    @contextmanager
    def view(self, timeout_s: float | None = None) -> Iterator[View]:  # noqa: ARG002  # nothing here waits for others
        """The latest commit, whole. Nothing slow may happen inside: it holds a read transaction."""
        while True:
            with self.catalog.read() as snapshot:
                derived = self._refreshed(snapshot)
                # Another thread may have seen a newer commit in between: then look again, so that both are of one.
                if (derived.generation, derived.identity) == (snapshot.generation, snapshot.identity):
                    yield View(snapshot, derived.vectors.vectors, derived.words)
                    return

    def fold(self, at_once: bool = False) -> None:
        """Move many new words and vectors to disk; the caller holds the writer lock. If that fails they are searched in memory
        until it succeeds."""
        try:
            self.sweep()
            self.fold_words(1 if at_once else FOLD_PASSAGES)
            self.fold_vectors(1 if at_once else FOLD_VECTORS)
            self.prune()
            self.catalog.shorten_log()
        except PassagesError as error:
            log.warning("%s", error)

    def sweep(self) -> None:
        """Delete what folds left that were interrupted. The caller holds the writer lock."""
        for file in (WORDS_FILE, VECTORS_FILE):
            sweep(self.folder, Path(file).stem)

    def fold_words(self, at_least: int = 1) -> None:
        """Move what is newest, if that is ``at_least`` so many passages, into the word index on disk, and what was deleted out
        of it. The caller holds the writer lock. Only speed depends on it: what is not there is searched in memory."""
        with self.catalog.read() as snapshot:  # not a view: who only writes needs no vectors in memory
            contract = snapshot.contract
            if contract is None:
                return
            words = _follow_words(self._open_words(snapshot), snapshot)
            if words.tail_size < at_least and not words.needs_rebuild:
                return
            if words.needs_rebuild:
                words = _follow_words(Words.empty(), snapshot)
            tag, identity = words_tag(snapshot), snapshot.identity
        folded = fold(self.folder, words, tag)
        self._disk = folded.disk
        with self._refreshing:
            # A commit in between is still in the catalog: the next view follows from what was folded.
            if self._derived and self._derived.is_of(contract, identity, folded.generation):
                self._derived = self._derived._replace(words=folded)

    def fold_vectors(self, at_least: int = 1) -> None:
        """Move what is newest, if that is ``at_least`` so many passages, into the files of vectors, and what was deleted out of
        them, once there are enough passages to need files. The caller holds the writer lock. Only speed depends on it."""
        with self.catalog.read() as snapshot:
            self._verified = trusted_record(self.folder, snapshot, self._verified, self._refused)
            folded = fold_state(self.folder, snapshot, self._verified, at_least)
            contract, identity = snapshot.contract, snapshot.identity
        if folded is None:
            return
        self._verified = folded.tried
        with self._refreshing:
            if self._derived and self._derived.is_of(contract, identity, folded.generation):
                self._derived = self._derived._replace(vectors=folded)

    def prune(self, at_least: int = PRUNED_PASSAGES) -> int:
        """Forget which passages were removed, up to where the files on disk need it no more, if these are ``at_least`` so many;
        how many were forgotten. The caller holds the writer lock."""
        with self.catalog.read() as snapshot:
            if snapshot.contract is None or snapshot.count_prunable(snapshot.generation) < at_least:
                return 0
            words = self._open_words(snapshot).generation
            record = trusted_record(self.folder, snapshot, self._verified, self._refused)
            upto = min(words, record.generation if record else words)
            count = snapshot.count_prunable(upto)
        if count < at_least:
            return 0
        with self.catalog.write() as writer:
            writer.prune(upto)
        return count

    def rebuild_derived(self) -> None:
        """Make the word index and the files of vectors anew, from the catalog alone: the compaction after which results depend
        on nothing but what the index holds. The caller holds the writer lock. Raises :class:`PassagesError`."""
        with self.catalog.write() as writer:
            writer.forget_languages()
        with self.catalog.read() as snapshot:
            words = _follow_words(Words.empty(), snapshot)
            tag = words_tag(snapshot) if snapshot.contract else None
            remake_state(self.folder, snapshot)
        if tag is not None:
            fold(self.folder, words, tag)
        self._verified = self._refused = None
        with self._refreshing:
            self._derived = None  # read again by the next view
        self.prune(at_least=1)

    def check_vectors(self) -> bool:
        """Whether the mapped vectors are what was written; if not, they are read from the catalog from now on, and made again
        by the next fold. Reads all of them, so it is for the background."""
        with self._refreshing:
            derived = self._derived
        if derived is None or derived.vectors.whole():
            return True
        with self._refreshing:
            self._refused = derived.vectors.tried
            if self._derived:
                self._derived = self._derived._replace(vectors=derived.vectors.distrusted(), generation=-1)
        return False

    def last_commit(self) -> datetime | None:
        """See the contract."""
        seen = Witness(self.folder).seen_at()
        return None if seen is None else datetime.fromtimestamp(int(seen), UTC)

    def upload_folder(self) -> Path:
        """The index folder has the room and the rights."""
        return self.folder

    def close(self) -> None:
        """Let go of the files."""
        self.catalog.close()

    def _open_words(self, snapshot: Snapshot) -> Words:
        words = open_words(self.folder, words_tag(snapshot), self._disk)
        self._disk = words.disk
        return words

    def _refreshed(self, snapshot: Snapshot) -> _Derived:
        with self._refreshing:
            if self._derived is None or _is_behind(self._derived, snapshot):
                self._derived = _checked(_follow(self._derived, snapshot, self.folder), snapshot)
            return self._derived


def _follow(derived: _Derived | None, snapshot: Snapshot, folder: Path) -> _Derived:
    """The derived structures brought to the snapshot's commit."""
    contract = snapshot.contract
    if contract is None:
        return _Derived(VectorState.empty(0), Words.empty(), snapshot.generation, None, snapshot.identity)
    if derived is None or not _can_follow(derived, snapshot, contract):
        derived = _Derived(VectorState.empty(contract.dimension), open_words(folder, words_tag(snapshot)), -1, contract)
    vectors = follow_state(derived.vectors, snapshot, contract, folder)
    words = _follow_words(derived.words, snapshot)
    if words.tail_size > LONG_TAIL:  # another process may have folded it meanwhile
        folded = _follow_words(open_words(folder, words_tag(snapshot), derived.words.disk), snapshot)
        words = folded if folded.tail_size < words.tail_size else words
    return _Derived(vectors, words, snapshot.generation, contract, snapshot.identity)


def _is_behind(derived: _Derived, snapshot: Snapshot) -> bool:
    return derived.generation < snapshot.generation or derived.identity != snapshot.identity


def _can_follow(derived: _Derived, snapshot: Snapshot, contract: ModelContract) -> bool:
    """Whether what was derived can be brought to the commit by what changed since."""
    made_with = derived.contract
    return made_with is not None and made_with.same_vectors(contract) and derived.identity == snapshot.identity


def _checked(derived: _Derived, snapshot: Snapshot) -> _Derived:
    """What was derived, if it covers as many passages as the commit says; else derived again, of the catalog alone."""
    if derived.contract is None or (len(derived.vectors.vectors), derived.words.passages) == snapshot.covered():
        return derived
    log.warning("vectors and words are not those of the catalog's passages and are made again from it")
    vectors = follow_state(derived.vectors.distrusted(), snapshot, derived.contract, None)
    return derived._replace(vectors=vectors, words=_follow_words(Words.empty(), snapshot))


def _follow_words(words: Words, snapshot: Snapshot) -> Words:
    if words.generation > snapshot.generation or words.generation < snapshot.pruned:  # what was removed since is not told
        words = Words.empty()
    changes = snapshot.term_changes(words.generation, words.last_key)
    return words.updated(changes.added, changes.terms, changes.removed, snapshot.generation)


def words_tag(snapshot: Snapshot) -> str:
    """What the word index on disk was made for; another one there is no use."""
    contract = snapshot.contract
    made_with = f"terms {contract.terms}, splitter {contract.splitter}, {contract.weights}" if contract else "nothing"
    return f"{snapshot.identity}, {made_with}"


def _contains(ascending: Keys, key: int) -> bool:
    at = int(ascending.searchsorted(key))
    return at < len(ascending) and int(ascending[at]) == key


def _make(folder: Path) -> None:
    try:
        if (folder / CATALOG_FILE).exists() or Witness(folder).known():  # the latter: it is damaged, which opening it tells
            return
        make_folder(folder)
        check_place(folder)
        for file in (WORDS_FILE, VECTORS_FILE):  # of a catalog that is gone
            (folder / file).unlink(missing_ok=True)
    except OSError as error:
        raise CatalogError(
            f"the index folder {folder} cannot be made: {error.strerror}; choose another with --index"
        ) from error
