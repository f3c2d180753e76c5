"""A model as sentence-transformers loads it: what to know of it, and its forward pass in torch."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from indexer.models import ModelError, ModelFiles
from indexer.runtimes import Batch, Output, accuracy, cores, is_here

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Description:
    """All that reading texts with a model needs beside its weights. ``tokenizer`` is tokenizers' JSON; ``padding`` and
    ``unknown`` are token ids; ``vocabulary`` is how many tokens there are."""

    dimension: int
    pooling: str
    question_prefix: str
    passage_prefix: str
    token_limit: int
    padding: int
    unknown: int | None
    vocabulary: int
    tokenizer: str


def load(files: ModelFiles) -> SentenceTransformer:
    """The model. Raises :class:`ModelError`."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its warnings are of training
    try:
        model = SentenceTransformer(
            str(files.folder),
            local_files_only=True,
            trust_remote_code=False,
            device="cpu",
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # whatever the libraries raise means that these files are not a usable model
        raise ModelError(f"{files.folder} does not load as a sentence-transformers model: {error}") from error
    return model.eval()


def describe(model: SentenceTransformer) -> Description:
    """What to know of a loaded model. Raises :class:`ModelError`: it has no fast tokenizer."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError("this model has no fast tokenizer (tokenizer.json), which offsets need: choose another model")
    prompts = model.prompts or {}
    pooling = [getattr(module, "pooling_mode", None) for module in model if hasattr(module, "pooling_mode")]
    return Description(
        dimension=int(model.get_embedding_dimension() or 0),
        pooling=str(pooling[0]) if pooling else "unknown",
        question_prefix=prompts.get("query") or "",
        passage_prefix=prompts.get("document") or prompts.get("passage") or "",
        token_limit=int(model.max_seq_length or 512),
        padding=int(model.tokenizer.pad_token_id or 0),
        unknown=model.tokenizer.unk_token_id,
        vocabulary=len(model.tokenizer),
        tokenizer=backend.to_str(),
    )


def forward(model: SentenceTransformer, ids: Tensor, mask: Tensor, pooling: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled vectors [n, d] and token vectors [n, L, d]: the first module reads what ``mask`` has, the rest pools what
    ``pooling`` has."""
    read, *rest = list(model)
    features = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in model.tokenizer.model_input_names:
        features["token_type_ids"] = ids * 0
    output = read(features)
    output["attention_mask"] = pooling
    for module in rest:
        output = module(output)
    return output["sentence_embedding"], output["token_embeddings"]


class TorchRuntime:
    """The forward pass in torch. One batch at a time: a question gets in between two batches of passages."""

    def __init__(self, model: SentenceTransformer, name: str = "torch float32", accuracy: float = 1.0) -> None:
        self._model = model
        self.name, self.accuracy = name, accuracy
        self._lock = threading.Lock()

    def faster(self, kind: str, model: Description) -> Self:
        """The same model as 16-bit floats, on the GPU if ``kind`` is "cuda". Raises :class:`ModelError`: there is none."""
        import torch

        if kind == "cuda" and not torch.cuda.is_available():
            raise ModelError("torch finds no CUDA device here; choose another runtime")
        if kind == "bfloat16" and not is_here(kind):
            raise ModelError("this machine's processor has no 16-bit float products; choose another runtime")
        dtype, device = (torch.float16, "cuda") if kind == "cuda" else (torch.bfloat16, "cpu")
        half = copy.deepcopy(self._model).to(device, dtype)
        name = f"torch CUDA float16 ({torch.cuda.get_device_name()})" if kind == "cuda" else "torch bfloat16"
        untested = type(self)(half, name)
        return type(self)(half, name, accuracy(untested, self, model))

    def one(self, batch: Batch) -> Output:
        """See :class:`indexer.runtimes.Runtime`."""
        return self._run(batch, 1)

    def many(self, batches: Sequence[Batch]) -> Generator[tuple[int, Output]]:
        """See :class:`indexer.runtimes.Runtime`."""
        for number, batch in enumerate(batches):
            yield number, self._run(batch, cores())

    def _run(self, batch: Batch, threads: int) -> Output:
        import torch

        with self._lock, torch.inference_mode():
            # A second thread gains one short text nothing, and on a busy machine it makes it wait for the other's turn.
            torch.set_num_threads(threads)
            tensors = [torch.from_numpy(np.ascontiguousarray(one)).to(self._model.device) for one in batch]
            pooled, tokens = forward(self._model, *tensors)
            return Output(pooled.float().cpu().numpy(), tokens.float().cpu().numpy())
