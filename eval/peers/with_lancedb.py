"""LanceDB's hybrid search: vectors compared with each, and words by BM25, fused by reciprocal rank (its default)."""

from __future__ import annotations

import tempfile

import lancedb
import pyarrow as pa
from lancedb.rerankers import RRFReranker
from sentence_transformers import SentenceTransformer

DISTRIBUTION = "lancedb"


class Engine:
    """A table in a temporary folder, with an index of words; so few vectors need none, says its documentation."""

    def __init__(self, model: str, ids: list[str], texts: list[str]) -> None:
        self._model, self._rank = SentenceTransformer(model, device="cpu"), RRFReranker()
        self._folder = tempfile.TemporaryDirectory(prefix="passages-peer-")
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        width = vectors.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float32()), width)
        rows = pa.table({"id": ids, "text": texts, "vector": column})
        self._table = lancedb.connect(self._folder.name).create_table("passages", rows)
        self._table.create_fts_index("text", replace=True)

    def search(self, question: str, limit: int) -> list[str]:
        """Both, fused."""
        vector = self._model.encode(question, normalize_embeddings=True, show_progress_bar=False)
        words = "".join(one if one.isalnum() else " " for one in question)  # else it would be read as a query language
        both = self._table.search(query_type="hybrid").vector(vector).text(words)
        return [one["id"] for one in both.rerank(self._rank).select(["id", "text"]).limit(limit).to_list()]
