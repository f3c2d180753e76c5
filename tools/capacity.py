"""docs/capacity.md: what a collection of some size needs, computed from what was measured, with the arithmetic shown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from indexer.engines.milvus.mirror import SHARE
from tools.results import latest

SIZES = (10**6, 10**7, 10**8, 10**9, 10**10)
EXAMPLE = 10**8  # that the arithmetic is shown of, and deploy/kubernetes/milvus/server.yaml is for
# Of docs/evaluation.md and docs/container.md, where they were measured and are told; a test looks for them there.
FOLDER_GB, FOLDER_PASSAGES = 3.13, 400_000
OWN_GB = 0.86 - 0.27  # of a server over 28,000 passages, without files that can be read again
CORES = 2  # of the machine that everything was measured on
# Chosen, not measured: what is left free of a query pod, and of what a replica can answer at the most; a machine, and how much
# of it its one query pod gets: the rest is for the system, and for what runs on every machine.
FULL, BUSY, NODE_GIB, POD_GIB = 0.7, 0.7, 128, 112
REPLICA_GIB, TMP_GIB = 2.0, 0.5  # of a service, as deploy/kubernetes/deployment.yaml has it, and of it for what is unpacked
CANDIDATES = 200  # of a question, at most: by vector and by words
GIB = 1 << 30
_TEMPLATE = Path(__file__).with_name("capacity.template")


class Measured(NamedTuple):
    """What was measured: bytes of a passage by part, its vector's codes, answers a second at two sizes, passages a second, and
    bytes of a document in the list of them."""

    row: dict[str, int]
    codes: float
    small: tuple[int, float]
    large: tuple[int, float]
    indexing: float
    listed: int

    @property
    def resident(self) -> int:
        """Bytes of a passage in query nodes' memory, with its share of its document."""
        return sum(self.row.values())

    @property
    def stored(self) -> int:
        """Bytes of a passage in the server's storage: its row, with the vector in place of the graph."""
        return self.resident - self.row["graph"] + 384 * 4

    def cpu_ms(self, passages: float) -> float:
        """CPU time of a question over a folder of that size: a line through both measurements."""
        (n, q), (m, r) = self.small, self.large
        low, high = 1000 * CORES / q, 1000 * CORES / r
        return low + (high - low) * (passages - n) / (m - n)


def measured() -> Measured:
    """From eval/results."""
    small, large, speed = latest("load-squad-dev"), latest("load-400k"), latest("speed-press-questions")
    rows = latest("rows")
    return Measured(
        rows["bytes_a_passage"],
        latest("ann-scale")["sizes"][-1]["bytes_a_vector"],
        (small["passages"], small["most_per_second"]),
        (large["passages"], large["most_per_second"]),
        speed["indexing"]["per_second"],
        rows["bytes_a_listed_document"],
    )


def folder_gb(passages: int) -> float:
    """On disk, of one index folder."""
    return FOLDER_GB * passages / FOLDER_PASSAGES


def own_gb(found: Measured, passages: int) -> float:
    """In memory of a server over a folder, without files that can be read again."""
    return OWN_GB + found.codes * passages / 1e9


def memory_gib(found: Measured, passages: int) -> float:
    """In memory of the server's query nodes, room left free included."""
    return found.resident * passages / GIB / FULL


def query_nodes(found: Measured, passages: int) -> int:
    """Of ``POD_GIB``; no less than two, so that one can be away."""
    return max(2, math.ceil(memory_gib(found, passages) / POD_GIB))


def list_bytes(found: Measured) -> int:
    """Bytes of a document in the lists of a replica: one in each process, and a second while it is read anew."""
    return 2 * (CORES + 1) * found.listed


def listed_documents(found: Measured) -> float:
    """As many as a replica lists."""
    return REPLICA_GIB * GIB / SHARE / found.listed


def list_room(found: Measured) -> float:
    """As many as a replica has memory for, besides what else it needs."""
    return ((REPLICA_GIB - TMP_GIB) * GIB - OWN_GB * 1e9) / list_bytes(found)


def days(found: Measured, passages: int, cores: int) -> float:
    """To index, on so many cores."""
    return passages / (found.indexing / CORES * cores) / 86_400


def page() -> str:
    """The page, as Markdown."""
    found = measured()
    tables = {
        "folders": _table(found, _FOLDER, SIZES[:3]),
        "servers": _table(found, _SERVER, SIZES),
        "indexing": _table(found, _INDEXING, SIZES),
    }
    return _TEMPLATE.read_text(encoding="utf-8").format(**tables, **_constants(found), **_results(found))


def _constants(found: Measured) -> dict[str, Any]:
    """What the page repeats of what was measured or chosen."""
    rows = latest("rows")
    return {
        "words": rows["words_a_passage"], "rows": rows["passages"], "documents": rows["documents"],
        "codes": found.codes, "small": found.small, "large": found.large, "indexing_rate": found.indexing,
        "full": FULL, "busy": BUSY, "node": NODE_GIB, "pod": POD_GIB, "own": OWN_GB,
        "folder": FOLDER_GB, "folder_passages": FOLDER_PASSAGES, "candidates": CANDIDATES, "cores": CORES,
        "codes_bytes": found.row["codes"], "example": EXAMPLE,
        "replica_gib": REPLICA_GIB, "tmp_gib": TMP_GIB, "listed": found.listed, "processes": CORES + 1,
        "row": " + ".join(f"{size:,} {_PARTS[part]}" for part, size in found.row.items()),
    }  # fmt: skip


def _results(found: Measured) -> dict[str, Any]:
    """What the page computes in its text."""
    replica, fetched = found.small[1] * BUSY, CANDIDATES * found.row["codes"] / 1e6
    return {
        "bytes_a_passage": FOLDER_GB * 1e9 / FOLDER_PASSAGES, "resident": found.resident, "stored": found.stored,
        "low": found.cpu_ms(found.small[0]), "high": found.cpu_ms(found.large[0]),
        "slope": found.cpu_ms(1e6) - found.cpu_ms(0), "each": found.indexing / CORES,
        "per_pod": POD_GIB * GIB * FULL / found.resident / 1e6, "raw": found.resident * EXAMPLE / GIB,
        "memory": memory_gib(found, EXAMPLE), "nodes": query_nodes(found, EXAMPLE), "replica": replica,
        "replicas": math.ceil(1000 / replica), "fetched": fetched, "traffic": fetched * replica,
        "list_bytes": list_bytes(found), "listed_documents": listed_documents(found) // 1000 * 1000,
        "list_room": list_room(found) // 1000 * 1000, "share": SHARE,
        "million": list_bytes(found) / 1e3,  # GB
    }  # fmt: skip


def _table(found: Measured, columns: dict[str, Any], sizes: tuple[int, ...]) -> str:
    head = f"| passages | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}\n"
    rows = (f"| {size:,} | {' | '.join(of(found, size) for of in columns.values())} |\n" for size in sizes)
    return head + "".join(rows).rstrip()


def _time(days: float) -> str:
    return f"{days:,.1f} days" if days >= 2 else f"{24 * days:.1f} hours"


_PARTS = {
    "codes": "of token codes",
    "terms": "of terms",
    "sparse": "of the server's BM25 vector",
    "other": "of ids, place, tags and the like",
    "graph": "of the vector and its graph",
    "document": "of its document's row",
    "text": "of its document's text",
}
_FOLDER = {
    "on disk": lambda _, size: f"{folder_gb(size):,.1f} GB",
    "in memory of its own": lambda found, size: f"{own_gb(found, size):.1f} GB",
    "CPU of a question": lambda found, size: f"{found.cpu_ms(size):,.0f} ms",
    "a second on 2 cores": lambda found, size: f"{1000 * CORES / found.cpu_ms(size):,.1f}",
    "on 16 cores": lambda found, size: f"{16_000 / found.cpu_ms(size):,.0f}",
}
_SERVER = {
    "in memory of query nodes": lambda found, size: f"{memory_gib(found, size):,.0f} GiB",
    f"query nodes of {POD_GIB} GiB": lambda found, size: f"{query_nodes(found, size):,}",
    "in storage": lambda found, size: f"{found.stored * size / 1e9:,.0f} GB",
}
_INDEXING = {
    "2 cores": lambda found, size: _time(days(found, size, 2)),
    "64 cores": lambda found, size: _time(days(found, size, 64)),
    "cores for a week": lambda found, size: f"{math.ceil(days(found, size, 1) / 7):,}",
}
