"""A collection on disk: its catalog, the encoder that it was made with, and the structures derived from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from indexer.catalog import CATALOG_FILE, Catalog
from indexer.encoder import Encoder
from indexer.lock import WriterLock
from indexer.models import DEFAULT_MODEL, ModelContract, ModelError, ModelFiles, locate
from indexer.records import Counts
from indexer.runtimes import Kind
from indexer.schema import CatalogError
from indexer.snapshot import Snapshot
from indexer.vectorfiles import VECTORS_FILE, Record
from indexer.vectors import VectorIndex
from indexer.vectorstate import VectorState, fold_state, follow_state, remake_state, trusted_record
from indexer.words import WORDS_FILE, Words, fold, open_words

# Passages whose words are in memory, from where on it is worth looking whether they lie on disk by now.
LONG_TAIL = 2000


class View(NamedTuple):
    """One commit: what the catalog holds of it, and the indexes over exactly the same passages."""

    snapshot: Snapshot
    vectors: VectorIndex
    words: Words


class _Derived(NamedTuple):
    """The indexes and the commit that they cover."""

    vectors: VectorState
    words: Words
    generation: int
    contract: ModelContract | None


class Collection:
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
            if not (folder / CATALOG_FILE).exists():  # what lies there is of a catalog that is gone
                (folder / WORDS_FILE).unlink(missing_ok=True)
                (folder / VECTORS_FILE).unlink(missing_ok=True)
        elif not (folder / CATALOG_FILE).exists():
            raise CatalogError(
                f"there is no index in {folder} (from {Path.cwd()}); make one: passages index --index {folder} PATH..."
            )
        self.folder, self.model, self._runtime = folder, model, runtime
        self.catalog = Catalog(folder)
        self.lock = WriterLock(folder)
        self.fold_later = fold_later
        self._encoder = encoder
        self._derived: _Derived | None = None
        self._counted: tuple[int, Counts] | None = None
        self._verified: Record | None = None  # files that this process found good, or not
        self._refused: Record | None = None
        self._loading, self._refreshing = threading.Lock(), threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use. Raises :class:`ModelError` if the index was made with another model."""
        if self._encoder is None:
            self.check_model()  # cheap, so a wrong model is told before seconds go into loading it
        encoder = self.any_encoder()
        with self.catalog.read() as snapshot:
            self.check_contract(snapshot, encoder.contract)
        return encoder

    def any_encoder(self) -> Encoder:
        """The encoder, whatever the index was made with: to encode all of it again."""
        with self._loading:
            if self._encoder is None:
                self._encoder = Encoder.of(self.model, self._runtime)
            return self._encoder

    def counts(self, snapshot: Snapshot) -> Counts:
        """What the commit holds; counted once for each, since that reads every text."""
        if self._counted is None or self._counted[0] != snapshot.generation:
            self._counted = snapshot.generation, snapshot.counts()
        return self._counted[1]

    def model_files(self) -> ModelFiles:
        """Where the model's files are. Raises :class:`ModelError`."""
        return locate(self.model)

    def check_contract(self, snapshot: Snapshot, contract: ModelContract) -> None:
        """Raises :class:`ModelError` if the commit was not made with an encoder of this contract."""
        if snapshot.contract and not snapshot.contract.same_vectors(contract):
            raise _mismatch(self, snapshot.contract.name, contract.name)

    def check_model(self) -> None:
        """Raises :class:`ModelError` if the model's weights are not those that the index was made with."""
        files = self.model_files()
        with self.catalog.read() as snapshot:
            contract = snapshot.contract
        if contract and contract.weights != files.weights:
            raise _mismatch(self, contract.name, files.name)

    @contextmanager
    def view(self) -> Iterator[View]:
        """The latest commit, whole. Nothing slow may happen inside: it holds a read transaction."""
        while True:
            with self.catalog.read() as snapshot:
                derived = self._refreshed(snapshot)
                # Another thread may have seen a newer commit in between: then look again, so that both are of one.
                if derived.generation == snapshot.generation:
                    yield View(snapshot, derived.vectors.vectors, derived.words)
                    return

    def calibrate(self, constants: Mapping[str, float], wait_s: float = 10.0) -> None:
        """Store what scores mean with this index's model (see :mod:`indexer.ranking`), for a model that ships without. Raises
        :class:`ModelError` if the index was made with another model."""
        contract = replace(self.encoder.contract, calibration=dict(constants))
        with self.lock.held(wait_s), self.catalog.write() as writer:
            writer.set_contract(contract)

    def fold_words(self, at_least: int = 1) -> None:
        """Move what is newest, if that is ``at_least`` so many passages, into the word index on disk, and what was deleted out
        of it. The caller holds the writer lock. Only speed depends on it: what is not there is searched in memory."""
        with self.catalog.read() as snapshot:  # not a view: who only writes needs no vectors in memory
            contract = snapshot.contract
            if contract is None:
                return
            words = _follow_words(open_words(self.folder, _tag(contract)), snapshot)
            if words.tail_size < at_least and not words.needs_rebuild:
                return
            if words.needs_rebuild:
                words = _follow_words(Words.empty(), snapshot)
        folded = fold(self.folder, words, _tag(contract))
        with self._refreshing:
            # A commit in between is still in the catalog: the next view follows from what was folded.
            if self._derived and self._derived.contract == contract and self._derived.generation == folded.generation:
                self._derived = self._derived._replace(words=folded)

    def fold_vectors(self, at_least: int = 1) -> None:
        """Move what is newest, if that is ``at_least`` so many passages, into the files of vectors, and what was deleted out of
        them, once there are enough passages to need files. The caller holds the writer lock. Only speed depends on it."""
        with self.catalog.read() as snapshot:
            self._verified = trusted_record(self.folder, snapshot, self._verified, self._refused)
            folded = fold_state(self.folder, snapshot, self._verified, at_least)
            contract = snapshot.contract
        if folded is None:
            return
        self._verified = folded.tried
        with self._refreshing:
            if self._derived and self._derived.contract == contract and self._derived.generation == folded.generation:
                self._derived = self._derived._replace(vectors=folded)

    def rebuild_derived(self) -> None:
        """Make the word index and the files of vectors anew, from the catalog alone: the compaction after which results depend
        on nothing but what the index holds. The caller holds the writer lock. Raises :class:`PassagesError`."""
        with self.catalog.write() as writer:
            writer.forget_languages()
        with self.catalog.read() as snapshot:
            words = _follow_words(Words.empty(), snapshot)
            contract = snapshot.contract
            remake_state(self.folder, snapshot)
        if contract is not None:
            fold(self.folder, words, _tag(contract))
        self._verified = self._refused = None
        with self._refreshing:
            self._derived = None  # read again by the next view

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

    def close(self) -> None:
        """Let go of the files."""
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _refreshed(self, snapshot: Snapshot) -> _Derived:
        with self._refreshing:
            if self._derived is None or self._derived.generation < snapshot.generation:
                self._derived = _follow(self._derived, snapshot, self.folder)
            return self._derived


def _follow(derived: _Derived | None, snapshot: Snapshot, folder: Path) -> _Derived:
    """The derived structures brought to the snapshot's commit."""
    contract = snapshot.contract
    if contract is None:
        return _Derived(VectorState.empty(0), Words.empty(), snapshot.generation, None)
    if derived is None or derived.contract is None or not derived.contract.same_vectors(contract):
        derived = _Derived(VectorState.empty(contract.dimension), open_words(folder, _tag(contract)), -1, contract)
    vectors = follow_state(derived.vectors, snapshot, contract, folder)
    words = _follow_words(derived.words, snapshot)
    if words.tail_size > LONG_TAIL:  # another process may have folded it meanwhile
        folded = _follow_words(open_words(folder, _tag(contract)), snapshot)
        words = folded if folded.tail_size < words.tail_size else words
    return _Derived(vectors, words, snapshot.generation, contract)


def _follow_words(words: Words, snapshot: Snapshot) -> Words:
    if words.generation > snapshot.generation:  # a copy of an older catalog beside a newer word index
        words = Words.empty()
    changes = snapshot.term_changes(words.generation, words.last_key)
    return words.updated(changes.added, changes.terms, changes.removed, snapshot.generation)


def _tag(contract: ModelContract) -> str:
    """What the word index on disk was made for; another one there is no use."""
    return f"terms {contract.terms}, splitter {contract.splitter}, {contract.weights}"


def _mismatch(collection: Collection, made_with: str, asked: str) -> ModelError:
    return ModelError(
        f"the index in {collection.folder} was made with the model {made_with} and another version of it, or another model "
        f"({asked}), was asked for; use --model {made_with}, or encode the whole index again: "
        f"passages index --index {collection.folder} --model {collection.model} --reindex"
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / CATALOG_FILE).exists() and any(not _is_ours(path) for path in folder.iterdir()):
            raise CatalogError(f"{folder} holds other files and no index; choose a new or empty folder with --index")
    except OSError as error:
        raise CatalogError(
            f"the index folder {folder} cannot be made: {error.strerror}; choose another with --index"
        ) from error


def _is_ours(path: Path) -> bool:
    """What may lie in a folder that is to become an index: what a stopped start of ours, or a file system, left there."""
    return path.name.startswith((".", "writer.", "words", "vectors", CATALOG_FILE)) or path.name == "lost+found"
