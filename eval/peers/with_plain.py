"""sentence-transformers as its documentation shows it: all vectors in one matrix, every question compared with each."""

from __future__ import annotations

import numpy as np
from sentence_transformers import SentenceTransformer

DISTRIBUTION = "sentence-transformers"


class Engine:
    """Exact search by vectors of unit length, whose inner product is the cosine."""

    def __init__(self, model: str, ids: list[str], texts: list[str]) -> None:
        self._model, self._ids = SentenceTransformer(model, device="cpu"), ids
        self._vectors = self._encode(texts)

    def search(self, question: str, limit: int) -> list[str]:
        """The closest, without sorting those that are not returned."""
        scores = self._vectors @ self._encode([question])[0]
        few = np.argpartition(-scores, min(limit, len(scores)) - 1)[:limit]
        return [self._ids[at] for at in few[np.argsort(-scores[few], kind="stable")]]

    def _encode(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32)
