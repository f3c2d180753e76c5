"""Nearest neighbours in a large collection: a scan of 4-bit codes finds candidates, mapped 16-bit rows score them exactly.

Measured against other structures in docs/design.md, "Vectors".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.quantised import halves
from indexer.vectorfiles import BLOCK_ROWS, Block, Record, VectorFiles, open_files, read_record, whole, write_files
from indexer.vectors import ExactIndex, Floats, Keys, Neighbours, best_rows, merged

# Candidates for each neighbour that is asked for, and at least so many: of 400,000 vectors, the scan's first 500 hold .998 of
# the true first 100, its first 200 all of the first 10.
OVERFETCH = 5
FEWEST = 200
# A filter that leaves less than this share of the rows is scanned exactly: there the two take the same time.
FEW_SHARE = 0.04


class _Rows(NamedTuple):
    """Which rows can be found: how many, and a bit for each key, None when it is all of them."""

    size: int
    bits: npt.NDArray[np.uint8] | None


class FastScanIndex:
    """Files of many vectors, keys that are there no more, and what is newer, which is searched exactly beside them."""

    exact = False

    def __init__(self, files: VectorFiles, tail: ExactIndex | None = None, removed: Keys | None = None) -> None:
        """``removed`` (ascending) are keys of the files."""
        self.files = files
        self._tail = tail or ExactIndex(files.record.dimension)
        self._removed = np.empty(0, np.int64) if removed is None else removed
        self._alive = _Rows(len(files.keys), None) if not len(self._removed) else self._without_removed()

    @classmethod
    def build(cls, folder: Path, blocks: Iterable[Block], dimension: int, tag: str = "") -> FastScanIndex:
        """An index of ``blocks`` in ``folder``, without a catalog. ``dimension`` must be even; raises :class:`ValueError`."""
        return cls(write_files(folder, blocks, new_record(dimension, tag)))

    @classmethod
    def open(cls, folder: Path, tag: str = "") -> FastScanIndex | None:
        """The index in ``folder``; None if there is none, or it is damaged."""
        record = read_record(folder, tag)
        files = open_files(folder, record) if record else None
        return cls(files) if files else None

    def __len__(self) -> int:
        return self._alive.size + len(self._tail)

    @property
    def memory_bytes(self) -> int:
        """What it holds beside the mapped files."""
        a_code = self.files.record.dimension // 4 + 8  # half a byte for two dimensions, and the key, which FAISS keeps too
        bits = 0 if self._alive.bits is None else self._alive.bits.nbytes
        return a_code * len(self.files.keys) + bits + 4 * self.files.record.dimension * len(self._tail)

    def whole(self) -> bool:
        """Whether the mapped rows are what was written; reads all of them."""
        return whole(self.files)

    def nearest(self, question: Floats, count: int, allowed: Keys | None = None) -> Neighbours:
        """See :class:`indexer.vectors.VectorIndex`; of the nearest, some may be missing, but never any of the count."""
        return merged([self._nearest(question, count, allowed), self._tail.nearest(question, count, allowed)], count)

    def exact_nearest(self, question: Floats, count: int) -> Neighbours:
        """See :class:`indexer.vectors.VectorIndex`."""
        return merged([self._exactly(question, count, self._every()), self._tail.exact_nearest(question, count)], count)

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """See :class:`indexer.vectors.VectorIndex`."""
        found = self._tail.cosines(question, keys)
        rows, here = self._rows_of(keys)
        found[here] = _scores(self.files.rows[rows], question)
        return found

    def updated(self, keys: Keys, vectors: npt.NDArray[np.floating], removed: Keys) -> FastScanIndex:
        """See :class:`indexer.vectors.VectorIndex`."""
        gone = np.union1d(self._removed, removed[self._rows_of(removed)[1]])
        return FastScanIndex(self.files, self._tail.updated(keys, vectors, removed), gone)

    def _nearest(self, question: Floats, count: int, allowed: Keys | None) -> Neighbours:
        among, rows = self._alive, None
        if allowed is not None:
            rows, here = self._rows_of(allowed)
            if len(rows) <= FEW_SHARE * len(self.files.keys):
                return self._exactly(question, count, rows)
            among = _Rows(len(rows), _bits(allowed[here], self.files.record.last_key))
        found = self._scanned(question, count, among)
        # The scan's sums have 16 bits, and one at their end counts as nothing found.
        if len(found.keys) < min(count, among.size):
            return self._exactly(question, count, self._every() if rows is None else rows)
        return found

    def _scanned(self, question: Floats, count: int, among: _Rows) -> Neighbours:
        """The best of the scan's candidates."""
        import faiss

        fetched = min(max(OVERFETCH * count, FEWEST), among.size)
        if fetched == 0:
            return Neighbours(np.empty(0, np.int64), np.empty(0, np.float32))
        parameters = None
        if among.bits is not None:
            selector = faiss.IDSelectorBitmap(among.bits)  # type: ignore[call-arg, arg-type]
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=1)  # type: ignore[call-arg]
        _, keys = self.files.codes.search(question.reshape(1, -1), fetched, params=parameters)
        found = np.sort(keys[0][keys[0] >= 0])
        cosines = _scores(self.files.rows[np.searchsorted(self.files.keys, found)], question)
        return merged([Neighbours(found, cosines)], count)

    def _exactly(self, question: Floats, count: int, rows: Keys) -> Neighbours:
        """The best of these rows (ascending), a block in memory at a time."""
        best = Neighbours(np.empty(0, np.int64), np.empty(0, np.float32))
        for some in _blocks(rows):
            cosines, at = best_rows(halves(self.files.rows[some]), question, count, len(some))
            best = merged([best, Neighbours(self.files.keys[some[at]], cosines)], count)
        return best

    def _rows_of(self, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Rows of those ``keys`` that the files hold, and which these are, bool [n]."""
        if not len(self.files.keys):
            return np.empty(0, np.int64), np.zeros(len(keys), np.bool_)
        rows = np.minimum(np.searchsorted(self.files.keys, keys), len(self.files.keys) - 1)
        here = self.files.keys[rows] == keys
        if len(self._removed):
            here &= np.isin(keys, self._removed, invert=True)
        return rows[here], here

    def _every(self) -> Keys:
        """All rows that are still there."""
        return np.flatnonzero(np.isin(self.files.keys, self._removed, invert=True))

    def _without_removed(self) -> _Rows:
        kept = np.setdiff1d(self.files.keys, self._removed, assume_unique=True)
        return _Rows(len(kept), _bits(kept, self.files.record.last_key))


def new_record(dimension: int, tag: str, generation: int = 0) -> Record:
    """What is known of files before they are written."""
    return Record(0, tag, "", generation, 0, 0, dimension, 0, "", "", [])


def _scores(rows: npt.NDArray[np.float16], question: Floats) -> Floats:
    """Cosines float32 [n] of rows float16 [n, d]; the same for equal rows, wherever they stand."""
    scores = np.full(len(rows), np.nan, np.float32)
    if len(rows):
        cosines, at = halves(rows).search(question.reshape(1, -1), len(rows))
        scores[at[0][at[0] >= 0]] = cosines[0][at[0] >= 0]
    return scores


def _bits(keys: Keys, last_key: int) -> npt.NDArray[np.uint8]:
    """A bit for each key up to ``last_key``: whether it is one of ``keys``."""
    mask = np.zeros(last_key + 1, np.bool_)
    mask[keys] = True
    return np.packbits(mask, bitorder="little")


def _blocks(rows: Keys) -> Iterator[Keys]:
    return (rows[at : at + BLOCK_ROWS] for at in range(0, len(rows), BLOCK_ROWS))
