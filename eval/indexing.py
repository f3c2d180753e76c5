"""How fast documents are indexed, beside sentence-transformers' default ``encode`` of the same passages, in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.indexes import Told

if TYPE_CHECKING:
    from indexer import Collection, Document

ROUNDS = 3
PASSAGES = 1000  # a round


def measure(
    collection: Collection, told: Told = lambda *_: None, rounds: int = ROUNDS, passages: int = PASSAGES
) -> dict[str, Any]:
    """Passages a second of both, and their ratio round by round: its median, least and most.

    Ours reads, splits, encodes with title and headings, codes and commits; theirs encodes the passages' own texts alone, on
    all cores, sorted and batched as it does by default. Each round has other documents, drawn from the collection.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(collection.model_files().folder), device="cpu", local_files_only=True)
    model.encode(["so that loading is not measured"] * 64)
    found: list[dict[str, float]] = []
    groups = drawn(collection, rounds, passages)
    for number, (documents, texts) in enumerate(groups, 1):
        ours = len(texts) / _indexing_s(collection, documents)
        began = time.perf_counter()
        model.encode(texts)
        theirs = len(texts) / (time.perf_counter() - began)
        found.append({"passages": len(texts), "per_second": ours, "encode_per_second": theirs, "ratio": ours / theirs})
        told("indexing anew", number, len(groups))
    ratios = [one["ratio"] for one in found]
    return {
        "passages": sum(int(one["passages"]) for one in found),
        "per_second": _median(found, "per_second"),
        "encode_per_second": _median(found, "encode_per_second"),
        "ratio": {"value": _median(found, "ratio"), "low": round(min(ratios), 3), "high": round(max(ratios), 3)},
    }


def drawn(collection: Collection, rounds: int, passages: int) -> list[tuple[list[Document], list[str]]]:
    """For each round some documents, and the texts of their passages, at least ``passages`` if there are so many."""
    found: list[tuple[list[Document], list[str]]] = []
    with collection.view() as view:
        ids = view.snapshot.document_ids()
        order = iter(np.random.default_rng(0).permutation(len(ids)).tolist())
        for _ in range(rounds):
            documents: list[Document] = []
            texts: list[str] = []
            while len(texts) < passages and (at := next(order, None)) is not None:
                if document := view.snapshot.document(ids[at]):
                    documents.append(document)
                    texts += [passage.text for passage in view.snapshot.passages_of(ids[at])]
            if texts:
                found.append((documents, texts))
    return found


def _indexing_s(collection: Collection, documents: Sequence[Document]) -> float:
    """Seconds to put the documents into a new index, everything included but loading the model."""
    from indexer import Collection, Ingest

    with TemporaryDirectory(prefix="passages-speed-") as temporary:
        began = time.perf_counter()
        with Collection(Path(temporary) / "index", collection.model, create=True, encoder=collection.encoder) as other:
            with other.lock.held(1), Ingest(other) as ingest:
                for document in documents:
                    ingest.document(document)
                ingest.flush()
            return time.perf_counter() - began


def _median(rows: Sequence[dict[str, float]], name: str) -> float:
    return round(float(np.median([row[name] for row in rows])), 3)
