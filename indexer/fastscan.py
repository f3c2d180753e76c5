"""Nearest neighbours in a large collection: a scan of 4-bit codes finds candidates, mapped 16-bit rows score them exactly.

Measured against other structures in docs/design.md, "Vectors".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.quantised import halves
from indexer.ties import Names
from indexer.vectorfiles import BLOCK_ROWS, Block, Record, VectorFiles, in_blocks, open_files, read_record, whole, write_files
from indexer.vectors import ExactIndex, Floats, Keys, Neighbours, best_rows, cosines_of, merged

Bools = npt.NDArray[np.bool_]

# Candidates for each neighbour that is asked for, and at least so many: of 400,000 vectors, the scan's first 500 hold .998 of
# the true first 100, its first 200 all of the first 10.
OVERFETCH = 5
FEWEST = 200
# A filter that leaves less than this share of the rows is scanned exactly: there the two take the same time.
FEW_SHARE = 0.04


class FastScanIndex:
    """Files of many vectors, keys that are there no more, and what is newer, which is searched exactly beside them."""

    exact = False

    def __init__(self, files: VectorFiles, tail: ExactIndex | None = None, there: Bools | None = None) -> None:
        """``there`` says of each key from 0 to the files' last whether it still counts; None: all that the files hold do."""
        self.files = files
        self._tail = tail or ExactIndex(files.record.dimension)
        self._there = _mask(files.keys, files.record.last_key) if there is None else there
        self._size = int(self._there.sum())

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
        return self._size + len(self._tail)

    @property
    def memory_bytes(self) -> int:
        """What it holds beside the mapped files."""
        a_code = self.files.record.dimension // 4 + 8  # half a byte for two dimensions, and the key, which FAISS keeps too
        return a_code * len(self.files.keys) + self._there.nbytes + 4 * self.files.record.dimension * len(self._tail)

    def whole(self) -> bool:
        """Whether the mapped rows are what was written; reads all of them."""
        return whole(self.files)

    def nearest(self, question: Floats, count: int, allowed: Keys | None = None, names: Names | None = None) -> Neighbours:
        """See :class:`indexer.vectors.VectorIndex`; of the nearest, some may be missing, but never any of the count."""
        if allowed is None:
            found = [self._nearest(question, count, names), self._tail.nearest(question, count, None, names)]
            return merged(found, count, names)
        border = int(np.searchsorted(allowed, self.files.record.last_key, side="right"))
        old, new = allowed[:border], allowed[border:]
        found = [self._among(question, count, old, names), self._tail.nearest(question, count, new, names)]
        return merged(found, count, names)

    def exact_nearest(self, question: Floats, count: int) -> Neighbours:
        """See :class:`indexer.vectors.VectorIndex`."""
        return merged([self._exactly(question, count, self._every(), None), self._tail.exact_nearest(question, count)], count)

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """See :class:`indexer.vectors.VectorIndex`."""
        found = self._tail.cosines(question, keys)
        here = keys <= self.files.record.last_key
        here[here] = self._there[keys[here]]
        found[here] = cosines_of(self.files.rows[self._rows_of(keys[here])], question)
        return found

    def updated(self, keys: Keys, vectors: npt.NDArray[np.floating], removed: Keys) -> FastScanIndex:
        """See :class:`indexer.vectors.VectorIndex`."""
        there, gone = self._there, removed[removed <= self.files.record.last_key]
        if there[gone].any():
            there = there.copy()
            there[gone] = False
        return FastScanIndex(self.files, self._tail.updated(keys, vectors, removed), there)

    def _nearest(self, question: Floats, count: int, names: Names | None) -> Neighbours:
        """The nearest in the files."""
        among = self._there if self._size < len(self.files.keys) else None
        found = self._scanned(question, count, self._size, among, names)
        if len(found.keys) < min(count, self._size):
            return self._exactly(question, count, self._every(), names)
        return found

    def _among(self, question: Floats, count: int, allowed: Keys, names: Names | None) -> Neighbours:
        """The nearest in the files among ``allowed``, none above the files' last key."""
        if len(allowed) > FEW_SHARE * len(self.files.keys):
            mask = _mask(allowed, self.files.record.last_key) & self._there
            found = self._scanned(question, count, size := int(mask.sum()), mask, names)
            if len(found.keys) == min(count, size):
                return found
        return self._exactly(question, count, self._rows_of(allowed[self._there[allowed]]), names)

    def _scanned(self, question: Floats, count: int, size: int, among: Bools | None, names: Names | None) -> Neighbours:
        """The best of the scan's candidates, of which there can be ``size``. They may be fewer than ``count`` where there are
        more: the scan's sums have 16 bits, and one at their end counts as nothing found."""
        import faiss

        fetched = min(max(OVERFETCH * count, FEWEST), size)
        if fetched == 0:
            return Neighbours(np.empty(0, np.int64), np.empty(0, np.float32))
        parameters = None
        if among is not None:
            bits = np.packbits(among, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=1)  # type: ignore[call-arg]
        _, keys = self.files.codes.search(question.reshape(1, -1), fetched, params=parameters)
        found = np.sort(keys[0][keys[0] >= 0])
        cosines = cosines_of(self.files.rows[self._rows_of(found)], question)
        return merged([Neighbours(found, cosines)], count, names)

    def _exactly(self, question: Floats, count: int, rows: Keys, names: Names | None) -> Neighbours:
        """The best of these rows (ascending), a block in memory at a time."""
        best = Neighbours(np.empty(0, np.int64), np.empty(0, np.float32))
        for some in in_blocks(rows, BLOCK_ROWS):
            _, at = best_rows(halves(self.files.rows[some]), question, count, len(some))
            cosines = cosines_of(self.files.rows[some[at]], question)
            best = merged([best, Neighbours(self.files.keys[some[at]], cosines)], count, names)
        return best

    def _rows_of(self, keys: Keys) -> Keys:
        """The rows of ``keys``, which the files hold."""
        return np.searchsorted(self.files.keys, keys)

    def _every(self) -> Keys:
        """All rows that are still there."""
        return np.flatnonzero(self._there[self.files.keys])


def new_record(dimension: int, tag: str, generation: int = 0) -> Record:
    """What is known of files before they are written."""
    return Record(0, tag, "", generation, 0, 0, dimension, 0, "", "", [])


def _mask(keys: Keys, last_key: int) -> Bools:
    """Of each key from 0 to ``last_key``, whether it is one of ``keys``: a filter of half the keys takes .2 ms in this way."""
    mask = np.zeros(last_key + 1, np.bool_)
    mask[keys] = True
    return mask
