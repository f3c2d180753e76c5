"""A collection on disk: its catalog, the encoder that it was made with, and the structures derived from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from indexer.catalog import CATALOG_FILE, Catalog, CatalogError, Keys, Snapshot
from indexer.encoder import Encoder
from indexer.lock import WriterLock
from indexer.models import DEFAULT_MODEL, ModelError, locate
from indexer.vectors import ExactIndex, VectorIndex


class View(NamedTuple):
    """One commit: what the catalog holds of it, and the vector index over exactly the same passages."""

    snapshot: Snapshot
    vectors: VectorIndex


class _Derived(NamedTuple):
    """A vector index and the commit that it covers."""

    vectors: VectorIndex
    generation: int
    last_key: int
    made_with: str  # weights of the model


class Collection:
    """An index folder, open. Safe to share between threads and, for reading, between processes."""

    def __init__(
        self, folder: Path, model: str = DEFAULT_MODEL, *, create: bool = False, encoder: Encoder | None = None
    ) -> None:
        """Open ``folder``, or make it if ``create``. Several collections can share an ``encoder``, which is that of ``model``
        if it is not given. Raises :class:`CatalogError`."""
        if create:
            _make(folder)
        elif not (folder / CATALOG_FILE).exists():
            raise CatalogError(
                f"there is no index in {folder} (from {Path.cwd()}); make one: passages index --index {folder} PATH..."
            )
        self.folder, self.model = folder, model
        self.catalog = Catalog(folder)
        self.lock = WriterLock(folder)
        self._encoder = encoder
        self._derived: _Derived | None = None
        self._loading, self._refreshing = threading.Lock(), threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use. Raises :class:`ModelError` if the index was made with another model."""
        if self._encoder is None:
            self.check_model()  # cheap, so a wrong model is told before seconds go into loading it
        encoder = self.any_encoder()
        with self.catalog.read() as snapshot:
            self.check_contract(snapshot, encoder)
        return encoder

    def any_encoder(self) -> Encoder:
        """The encoder, whatever the index was made with: to encode all of it again."""
        with self._loading:
            if self._encoder is None:
                self._encoder = Encoder.of(self.model)
            return self._encoder

    def check_contract(self, snapshot: Snapshot, encoder: Encoder) -> None:
        """Raises :class:`ModelError` if the commit was not made with this encoder."""
        if snapshot.contract and not snapshot.contract.same_vectors(encoder.contract):
            raise _mismatch(self, snapshot.contract.name, encoder.contract.name)

    def check_model(self) -> None:
        """Raises :class:`ModelError` if the model's weights are not those that the index was made with."""
        files = locate(self.model)
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
                    yield View(snapshot, derived.vectors)
                    return

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
                self._derived = _follow(self._derived, snapshot)
            return self._derived


def _follow(derived: _Derived | None, snapshot: Snapshot) -> _Derived:
    """The derived structures brought to the snapshot's commit."""
    contract = snapshot.contract
    if contract is None:
        return _Derived(ExactIndex(0), snapshot.generation, 0, "")
    if derived is None or derived.made_with != contract.weights:
        derived = _Derived(ExactIndex(contract.dimension), -1, 0, contract.weights)
    changes = snapshot.changes(derived.generation, derived.last_key, contract.dimension)
    vectors = derived.vectors.updated(changes.added, changes.vectors, changes.removed)
    return _Derived(vectors, snapshot.generation, _last(changes.added, derived.last_key), contract.weights)


def _last(added: Keys, before: int) -> int:
    return int(np.max(added)) if len(added) else before


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
    return path.name.startswith((".", "writer.", CATALOG_FILE)) or path.name == "lost+found"
