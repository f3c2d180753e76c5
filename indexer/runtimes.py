"""What runs the model: one interface, and the best runtime that this machine has.

A runtime is not part of the model contract, since every one that indexes gives the same vectors but for rounding: its accuracy,
the least cosine to 32-bit floats over random token sequences (harsher than text, measured), is at least ``LEAST_COSINE``.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

from indexer.models import ModelError, ModelFiles

if TYPE_CHECKING:
    from indexer.transformer import Description

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Kind = Literal["auto", "cuda", "openvino", "bfloat16", "float32"]

KINDS = get_args(Kind)[1:]  # best first
LEAST_COSINE = 0.999

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """n token sequences padded to L, each int64 [n, L]: token ids, 1 where there is a token, and 1 where it is pooled."""

    ids: Ids
    mask: Ids
    pooling: Ids


class Output(NamedTuple):
    """``pooled`` vectors float32 [n, d] and ``tokens`` float32 [n, L, d], not yet of unit length; those of padding mean
    nothing."""

    pooled: Floats
    tokens: Floats


class Runtime(Protocol):
    """A model, loaded. Safe to share between threads."""

    @property
    def name(self) -> str:
        """What it is, in words."""

    @property
    def accuracy(self) -> float:
        """Its least cosine to 32-bit floats."""

    def one(self, batch: Batch) -> Output:
        """A batch at once, on one core: for questions."""

    def many(self, batches: Sequence[Batch]) -> Generator[tuple[int, Output]]:
        """Every batch with its number, as they are done, on all cores: for passages."""


def open_runtime(files: ModelFiles, kind: Kind = "auto") -> tuple[Description, Runtime]:
    """The model and what to know of it, by the runtime that was asked for; "auto" is the best one that works here and is
    accurate. Raises :class:`ModelError`."""
    if kind not in get_args(Kind):
        raise ModelError(f"there is no runtime {kind!r}; choose one of {', '.join(get_args(Kind))}")
    if kind != "auto":
        return _open(files, kind)
    for each in KINDS[:-1]:
        if is_here(each):
            try:
                description, runtime = _open(files, each)
            except ModelError as error:
                log.warning("the runtime %s is not used: %s", each, error)
                continue
            if runtime.accuracy >= LEAST_COSINE:
                return description, runtime
            log.warning("the runtime %s is not used: its accuracy is %.4f", runtime.name, runtime.accuracy)
    return _open(files, "float32")


def is_here(kind: str) -> bool:
    """Whether this machine has what the runtime needs, found out without importing torch."""
    if kind == "cuda":
        return Path("/dev/nvidiactl").exists()
    if kind == "openvino":
        return importlib.util.find_spec("openvino") is not None
    return kind == "float32" or bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def cpu_flags() -> frozenset[str]:
    """What Linux says that this machine's processors can do; nothing where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())


def cores() -> int:
    """How many cores this process may use: OMP_NUM_THREADS, as for torch, else those that it may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lanes() -> int:
    """How many batches of questions run at once: on half of the cores, since the others have what comes after to do."""
    return max(1, min(8, cores() // 2))


def accuracy(runtime: Runtime, reference: Runtime, model: Description) -> float:
    """The least cosine of pooled vectors to those of ``reference``, over random sequences of the model's tokens."""
    least = 1.0
    for batch in _samples(model.vocabulary, model.token_limit):
        mine, theirs = runtime.one(batch).pooled, reference.one(batch).pooled
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
        least = min(least, float(((mine * theirs).sum(axis=1) / np.maximum(lengths, 1e-12)).min()))
    return round(least, 6)


def _samples(vocabulary: int, limit: int) -> Iterator[Batch]:
    """Texts of few and of many tokens, alone and together with shorter ones."""
    random = np.random.default_rng(0)
    for rows, most in ((1, 3), (1, 12), (1, 40), (4, 8), (8, 16), (8, 64), (4, 128), (2, 250)):
        longest = min(most, limit)
        lengths = random.integers(1, longest + 1, rows)
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        yield Batch(random.integers(0, vocabulary, (rows, longest)) * mask, mask, mask)


def _open(files: ModelFiles, kind: str) -> tuple[Description, Runtime]:
    try:
        return _opened(files, kind)
    except ModelError:
        raise
    except Exception as error:  # a library that does not load, a device without memory: another runtime may work
        raise ModelError(f"the runtime {kind} does not work here ({error}); choose another, or auto") from error


def _opened(files: ModelFiles, kind: str) -> tuple[Description, Runtime]:
    if kind == "openvino":
        from indexer.graph import open_graph

        return open_graph(files)
    from indexer.transformer import TorchRuntime, describe, load

    model = load(files)
    description = describe(model)
    exact = TorchRuntime(model)
    if kind == "float32":
        return description, exact
    return description, exact.faster(kind, description)
