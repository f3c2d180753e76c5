"""txtai's hybrid search: vectors and BM25, fused with equal weights (its default), with the texts kept beside them."""

from __future__ import annotations

from txtai import Embeddings

DISTRIBUTION = "txtai"


class Engine:
    """An index in memory."""

    def __init__(self, model: str, ids: list[str], texts: list[str]) -> None:
        self._embeddings = Embeddings(path=model, method="transformers", hybrid=True, content=True, gpu=False)
        self._embeddings.index(zip(ids, texts, [None] * len(ids), strict=True))

    def search(self, question: str, limit: int) -> list[str]:
        """Both, fused."""
        return [str(one["id"]) for one in self._embeddings.search(question, limit)]
