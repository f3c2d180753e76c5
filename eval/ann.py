"""The nearest-neighbour core alone: recall, time and memory as a collection grows, and what a filter costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.errors import EvalError
from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from eval.sets import JudgedSet
    from indexer import Collection, VectorIndex

    Halves = npt.NDArray[np.float16]
    Floats = npt.NDArray[np.float32]

SIZES = "32000,100000,400000,1000000"
SHARES = (0.5, 0.1, 0.01, 0.001)  # of the passages, that a filter leaves
QUESTIONS = 200
WARM_UP = 10  # questions before those that count
NEIGHBOURS = 10
CANDIDATES = 100  # what a search asks for first
_EXACT_BELOW = 100_001  # vectors: a larger exact index is known to be slow and takes much memory
_BLOCK = 8192
_NOISE = 0.01  # in each dimension; a vector's own are .05 on average, so a copy's cosine with its model is .98
_SEED = 7

Sizes = Annotated[str, typer.Option(metavar="N,N", help="Sizes; beyond the index's own vectors, these are repeated.")]


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None,
    corpus: Corpora = None, sizes: Sizes = SIZES,
) -> None:  # fmt: skip
    """Measure the vector index alone: recall against exact comparison, milliseconds, memory, and the cost of a filter."""
    import os

    from eval.sets import read_set

    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch, faiss and numpy when they are first imported, which is below
    with errors():
        wanted, judged = _sizes(sizes), read_set(folder)
        with opened(judged, index_folder, model_of(model), corpus or []) as (collection, _, told):
            record = measure(collection, judged, wanted, told)
    show(record, as_json, lambda: _rows(record))


def measure(collection: Collection, judged: JudgedSet, sizes: Sequence[int], told: Told = lambda *_: None) -> dict[str, Any]:
    """Each size's figures. Where vectors had to be repeated, recall is None: copies of one vector are no test of it."""
    import numpy as np

    asked = judged.questions[: QUESTIONS + WARM_UP]
    if not asked:
        raise EvalError(f"{judged.folder} has no questions; name a set that has some")
    questions = np.vstack([collection.encoder.question(one.text).pooled for one in asked])
    own = _vectors(collection)
    if own.shape[1] % 2 or not len(own):
        raise EvalError(f"{len(own)} vectors of {own.shape[1]} dimensions have no fast scan, so there is nothing to measure")
    curve = []
    for number, size in enumerate(sizes, 1):
        curve.append(_measured(own, size, questions))
        told("measuring", number, len(sizes))
    return {
        "what": "ann",
        "set": judged.name,
        "passages": len(own),
        "dimension": own.shape[1],
        "questions": len(questions[WARM_UP:]) or len(questions),
        "sizes": curve,
    }


def _measured(own: Halves, size: int, questions: Floats) -> dict[str, Any]:
    import numpy as np

    from indexer import FastScanIndex

    with TemporaryDirectory(prefix="passages-ann-") as folder:
        began = time.perf_counter()
        FastScanIndex.build(Path(folder), _blocks(own, size), own.shape[1])
        built = time.perf_counter()
        index = FastScanIndex.open(Path(folder))
        if index is None:
            raise EvalError(f"what was written in {folder} cannot be read again; is the disk full?")
        taken = time.perf_counter() - built
        every = np.arange(1, size + 1)
        random = np.random.default_rng(_SEED)
        kept = {share: np.sort(random.choice(every, max(1, int(size * share)), replace=False)) for share in SHARES}
        return {
            "vectors": size,
            "real": size <= len(own),
            "recall@10": _recall(index, questions) if size <= len(own) else None,
            "ms": _times(lambda one: index.nearest(one, NEIGHBOURS), questions),
            "candidates_ms": _times(lambda one: index.nearest(one, CANDIDATES), questions),
            "filtered_ms": {
                str(share): _times(lambda one, some=some: index.nearest(one, NEIGHBOURS, some), questions)  # type: ignore[misc]
                for share, some in kept.items()
            },
            "exact_ms": _exact(own, size, questions),
            "build_s": round(built - began, 2),
            "open_s": round(taken, 3),
            "bytes_a_vector": round(index.memory_bytes / size, 1),
        }


def _exact(own: Halves, size: int, questions: Floats) -> dict[str, float] | None:
    """What comparing every vector costs, where that is a choice."""
    import numpy as np

    from indexer import ExactIndex

    if size >= _EXACT_BELOW:
        return None
    index: VectorIndex = ExactIndex(own.shape[1])
    for keys, rows in _blocks(own, size):
        index = index.updated(keys, rows, np.empty(0, np.int64))
    return _times(lambda one: index.nearest(one, CANDIDATES), questions)


def _recall(index: VectorIndex, questions: Floats) -> float:
    """The share of the true first ten that are found, over the questions."""
    import numpy as np

    shares = [
        len(np.intersect1d(index.nearest(one, NEIGHBOURS).keys, true)) / len(true)
        for one in questions
        for true in [index.exact_nearest(one, NEIGHBOURS).keys]
    ]
    return round(float(np.mean(shares)), 5)


def _times(ask: Callable[[Floats], object], questions: Floats) -> dict[str, float]:
    """Milliseconds a question, one at a time."""
    import numpy as np

    taken = []
    for one in questions:
        began = time.perf_counter()
        ask(one)
        taken.append((time.perf_counter() - began) * 1000)
    counted = taken[WARM_UP:] or taken
    return {f"p{share}": round(float(np.percentile(counted, share)), 3) for share in (50, 95)}


def _vectors(collection: Collection) -> Halves:
    """Every passage's vector, float16 [n, d]."""
    import numpy as np

    with collection.view() as view:
        dimension = view.snapshot.contract.dimension if view.snapshot.contract else 0
        blocks = [rows for _, rows in view.snapshot.vectors_above(0, dimension, _BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty((0, dimension), np.float16)


def _blocks(own: Halves, size: int) -> Iterator[tuple[npt.NDArray[np.int64], Halves]]:
    """The first ``size`` vectors; from where they end on, they come again with noise."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    for at in range(0, size, _BLOCK):
        places = np.arange(at, min(size, at + _BLOCK))
        rows = own[places % len(own)]
        if places[-1] >= len(own):
            noisy = rows + random.normal(scale=_NOISE, size=rows.shape)
            noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
            rows = np.where((places < len(own))[:, None], rows, noisy)
        yield places + 1, rows


def _sizes(given: str) -> list[int]:
    try:
        sizes = [int(one) for one in given.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise EvalError(f"--sizes {given} is no list of sizes; write --sizes 32000,100000")
    return sizes


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    head = (
        "vectors",
        "recall@10",
        "p50 ms",
        "p95 ms",
        *(f"{share:.1%}" for share in SHARES),
        "exact",
        "build s",
        "open s",
        "B",
    )
    rows = [head]
    for one in record["sizes"]:
        recall = "time and memory only" if one["recall@10"] is None else f"{one['recall@10']:.4f}"
        exact = f"{one['exact_ms']['p50']:.2f}" if one["exact_ms"] else ""
        times = (one["ms"]["p50"], one["ms"]["p95"], *(one["filtered_ms"][str(share)]["p50"] for share in SHARES))
        shown = (*(f"{ms:.2f}" for ms in times), exact, f"{one['build_s']:.1f}", f"{one['open_s']:.2f}")
        rows.append((str(one["vectors"]), recall, *shown, f"{one['bytes_a_vector']:.0f}"))
    return rows
