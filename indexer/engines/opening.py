"""Opens whatever an index is named by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.engines.address import Where
from indexer.engines.contract import Engine
from indexer.models import DEFAULT_MODEL
from indexer.runtimes import Kind


def open_engine(
    where: Where,
    model: str = DEFAULT_MODEL,
    *,
    create: bool = False,
    encoder: Encoder | None = None,
    runtime: Kind = "auto",
    fold_later: Callable[[], None] | None = None,
    patience_s: float | None = None,
) -> Engine:
    """The collection that is there, or a new one if ``create``; see :class:`indexer.collection.Collection`. ``patience_s`` is
    how long a server may be away before that is an error. Raises :class:`indexer.errors.PassagesError`."""
    if isinstance(where, Path):
        return Collection(where, model, create=create, encoder=encoder, runtime=runtime, fold_later=fold_later)
    from indexer.engines.milvus.collection import PATIENCE_S, MilvusCollection

    patience = PATIENCE_S if patience_s is None else patience_s
    return MilvusCollection(
        where, model, create=create, encoder=encoder, runtime=runtime, fold_later=fold_later, patience_s=patience,
    )  # fmt: skip
