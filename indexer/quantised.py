"""Vectors in FAISS' own forms: 4-bit codes, of which all are scanned, and 16-bit floats, which are compared exactly.

The codes are a product quantiser's (Jégou et al. 2011), one for each two dimensions, compared by table look-ups in registers
(André et al. 2015, Cache locality is not enough; FAISS' "fast scan"). There is no graph and no partition: FAISS' inverted-file
form, with a single list, is used because it takes a selector, which masks exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.vectors import Keys

if TYPE_CHECKING:
    import faiss

Halves = npt.NDArray[np.float16]

_TRAINING_ROWS = 4096  # what FAISS uses for 16 centroids: 256 each
_SEED = 1234


def codes_like(rows: Halves) -> faiss.Index:
    """An empty index of codes, its code book made for ``rows`` [n, d]. Raises :class:`ValueError` if d is odd."""
    import faiss

    dimension = rows.shape[1]
    if dimension % 2:
        raise ValueError(f"{dimension} dimensions cannot be coded two by two")
    coarse = faiss.IndexFlatIP(dimension)
    coarse.add(np.zeros((1, dimension), np.float32))  # one list, so nothing is relative to it
    # Blocks of 32: in wider ones FAISS 1.15 removes wrongly.
    index = faiss.IndexIVFPQFastScan(coarse, dimension, 1, dimension // 2, 4, faiss.METRIC_INNER_PRODUCT, 32)
    index.by_residual = False
    index.pq.cp.min_points_per_centroid = 1  # few rows are no reason for a warning on standard error
    sample = _sample(rows)
    # It wants at least as many rows as centroids; repeated ones will do.
    with _one_thread():
        index.train(np.resize(rows[sample].astype(np.float32), (max(len(sample), 16), dimension)))
    # As it is read from disk: it then owns the coarse index, which Python owns here.
    return copy(index)


def _sample(rows: Halves) -> Keys:
    """Which rows a code book is made of: chosen and ordered by what they hold, so that their order decides nothing."""
    factors = np.random.default_rng(_SEED).integers(1 << 63, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    digests = np.empty(len(rows), np.uint64)
    for at in range(0, len(rows), _TRAINING_ROWS):
        block = rows[at : at + _TRAINING_ROWS]
        digests[at : at + len(block)] = (block.view(np.uint16).astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    return np.argsort(digests, kind="stable")[:_TRAINING_ROWS]


def copy(index: faiss.Index) -> faiss.Index:
    """One that can be changed without the other."""
    import faiss

    return faiss.deserialize_index(faiss.serialize_index(index))


def remove(index: faiss.Index, keys: Keys) -> None:
    """Remove these keys from an index of codes."""
    import faiss

    if len(keys):
        index.remove_ids(faiss.IDSelectorBatch(keys))


def add(index: faiss.Index, keys: Keys, rows: Halves) -> None:
    """Add the codes of ``rows`` under ``keys``."""
    with _one_thread():
        index.add_with_ids(rows.astype(np.float32), keys)


def halves(rows: Halves) -> faiss.Index:
    """An exact index of 16-bit rows: FAISS converts them in registers, ten times as fast as numpy."""
    import faiss

    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True  # nothing is learnt for it
    index.add_sa_codes(rows.view(np.uint8))
    return index


@contextmanager
def _one_thread() -> Iterator[None]:
    """A build is for the background: more threads wait for each other, ten times as long, when others want the cores too."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
