"""How vectors follow the catalog: from files where there are some, else from the catalog, and what is newer in memory."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from indexer.fastscan import FastScanIndex, new_record
from indexer.models import ModelContract
from indexer.snapshot import Snapshot
from indexer.vectorfiles import (
    BLOCK_ROWS,
    Record,
    VectorFiles,
    VectorFilesError,
    open_files,
    read_record,
    remove_files,
    write_files,
)
from indexer.vectors import ExactIndex, VectorIndex

log = logging.getLogger(__name__)

# From so many passages on vectors lie in files; up to there comparing all of them takes 1.5 ms (docs/design.md).
FILES_PASSAGES = 20_000
# Files are made anew when more than this share of them was deleted: it is still scanned, and masked.
_STALE_SHARE = 0.2
_SAMPLE = 64  # rows that are compared with the catalog when files are opened


class VectorState(NamedTuple):
    """Vectors and the commit that they are of. ``tried`` is the last record that was looked at, even if it was of no use."""

    vectors: VectorIndex
    generation: int
    last_key: int
    tried: Record | None

    @classmethod
    def empty(cls, dimension: int) -> VectorState:
        """No vectors, of no commit yet."""
        return cls(ExactIndex(dimension), -1, 0, None)

    @classmethod
    def of(cls, files: VectorFiles) -> VectorState:
        """What files hold."""
        return cls(FastScanIndex(files), files.record.generation, files.record.last_key, files.record)

    def whole(self) -> bool:
        """Whether mapped rows, if there are any, are what was written."""
        return not isinstance(self.vectors, FastScanIndex) or self.vectors.whole()

    def distrusted(self) -> VectorState:
        """The start of all, from the catalog; the files that were tried are not tried again."""
        return self.empty(0)._replace(tried=self.tried)


def follow_state(state: VectorState, snapshot: Snapshot, contract: ModelContract, folder: Path | None) -> VectorState:
    """The state brought to the snapshot's commit; without a ``folder``, by the catalog alone. Raises nothing for files that are
    of no use: they are passed over."""
    while folder and (record := _fitting(folder, snapshot)) and record != state.tried:
        files = _trusted(folder, record, snapshot)  # None also if another process has folded meanwhile: then look again
        state = VectorState.of(files) if files else state._replace(tried=record)
    if state.generation < snapshot.pruned:  # the catalog does not tell any more what was removed since
        state = state.distrusted()
    if state.generation < 0:
        state = state._replace(vectors=ExactIndex(contract.dimension))
    changes = snapshot.changes(state.generation, state.last_key, contract.dimension)
    vectors = state.vectors.updated(changes.added, changes.vectors, np.sort(changes.removed))
    last_key = int(changes.added[-1]) if len(changes.added) else state.last_key
    return VectorState(vectors, snapshot.generation, last_key, state.tried)


def trusted_record(folder: Path, snapshot: Snapshot, known: Record | None, refused: Record | None) -> Record | None:
    """The record of files that can be built on, or None: of this catalog, whole as far as opening shows, and not ``refused``.
    ``known`` was looked at before."""
    record = _fitting(folder, snapshot)
    if record is None or record == refused:
        return None
    return record if record == known or _trusted(folder, record, snapshot) else None


def fold_state(folder: Path, snapshot: Snapshot, record: Record | None, at_least: int) -> VectorState | None:
    """Files of all vectors of the commit, if there are enough passages and ``at_least`` so many are not in files yet, or many
    that are were deleted; else None. The caller holds the writer lock. Raises :class:`PassagesError`."""
    contract = snapshot.contract
    if contract is None or contract.dimension % 2 or not _is_due(record, snapshot, at_least):
        return None
    if snapshot.count_above(0, FILES_PASSAGES) < FILES_PASSAGES:
        remove_files(folder)
        return None
    try:
        before = open_files(folder, record) if record else None
        return VectorState.of(_folded(folder, snapshot, contract, before))
    except VectorFilesError as error:
        log.warning("the vectors in %s are damaged and are made again: %s", folder, error)
        return VectorState.of(_folded(folder, snapshot, contract, None))


def tag(contract: ModelContract, identity: str) -> str:
    """Of all that decides the vectors, as in :meth:`ModelContract.same_vectors`, and of whose they are."""
    return hashlib.sha256(json.dumps([contract.readings(), identity], sort_keys=True).encode()).hexdigest()


def _fitting(folder: Path, snapshot: Snapshot) -> Record | None:
    """What the folder has, if it is of this catalog, and the catalog tells what was removed since."""
    record = read_record(folder, tag(snapshot.contract, snapshot.identity)) if snapshot.contract else None
    return record if record and snapshot.pruned <= record.generation <= snapshot.generation else None


def remake_state(folder: Path, snapshot: Snapshot) -> None:
    """Files of all vectors of the commit, whatever lies there; none for few passages. The caller holds the writer lock. Raises
    :class:`PassagesError`."""
    if fold_state(folder, snapshot, None, 1) is None:
        remove_files(folder)


def _is_due(record: Record | None, snapshot: Snapshot, at_least: int) -> bool:
    if record is None:
        return snapshot.count_above(0, FILES_PASSAGES) == FILES_PASSAGES
    removed = snapshot.count_removed(record.generation, record.last_key)
    return snapshot.count_above(record.last_key, at_least) == at_least or removed > _STALE_SHARE * record.rows


def _folded(folder: Path, snapshot: Snapshot, contract: ModelContract, before: VectorFiles | None) -> VectorFiles:
    blocks = snapshot.vectors_above(before.record.last_key if before else 0, contract.dimension, BLOCK_ROWS)
    removed = snapshot.removed(before.record.generation) if before else None
    record = new_record(contract.dimension, tag(contract, snapshot.identity), snapshot.generation)
    return write_files(folder, blocks, record, before, removed)


def _trusted(folder: Path, record: Record, snapshot: Snapshot) -> VectorFiles | None:
    """The record's files, if they are whole and of this catalog: another one, restored and written on, has the same keys for
    other passages."""
    files = open_files(folder, record)
    if files is None or files.rows.shape[1] != (snapshot.contract.dimension if snapshot.contract else 0):
        return None
    removed = snapshot.removed(record.generation)
    count = len(files.keys)
    # Also none that the files lack: a passage that was deleted, and came back with the catalog.
    there = count - int(np.isin(files.keys, removed).sum())
    if snapshot.count_to(record.last_key) != there:
        log.warning("the vectors in %s are of another catalog and will be made again", folder / record.place)
        return None
    sample = np.unique(np.concatenate([np.linspace(0, count - 1, _SAMPLE, dtype=np.int64), np.arange(count)[-_SAMPLE:]]))
    sample = sample[np.isin(files.keys[sample], removed, invert=True)]
    stored = snapshot.vectors_of(files.keys[sample].tolist())
    if all(stored.get(int(files.keys[row])) == files.rows[row].tobytes() for row in sample):
        return files
    log.warning("the vectors in %s are of another catalog and will be made again", folder / record.place)
    return None
