"""The model in OpenVINO, whose graph is made from torch's once and kept: after that nothing imports torch.

Invariant: a kept graph is used only if its files have the hashes that were written when it was made, beside the accuracy that
was measured then. Entries are made whole and renamed, one for each version of model and libraries; deleting them loses
nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexer.files import file_hash, sealed, unsealed
from indexer.models import ModelError, ModelFiles
from indexer.runtimes import LEAST_COSINE, Batch, Output, accuracy, cores, cpu_flags, lanes
from indexer.transformer import Description, TorchRuntime, describe, forward, load

if TYPE_CHECKING:
    import openvino
    from sentence_transformers import SentenceTransformer

FORMAT = 1
_GRAPH, _WEIGHTS, _RECORD = "graph.xml", "graph.bin", "model.json"
_LIBRARIES = ("openvino", "sentence-transformers", "transformers", "torch")
# Batches of passages that run at once, each on its share of the cores: more than one a core gains nothing.
_MOST_STREAMS = 8
_ABANDONED_S = 3600.0  # a conversion takes seconds

log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    """A graph on disk, and what was written beside it. ``precision`` is the fastest that is accurate."""

    graph: Path
    description: Description
    precision: str
    accuracy: float


def open_graph(files: ModelFiles) -> tuple[Description, OpenVinoRuntime]:
    """The model in OpenVINO, from the cache if it is there. Raises :class:`ModelError`: it cannot be converted."""
    place = cache_folder() / _key(files)
    kept = _read(place)
    if kept is None:
        kept = _make(files, place)
    try:
        return kept.description, OpenVinoRuntime(kept.graph, kept.precision, kept.accuracy)
    finally:
        if kept.graph.parent != place:  # what could not be kept; it is loaded
            shutil.rmtree(kept.graph.parent, ignore_errors=True)


def cache_folder() -> Path:
    """Where graphs are kept, for all indexes of a user: XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "passages"


class OpenVinoRuntime:
    """A converted graph on this machine's processor: one thread a batch, batches side by side."""

    def __init__(self, graph: Path, precision: str, accuracy: float = 1.0) -> None:
        self.name, self.accuracy = f"OpenVINO {_PRECISIONS[precision]}", accuracy
        self._core = _openvino().Core()
        self._graph, self._precision = self._core.read_model(graph), precision
        # A model of its own for questions: in one queue with passages, a question would wait for a whole batch of them.
        # No more streams than run at once: with two, one question alone took half as long again.
        self._questions = self._requests(lanes(), 1)
        self._passages: queue.SimpleQueue[Any] | None = None  # made when they are first needed
        self._indexing = threading.Lock()

    def one(self, batch: Batch) -> Output:
        """See :class:`indexer.runtimes.Runtime`."""
        return _inferred(self._questions, batch)

    def many(self, batches: Sequence[Batch]) -> Generator[tuple[int, Output]]:
        """See :class:`indexer.runtimes.Runtime`."""
        with self._indexing:
            streams = min(cores(), _MOST_STREAMS)
            self._passages = requests = self._passages or self._requests(streams, max(1, cores() // streams))

            def encode(number: int, batch: Batch) -> tuple[int, Output]:
                return number, _inferred(requests, batch)

            # Threads that wait, not the requests' callbacks: those are told neither of errors nor of what was cancelled.
            with ThreadPoolExecutor(streams, "passages") as pool:
                yield from _in_turn(pool, encode, enumerate(batches), 2 * streams)

    def _requests(self, streams: int, threads: int) -> queue.SimpleQueue[Any]:
        """The graph compiled for ``streams`` batches at once: a request for each, idle."""
        compiled, idle = self._compiled(streams, threads), queue.SimpleQueue[Any]()
        for _ in range(streams):
            idle.put(compiled.create_infer_request())
        return idle

    def _compiled(self, streams: int, threads: int) -> openvino.CompiledModel:
        options = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams * threads),
            "ENABLE_CPU_PINNING": "NO",  # both models would be bound to the same cores
        }
        return self._core.compile_model(self._graph, "CPU", options)


def _in_turn(
    pool: ThreadPoolExecutor,
    encode: Callable[[int, Batch], tuple[int, Output]],
    todo: Iterator[tuple[int, Batch]],
    ahead: int,
) -> Generator[tuple[int, Output]]:
    """What is done as it is done, with ``ahead`` batches given to the pool, so that no core waits for who takes the output."""
    running = {pool.submit(encode, *one) for one in islice(todo, ahead)}
    try:
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(encode, *one) for one in islice(todo, len(done))}
            for one in done:
                yield one.result()
    finally:
        for one in running:  # those that have begun are waited for, by whoever made the pool
            one.cancel()


_PRECISIONS = {"bf16": "bfloat16", "f32": "float32"}


def _inferred(idle: queue.SimpleQueue[Any], batch: Batch) -> Output:
    """The output of a batch, by a request that was idle."""
    request = idle.get()
    try:
        request.infer(list(batch))
        return _output(request)
    finally:
        idle.put(request)


def _output(request: Any) -> Output:
    # Copies: the request's own memory is written by its next batch.
    return Output(request.get_output_tensor(0).data.copy(), request.get_output_tensor(1).data.copy())


def _openvino() -> Any:
    """OpenVINO, kept from telling its makers of every import and conversion: nothing here uses the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes importing it an ImportError
    import openvino

    # Its binding looks numpy up at the first use of a tensor's data, and two threads that are the first wait for each other for
    # ever: one holds the interpreter, the other the look-up.
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino


def _key(files: ModelFiles) -> str:
    """The name of the entry: of all that the graph and its record depend on."""
    parts = [str(FORMAT), files.weights, *(f"{name} {version(name)}" for name in _LIBRARIES)]
    for file in sorted(files.folder.rglob("*")):
        if file.suffix in (".json", ".txt", ".model") and file.is_file():
            parts += [str(file.relative_to(files.folder)), file_hash(file)]
    # A processor's products of 16-bit floats decide the precision, and what was measured.
    parts += sorted(cpu_flags() & {"avx512_bf16", "amx_bf16"})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _read(place: Path) -> _Kept | None:
    """The entry, if it is there and whole."""
    try:
        record = json.loads(unsealed((place / _RECORD).read_text("utf-8")))
        if record["sha256"] == _hashes(place):
            return _Kept(place / _GRAPH, Description(**record["description"]), record["precision"], record["accuracy"])
        log.warning("the model's graph in %s is damaged: it is made again", place)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the model's graph in %s cannot be read (%s): it is made again", place, error)
    return None


def _make(files: ModelFiles, place: Path) -> _Kept:
    log.warning("the model is being converted for this processor, once; it takes some seconds")
    model = load(files)
    temporary = _temporary(place.parent)
    try:
        _convert(model, temporary / _GRAPH)
        description = describe(model)
        precision, measured = _precision(temporary / _GRAPH, TorchRuntime(model), description)
        made = {"precision": precision, "accuracy": measured, "sha256": _hashes(temporary)}
        text = json.dumps({"description": asdict(description), **made})
        (temporary / _RECORD).write_text(sealed(text), encoding="utf-8")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return _Kept(_moved(temporary, place) / _GRAPH, description, precision, measured)


def _convert(model: SentenceTransformer, graph: Path) -> None:
    """Traces the model and writes it. Raises :class:`ModelError`."""
    import warnings

    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, pooling: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return forward(self.model, ids, mask, pooling)

    ones = torch.ones(2, 16, dtype=torch.long)
    openvino = _openvino()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, of branches; what they would break, the accuracy shows
            converted = openvino.convert_model(Whole(), example_input=(ones, ones, ones))
        openvino.save_model(converted, graph, compress_to_fp16=False)
    except Exception as error:  # whatever the libraries raise means that this model does not convert
        raise ModelError(f"OpenVINO does not convert this model: {error}") from error


def _precision(graph: Path, reference: TorchRuntime, model: Description) -> tuple[str, float]:
    """The fastest precision that is accurate, and its accuracy; 16-bit floats only where the processor multiplies them."""
    capable = "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    measured = 0.0
    for precision in ("bf16", "f32") if capable else ("f32",):
        measured = accuracy(OpenVinoRuntime(graph, precision), reference, model)
        if measured >= LEAST_COSINE:
            return precision, measured
    raise ModelError(f"OpenVINO's graph of this model is not the same: its accuracy is {measured:.4f}")


def _temporary(parent: Path) -> Path:
    """A new folder beside the entries; elsewhere where these cannot be written."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        return Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
    except OSError as error:
        log.warning("%s cannot be written (%s): the model is converted anew at each start", parent, error.strerror)
        return Path(tempfile.mkdtemp(prefix="passages-graph-"))


def _moved(temporary: Path, place: Path) -> Path:
    """The folder at its place, unless it lies elsewhere. What another process has put there meanwhile is as good."""
    if temporary.parent != place.parent:
        return temporary
    if _read(place) is None:
        shutil.rmtree(place, ignore_errors=True)  # a damaged one
        try:
            return temporary.rename(place)
        except OSError:
            if _read(place) is None:
                return temporary
    shutil.rmtree(temporary, ignore_errors=True)
    return place


def _sweep(parent: Path) -> None:
    """Deletes what conversions left that were killed."""
    for left in parent.glob(".new-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _hashes(place: Path) -> dict[str, str]:
    """Of the files that OpenVINO reads."""
    return {name: file_hash(place / name) for name in (_GRAPH, _WEIGHTS)}
