"""Chroma in memory. Its own embedding function would download another model: it is given the vectors of ours instead."""

from __future__ import annotations

import chromadb
from sentence_transformers import SentenceTransformer

DISTRIBUTION = "chromadb"
BATCH = 1000  # Chroma refuses more than a few thousand at once


class Engine:
    """A collection with the cosine distance; all else as Chroma chooses."""

    def __init__(self, model: str, ids: list[str], texts: list[str]) -> None:
        self._model = SentenceTransformer(model, device="cpu")
        client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
        self._collection = client.create_collection(
            "passages", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )
        for at in range(0, len(ids), BATCH):
            some = texts[at : at + BATCH]
            self._collection.add(ids[at : at + BATCH], embeddings=self._encode(some), documents=some)

    def search(self, question: str, limit: int) -> list[str]:
        """The nearest, with their texts, as an application would ask."""
        found = self._collection.query(
            query_embeddings=self._encode([question]), n_results=limit, include=["documents", "distances"]
        )
        return [str(one) for one in found["ids"][0]]

    def _encode(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False).tolist()
        return vectors
