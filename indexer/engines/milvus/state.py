"""What is known of a collection as a whole: one row each in its table of other things."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from indexer.engines.milvus.connection import Tables, one_of
from indexer.engines.milvus.encoding import MAX_BYTES, NOTHING
from indexer.engines.milvus.tables import META
from indexer.errors import UnreadableError
from indexer.formats import Remark
from indexer.models import ModelContract
from indexer.records import Source

FORMAT = 1
STATE, CONTRACT, LANGUAGE, SOURCE, PENDING, SWEEPING = "state", "contract", "language", "source", "pending", "sweeping"
_FIELDS = ("key", "kind", "value")
# The value of a file without failures begins so: JSON may, and a server tells it from "[", as others begin.
_WHOLE = " "
_FEWER_TOLD = (400, 100, 20, 1)  # failures, and remarks, of a file that says too much
_LONGEST_TOLD = 500  # characters of each of them


class Totals(NamedTuple):
    """How much there is, summed up as it is written. Who writes at the same time may lose a part of the other's, until they are
    counted again."""

    documents: int = 0
    passages: int = 0
    characters: int = 0
    terms: int = 0

    def plus(self, other: Totals, sign: int = 1) -> Totals:
        """The sum, or the difference."""
        return Totals(*(max(0, one + sign * more) for one, more in zip(self, other, strict=True)))


class State(NamedTuple):
    """A collection as a whole. ``generation`` is the millisecond of the last commit, in order."""

    identity: str
    generation: int
    totals: Totals
    contract: ModelContract | None
    languages: list[str]


def read_state(tables: Tables) -> State:
    """The state as it is now."""
    rows = tables.query(META, one_of("kind", [STATE, CONTRACT, LANGUAGE]), _FIELDS)
    known = {row["key"]: json.loads(row["value"]) for row in rows}
    state = known.get(STATE, {"identity": "", "generation": 0, "totals": Totals()})
    contract = ModelContract(**known[CONTRACT]) if CONTRACT in known else None
    languages = sorted(json.loads(row["value"]) for row in rows if row["kind"] == LANGUAGE)
    return State(state["identity"], state["generation"], Totals(*state["totals"]), contract, languages)


def state_row(state: State) -> dict[str, Any]:
    """What is kept of a state but for the contract and the languages."""
    return meta_row(
        STATE, STATE, {"format": FORMAT, "identity": state.identity, "generation": state.generation, "totals": state.totals}
    )


def contract_row(contract: ModelContract) -> dict[str, Any]:
    """The model contract."""
    return meta_row(CONTRACT, CONTRACT, asdict(contract))


def language_row(name: str) -> dict[str, Any]:
    """A stemmer that made terms of some passage."""
    return meta_row(f"{LANGUAGE}.{name}", LANGUAGE, name)


def later(generation: int) -> int:
    """The generation of a commit after another one. Two writers may come to the same one, if neither had read the other's: then
    what both wrote was there before either's commit, so what is kept by generation is right."""
    return max(generation + 1, time.time_ns() // 1_000_000)


def sources_of(tables: Tables) -> list[Source]:
    """Every synced file, by path."""
    pages = tables.pages(META, f'kind == "{SOURCE}"', _FIELDS)
    return sorted((_source(row) for page in pages for row in page), key=lambda one: one.path)


def count_failures(tables: Tables) -> int:
    """How many failures there are of all synced files. Reads the rows of files that have any, and those without of earlier
    versions, which did not tell them apart."""
    pages = tables.pages(META, f'kind == "{SOURCE}" and value >= "["', _FIELDS)
    return sum(len(_source(row).failures) for page in pages for row in page)


def source_with(tables: Tables, key: int) -> Source | None:
    """A synced file."""
    rows = tables.get(META, [f"{SOURCE}.{key}"], _FIELDS)
    return _source(rows[0]) if rows else None


def source_row(source: Source) -> dict[str, Any]:
    """A synced file. Of failures and remarks that a row does not hold the first are kept, and how many more there are. Raises
    :class:`UnreadableError` if it does not hold the path."""
    row = _source_row(source)
    for kept in _FEWER_TOLD:
        if _fits(row):
            return row
        failures = _first(source.failures, kept, ("more", "more records could not be read"))
        remarks = _first(source.remarks, kept, ("", "more remarks"))
        row = _source_row(source._replace(failures=tuple(failures), remarks=tuple(Remark(*one) for one in remarks)))
    if not _fits(row):
        raise UnreadableError(f"{source.path[:200]}... has a path too long for a Milvus server, which takes {MAX_BYTES} bytes")
    return row


def meta_row(key: str, kind: str, value: Any) -> dict[str, Any]:
    """A row of the table of other things."""
    return {"key": key, "kind": kind, "value": json.dumps(value, ensure_ascii=False), "nothing": NOTHING}


def pending_rows(tables: Tables) -> list[tuple[int, Mapping[str, Any]]]:
    """The generations that are being written, or were when who wrote them ended, with what they replace."""
    rows: Sequence[Mapping[str, Any]] = tables.query(META, one_of("kind", [PENDING, SWEEPING]), _FIELDS)
    return [(int(row["key"].partition(".")[2]), json.loads(row["value"])) for row in rows]


def pending_row(generation: int, replaced: Mapping[str, int]) -> dict[str, Any]:
    """What is about to be written: the generation, and that of each document which it replaces, 0 if there is none."""
    return meta_row(f"{PENDING}.{generation}", PENDING, replaced)


def sweeping_row(generation: int, replaced: Mapping[str, int]) -> dict[str, Any]:
    """The same once it is being cleared up after whoever was writing, who must not go on."""
    return meta_row(f"{PENDING}.{generation}", SWEEPING, replaced)


def _source_row(source: Source) -> dict[str, Any]:
    row = meta_row(f"{SOURCE}.{source.key}", SOURCE, source)
    return row if source.failures else {**row, "value": _WHOLE + row["value"]}


def _fits(row: Mapping[str, Any]) -> bool:
    return len(row["value"].encode()) <= MAX_BYTES


def _first(told: Sequence[tuple[str, str]], kept: int, more: tuple[str, str]) -> list[tuple[str, str]]:
    """So many of what is told of a file, what is of all of it before what is of its parts; and how many more there are."""
    ordered = sorted(told, key=lambda one: one[0] != "")[:kept]
    first = [(about[:_LONGEST_TOLD], said[:_LONGEST_TOLD]) for about, said in ordered]
    return first if len(told) <= kept else [*first, (more[0], f"{len(told) - kept:,} {more[1]}")]


def _source(row: Mapping[str, Any]) -> Source:
    key, path, name, stamp, digest, failures, remarks = json.loads(row["value"])
    return Source(
        key, path, name, stamp, digest, tuple((one[0], one[1]) for one in failures), tuple(Remark(*one) for one in remarks)
    )
