"""``python -m tools.rows INDEX``: what a passage of an index folder weighs as rows of a Milvus server, as JSON.

Its own row, and its share of its document's row and text. The graph is FAISS', with the parameters that a server's gets, since
no server here says what its own weighs. And what a document weighs in the list that a service reads of them.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from indexer.collection import Collection
from indexer.documents import Document
from indexer.engines.contract import Reader
from indexer.engines.milvus.encoding import (
    chunk_rows,
    described_of,
    document_row,
    kept_of,
    key_of,
    passage_row,
    tags,
    token_fields,
)
from indexer.engines.milvus.mirror import Mirror
from indexer.engines.milvus.tables import GRAPH
from indexer.hashes import content_hash, document_hash, passage_ids

GENERATION = 1_000_000_000_000
LISTED = 100_000  # documents of the list that is weighed: these, again and again, each time by other names
SPARSE_BYTES = 8  # of a term of a passage in the server's BM25 vector: its number, and a 32-bit float


def main(index: str) -> None:
    """Prints it."""
    with Collection(Path(index)) as collection, collection.catalog.read() as snapshot:
        rows, documents, texts = list(_rows(snapshot)), list(_documents(snapshot)), _texts(snapshot)
        words = sum(len(one.text.split()) for each in snapshot.document_ids() for one in snapshot.passages_of(each))
    count = len(rows)
    vectors = np.stack([row["vector"] for row in rows])
    weights = {
        "codes": sum(_bytes(row, "tokens_") for row in rows) / count,
        "terms": sum(_bytes(row, "words") for row in rows) / count,
        "sparse": sum(SPARSE_BYTES * len(set(row["words"].split())) for row in rows) / count,
        "other": sum(_bytes(row, "") - _bytes(row, "tokens_") - _bytes(row, "words") for row in rows) / count,
        "graph": _graph_bytes(vectors) / count,
        "document": sum(_bytes(row, "") for row in documents) / count,
        "text": texts / count,
    }
    record = {
        "date": datetime.now(UTC).date().isoformat(), "what": "rows",
        "passages": count, "words_a_passage": round(words / count, 1), "documents": len(documents),
        "dimension": vectors.shape[1], "bytes_a_passage": {name: round(value) for name, value in weights.items()},
        "bytes_a_listed_document": _listed_bytes(documents),
    }  # fmt: skip
    print(json.dumps(record, indent=2))


def _rows(snapshot: Reader) -> Iterator[dict[str, Any]]:
    """Every passage as a server gets it."""
    if snapshot.contract is None:
        raise SystemExit("the index is empty")
    fields = token_fields(snapshot.contract)
    for each in snapshot.document_ids():
        document, passages = snapshot.document(each), snapshot.encoded_of(each)
        if document is None:
            continue
        shared = _shared(document)
        ids = passage_ids(document, [one.passage for one in passages])
        for ordinal, (passage_id, one) in enumerate(zip(ids, passages, strict=True)):
            yield passage_row((passage_id, content_hash(document, one.passage)), one, ordinal, shared, fields)


def _documents(snapshot: Reader) -> Iterator[dict[str, Any]]:
    """Every document's own row."""
    for each in snapshot.document_ids():
        if document := snapshot.document(each):
            yield document_row(document, GENERATION, document_hash(document), None, snapshot.encoded_of(each))


def _texts(snapshot: Reader) -> int:
    """Bytes of the chunks of all texts; one document in memory at a time."""
    documents = (document for each in snapshot.document_ids() if (document := snapshot.document(each)))
    return sum(_bytes(row, "") for document in documents for row in chunk_rows(document, GENERATION))


def _listed_bytes(rows: Sequence[Mapping[str, Any]]) -> int:
    """By which this process grows for each document when the list of them is read."""
    some = [kept_of(row) for row in rows]
    renamed = (
        one._replace(key=f"{one.key}{number}", described={**one.described, "id": f"{one.id}{number}"})
        for number, one in enumerate(islice(cycle(some), LISTED))
    )
    before = _resident()
    mirror = Mirror(renamed, {})
    return (_resident() - before) // mirror.count("1", [])


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _shared(document: Document) -> Mapping[str, Any]:
    marks = tags(described_of(document), "")
    return {"document": key_of(document.id), "generation": GENERATION, "date": document.date or "", "tags": marks}


def _bytes(row: Mapping[str, Any], beginning: str) -> int:
    """Of the fields whose names begin so, without the vector: text as UTF-8, numbers as 8 bytes."""
    found = 0
    for name, value in row.items():
        if name.startswith(beginning) and name != "vector":
            parts = value if isinstance(value, list) else [value]
            found += sum(len(one.encode()) if isinstance(one, str) else 8 for one in parts)
    return found


def _graph_bytes(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> int:
    graph = faiss.IndexHNSWFlat(vectors.shape[1], GRAPH["M"], faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = GRAPH["efConstruction"]
    graph.add(vectors)
    return len(faiss.serialize_index(graph))


if __name__ == "__main__":
    main(sys.argv[1])
