"""Nearest neighbours among pooled vectors: what an index of them offers, and the exact one.

``VectorIndex`` is what every structure has to offer; :mod:`indexer.fastscan` is the one of large collections. An index never
changes: :meth:`VectorIndex.updated` gives a new one that shares what it can, so a search in another thread goes on undisturbed
over the commit that it began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from indexer.ties import Names, best

if TYPE_CHECKING:
    import faiss

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


# FAISS' sums of equal rows differ by so much at most, by where these lie in memory.
_NOISE = 2e-6


class Neighbours(NamedTuple):
    """Passage keys int64 [m] and their cosines float32 [m], best first, ties by key; m is at most what was asked for."""

    keys: Keys
    cosines: Floats


class VectorIndex(Protocol):
    """Vectors of unit length by passage key."""

    @property
    def exact(self) -> bool:
        """Whether :meth:`nearest` never misses one."""

    def __len__(self) -> int: ...

    def nearest(self, question: Floats, count: int, allowed: Keys | None = None, names: Names | None = None) -> Neighbours:
        """The ``count`` keys whose vectors have the greatest cosine with ``question`` float32 [d], ties by name (without
        ``names``: by key).

        ``allowed`` (ascending) restricts the search to these keys; none outside is returned and none inside is missed.
        """

    def exact_nearest(self, question: Floats, count: int) -> Neighbours:
        """The same, every vector compared, however long it takes: to measure how many :meth:`nearest` misses."""

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """The cosine of each of ``keys`` with ``question`` float32 [d], float32 [n]; NaN for a key that is not there."""

    def updated(self, keys: Keys, vectors: npt.NDArray[np.floating], removed: Keys) -> VectorIndex:
        """An index with ``vectors`` [n, d] added under ``keys`` (ascending, above all present) and ``removed`` gone."""


class _Segment(NamedTuple):
    """Rows that were added together. ``alive`` says which of them are still there."""

    keys: Keys
    rows: faiss.IndexFlatIP
    alive: npt.NDArray[np.bool_]


class ExactIndex:
    """Every vector compared, as 32-bit floats in memory (4 bytes a dimension)."""

    exact = True

    def __init__(self, dimension: int, segments: Sequence[_Segment] = ()) -> None:
        self.dimension = dimension
        self._segments = tuple(segments)
        self._count = sum(int(segment.alive.sum()) for segment in segments)

    def __len__(self) -> int:
        return self._count

    def nearest(self, question: Floats, count: int, allowed: Keys | None = None, names: Names | None = None) -> Neighbours:
        """See :class:`VectorIndex`."""
        return merged([_nearest(segment, question, count, allowed) for segment in self._segments], count, names)

    def exact_nearest(self, question: Floats, count: int) -> Neighbours:
        """See :class:`VectorIndex`."""
        return self.nearest(question, count)

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """See :class:`VectorIndex`."""
        found = np.full(len(keys), np.nan, np.float32)
        for segment in self._segments:
            rows = np.minimum(np.searchsorted(segment.keys, keys), len(segment.keys) - 1)
            here = (segment.keys[rows] == keys) & segment.alive[rows]
            if here.any():
                found[here] = cosines_of(segment.rows.reconstruct_batch(rows[here]), question)
        return found

    def updated(self, keys: Keys, vectors: npt.NDArray[np.floating], removed: Keys) -> ExactIndex:
        """See :class:`VectorIndex`. Segments at least double in size from last to first: each row is copied rarely."""
        segments = [segment._replace(alive=segment.alive & ~np.isin(segment.keys, removed)) for segment in self._segments]
        if len(keys):
            rows = np.ascontiguousarray(vectors, dtype=np.float32)
            while segments and len(segments[-1].keys) <= 2 * len(keys):
                last = segments.pop()
                kept = last.rows.reconstruct_n(0, last.rows.ntotal)[last.alive]
                keys, rows = np.concatenate([last.keys[last.alive], keys]), np.concatenate([kept, rows])
            segments.append(_segment(keys, rows, np.isin(keys, removed, invert=True)))
        return ExactIndex(self.dimension, [segment for segment in segments if segment.alive.any()])


def _segment(keys: Keys, rows: Floats, alive: npt.NDArray[np.bool_]) -> _Segment:
    import faiss

    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    return _Segment(keys, flat, alive)


def _nearest(segment: _Segment, question: Floats, count: int, allowed: Keys | None) -> Neighbours:
    import faiss

    mask = segment.alive if allowed is None else segment.alive & np.isin(segment.keys, allowed)
    within = int(mask.sum())
    parameters = None
    if within < len(mask):
        # FAISS' stubs describe the C++ signatures; its Python wrappers take an array and keywords.
        selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))  # type: ignore[call-arg, arg-type]
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
    _, rows = best_rows(segment.rows, question, count, within, parameters)
    return Neighbours(segment.keys[rows], cosines_of(segment.rows.reconstruct_batch(rows), question))


def best_rows(
    index: faiss.Index, question: Floats, count: int, within: int, parameters: faiss.SearchParameters | None = None
) -> tuple[Floats, Keys]:
    """Cosines and numbers of the ``count`` best of an exact index's rows, of which ``within`` can be found; and of all others
    that tie for the last place, since FAISS returns any of these."""
    if within == 0 or count == 0:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    fetched = min(count + 1, within)
    while True:
        cosines, rows = index.search(question.reshape(1, -1), fetched, params=parameters)
        if fetched == within or cosines[0, -1] < cosines[0, count - 1] - _NOISE:
            return cosines[0], rows[0]
        fetched = min(2 * fetched, within)


def cosines_of(rows: npt.NDArray[np.floating], question: Floats) -> Floats:
    """Inner products float32 [n] of rows [n, d]: summed in 64 bits, so that equal rows have equal ones wherever they lie."""
    return np.asarray(np.einsum("nd,d->n", rows.astype(np.float64), question.astype(np.float64)), np.float32)


def merged(found: Sequence[Neighbours], count: int, names: Names | None = None) -> Neighbours:
    """The ``count`` best of several lists."""
    keys = np.concatenate([one.keys for one in found] or [np.empty(0, np.int64)])
    cosines = np.concatenate([one.cosines for one in found] or [np.empty(0, np.float32)])
    order = best(keys, cosines, count, names)
    return Neighbours(keys[order], cosines[order])
