"""Generations: each writing gives its rows one, and rows of a generation that no document names are cleared away."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence

from indexer.engines.milvus.connection import Row, Tables, one_of
from indexer.engines.milvus.encoding import KEPT, kept_of
from indexer.engines.milvus.state import pending_rows, sweeping_row
from indexer.engines.milvus.tables import DOCUMENTS, META, PASSAGES, TEXTS

# Nobody takes so long from a note to the end of what it tells of.
STALE_S = 600.0
_RANDOM_BITS = 20


def new_generation() -> int:
    """One that no other writer gives: the millisecond, and chance."""
    return (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def is_young(generation: int) -> bool:
    """Whether documents may just have come to name it, or may yet: whoever gave it ten minutes ago has named it or never will.
    That is by the clocks of two machines, which have to agree within minutes."""
    return generation >= _oldest(STALE_S)


def sweep(tables: Tables, at_least_s: float = STALE_S) -> int:
    """Clear up after whoever ended in the middle of writing, at least so many seconds ago; how many notes there were."""
    oldest = _oldest(at_least_s)
    stale = [one for one in pending_rows(tables) if one[0] < oldest]
    if stale:  # before it is looked what is named: who stood still and goes on now would name what is deleted here
        tables.upsert(META, [sweeping_row(*one) for one in stale])
    for generation, replaced in stale:
        known = {row["key"]: kept_of(row) for row in tables.get(DOCUMENTS, list(replaced), KEPT)}
        written = {key for key, kept in known.items() if kept.generation == generation}
        delete_rows(tables.delete, generation, [key for key in replaced if key not in written])
        for before in {replaced[key] for key in replaced} - {0}:
            unseen = [
                key for key in replaced if replaced[key] == before and (key not in known or known[key].generation != before)
            ]
            delete_rows(tables.delete, before, unseen)
        tables.delete(META, one_of("key", [f"pending.{generation}"]))
    if stale:
        tables.flush([DOCUMENTS, META, PASSAGES, TEXTS])
    return len(stale)


def sweep_unnamed(tables: Tables, at_least_s: float = STALE_S) -> int:
    """Delete rows that no document names and no note tells of, which two writers of one document leave if both replace the same
    generation; how many there were. Reads the keys of all rows."""
    oldest = _oldest(at_least_s)
    pending = {generation for generation, _ in pending_rows(tables)}
    count = 0
    for table in (PASSAGES, TEXTS):
        for page in tables.pages(table, f"generation < {oldest}", ["row", "document", "generation"]):
            unnamed = [one["row"] for one in _unnamed(tables, page) if int(one["generation"]) not in pending]
            if unnamed:
                tables.delete(table, one_of("row", unnamed))
                count += len(unnamed)
    if count:
        tables.flush([PASSAGES, TEXTS])
    return count


def _unnamed(tables: Tables, rows: Sequence[Row]) -> list[Row]:
    named = named_generations(tables, {row["document"] for row in rows})
    return [row for row in rows if named.get(row["document"]) != int(row["generation"])]


def named_generations(tables: Tables, documents: Iterable[str]) -> dict[str, int]:
    """The generation that each of these documents, by their keys, names; of those that are there."""
    return {row["key"]: int(row["generation"]) for row in tables.get(DOCUMENTS, sorted(documents), ["key", "generation"])}


def _oldest(at_least_s: float) -> int:
    return (time.time_ns() // 1_000_000 - int(at_least_s * 1000)) << _RANDOM_BITS


def delete_rows(delete: Callable[[str, str], None], generation: int, documents: Sequence[str]) -> None:
    """Delete what these documents, by their keys, have of a generation."""
    if documents:
        condition = f"generation == {generation} and {one_of('document', list(documents))}"
        delete(PASSAGES, condition)
        delete(TEXTS, condition)
