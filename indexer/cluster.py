"""A Ray cluster that reads, splits and encodes what is indexed. The only module that knows Ray, which is an optional package.

Ray Data carries the rows of :mod:`indexer.stages` from tasks that read to actors that encode, and on to this process, in the
order of the files: so what is written does not depend on who was quicker. What a dead machine had not delivered is made again.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from indexer.ahead import AheadReader
from indexer.engines.contract import Engine
from indexer.errors import PassagesError
from indexer.extraction import Limits
from indexer.reader import Wanted
from indexer.stages import Encoding, Numbered, Row, Setup, jobs, read

BLOCK_BYTES = 8 << 20  # of rows that travel together
MOST_THREADS = 4  # of an actor: beyond that, a second model gains more than a fifth thread
READING_CPUS = 0.5  # of a task: half of its time it waits for the file, or for its child
PROBE_S = 5.0
_IN_FLIGHT = 4  # blocks for each actor: one that it encodes, one that waits for it, and one before and after

Sent = dict[str, Any]  # a row as Ray Data carries it


class ClusterError(PassagesError):
    """The cluster cannot be used, or failed."""


class Share(NamedTuple):
    """What encodes: at most so many actors, each with so many CPUs and GPUs; and the memory of blocks in flight, in bytes."""

    actors: int
    cpus: float
    gpus: float
    memory: int


@contextmanager
def cluster(address: str) -> Iterator[Callable[[Engine, Limits], AheadReader]]:
    """A connection to the cluster at ``address``: what reads a sync's files there. Meanwhile what is printed goes to standard
    error, for Ray prints what becomes of its nodes. Raises :class:`ClusterError`, within seconds if nobody is there."""
    # Before the import, which reads them: nothing is reported to Ray's makers, and a cluster that is away is told soon.
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    if address == "local":  # listens on loopback alone, which on other systems it does for the sake of their firewalls
        quiet["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    try:
        with _hushed():
            import ray
            import ray.data
    except ImportError as error:
        raise ClusterError(f"Ray is not installed here ({error}); run in the checkout: pip install -e '.[ray]'") from error
    _check_address(address)
    local = {"include_dashboard": False} if address == "local" else {}
    try:
        with _hushed():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # many kinds, none of which is of use
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ClusterError(
            f"the Ray cluster at {address} cannot be used: {reason} (this machine must be one of its nodes: "
            "ray start --address ADDRESS --num-cpus 0)"
        ) from error
    with redirect_stdout(sys.stderr):
        try:
            yield _reader
        finally:
            ray.shutdown()


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray's native code tells standard error how it sets itself up, whatever it is asked to log; what fails, it raises."""
    with Path(os.devnull).open("w", encoding="ascii") as nowhere, os.fdopen(os.dup(2), "wb") as kept:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept.fileno(), 2)


def _reader(collection: Engine, limits: Limits) -> AheadReader:
    def make(wanted: Sequence[Wanted], movable: frozenset[str]) -> Iterator[Row]:
        encoder = collection.encoder
        contract = replace(encoder.contract, calibration=None)
        setup = Setup(_model(collection.model), collection.runtime, encoder.serialized, contract, limits, movable)
        return _rows(wanted, setup)

    return AheadReader(make, limits)


def share_of(nodes: Sequence[Mapping[str, float]]) -> Share:
    """How the resources of a cluster's nodes are used. An actor for each GPU, if there are any; else what a fifth of the
    CPUs, which is left to reading, leaves."""
    stored = sum(node.get("object_store_memory", 0.0) for node in nodes)
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [node["CPU"] for node in nodes if node.get("CPU", 0) > 0]
    if not cpus:
        raise ClusterError("the cluster has no CPU to compute with; start nodes with --num-cpus")
    if gpus:
        actors, each = gpus, 1.0
    else:
        each = float(max(1, min(MOST_THREADS, int(min(cpus)))))
        actors = int((sum(cpus) - max(READING_CPUS, sum(cpus) / 5)) / each)
    if actors < 1:  # one machine with a CPU or two
        actors, each = 1, min(each, sum(cpus) - READING_CPUS)
    # A quarter of what the nodes keep for objects, since others use it too; and no more than keeps every actor busy.
    memory = min(int(stored / 4), BLOCK_BYTES * _IN_FLIGHT * (actors + 2))
    return Share(actors, each, 1.0 if gpus else 0.0, memory)


def _rows(wanted: Sequence[Wanted], setup: Setup) -> Iterator[Row]:
    """What the cluster makes of the files, as it is made, in their order."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    data = _dataset(wanted, setup, share_of([node["Resources"] for node in ray.nodes() if node["Alive"]]))
    try:
        for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            for number, part in zip(batch["number"].to_pylist(), batch["part"].to_pylist(), strict=True):
                yield Row(number, pickle.loads(part))  # noqa: S301  # by our own processes, as all that Ray carries
    except RayTaskError as error:
        cause = error.cause
        reason = cause if isinstance(cause, PassagesError) else f"{type(cause).__name__}: {cause}"
        raise ClusterError(f"a machine of the cluster failed: {reason}; what was committed is kept") from error
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(f"the cluster failed: {reason}; what was committed is kept, run the same command again") from error


def _dataset(wanted: Sequence[Wanted], setup: Setup, share: Share) -> Any:
    """The pipeline, which runs while its rows are taken."""
    import ray.data

    _configure(share)
    packed = [{"job": pickle.dumps(job)} for job in jobs(wanted)]
    return (
        ray.data.from_items(packed, override_num_blocks=len(packed))
        .flat_map(_Reading(setup), num_cpus=READING_CPUS)
        .map_batches(
            _Encoding,
            fn_constructor_args=(setup, max(1, math.floor(share.cpus))),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=share.actors, max_tasks_in_flight_per_actor=2),
            num_cpus=share.cpus,
            num_gpus=share.gpus,
        )
    )


def _configure(share: Share) -> None:
    from ray.data import DataContext, ExecutionResources

    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=share.memory)
    logging.getLogger("ray.data").setLevel(logging.ERROR)


class _Reading:
    """The first stage as Ray Data calls it: of a row that is a job, rows that are parts."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, row: Sent) -> Iterator[Sent]:
        job: list[Numbered] = pickle.loads(row["job"])  # noqa: S301
        for one in read(job, self._setup):
            yield {"number": one.number, "part": pickle.dumps(one.part)}


class _Encoding:
    """The second stage as Ray Data calls it: an actor, over tables of rows that are parts."""

    def __init__(self, setup: Setup, threads: int) -> None:
        self._encoding: Encoding | PassagesError
        try:
            self._encoding = Encoding(setup, threads)
        except PassagesError as error:  # raised here, it would arrive as a text among others, that an actor died
            self._encoding = error

    def __call__(self, table: Any) -> Iterator[Sent]:
        if isinstance(self._encoding, PassagesError):
            raise self._encoding
        numbered = zip(table["number"].to_pylist(), table["part"].to_pylist(), strict=True)
        for some in self._encoding(Row(number, pickle.loads(part)) for number, part in numbered):  # noqa: S301
            yield {"number": [one.number for one in some], "part": [pickle.dumps(one.part) for one in some]}


def _model(model: str) -> str:
    """The model as every machine finds it: a folder by its whole path."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model


def _check_address(address: str) -> None:
    """Raises :class:`ClusterError` if nobody listens there: Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal():
        raise ClusterError(
            f"{address} is no address of a Ray cluster: give HOST:PORT of its head (by default port 6379), or auto"
        )
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=PROBE_S):
        return
    raise ClusterError(f"no Ray cluster answers at {address}; start one (ray start --head), or give the address of its head")
