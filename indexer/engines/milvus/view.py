"""Searching a collection on a Milvus server: what it finds by vectors and by words, of which the rest is computed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import numpy as np

from indexer.engines.milvus.conditions import MOST_LISTED, conditions_of, phrase_condition
from indexer.engines.milvus.connection import MOST_FOUND, Row, Tables, one_of
from indexer.engines.milvus.encoding import HEAD, vector_of, word
from indexer.engines.milvus.reader import MilvusReader
from indexer.engines.milvus.tables import PASSAGES, WEIGHED
from indexer.records import Keys
from indexer.vectors import Floats, Neighbours, cosines_of
from indexer.words import idf

# Of passages that tie for the last place a server gives any; so many more are fetched, and put in order here.
_MORE = 16
_EFFORT = 2  # a graph is searched with so many times what is fetched in sight, at least _SIGHT
_SIGHT = 200
_CELLS = 512  # of an IVF index, which somebody may have made instead; a server ignores what is of another kind of index
_FIELDS = (*HEAD, "words", "vector")
# A vector of 384 numbers takes 12 kB as Python's objects: so many rows are 12 MB a list, in each of the requests that are
# answered at once. The pages of a search reach no further either.
PLACES = 1000
_FEW = 1000  # so few passages that meet a filter are all compared: a graph loses some of what is thinly spread in it
_MOST_KEPT = 100_000  # conditions whose counts are kept, of a commit
_COMMITS = 4  # whose counts are kept: who reads with another consistency than Strong may come with the one before the last
_AT_ONCE = 8  # counts that one question asks for at the same time
_SETTLED_MS = 30_000  # after a commit: until then a count may be older than it

Search = Callable[[Tables, str, int], list[Row]]  # the best so many of those that meet a condition


class Frequencies:
    """How many passages meet each condition, such as holding a word: counted by the server, once for each commit."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, bool], dict[bytes, int]] = {}  # of each commit; the last one asked of at the end

    def of(self, commit: tuple[str, int], conditions: Sequence[str], count: Callable[[str], int]) -> list[int]:
        """The counts, which are made, some at a time, if they are not known for this commit; and once more when all of that is
        to be found."""
        settled = time.time() * 1000 - commit[1] > _SETTLED_MS
        counts = self._known.pop((*commit, settled), {})
        if len(counts) > _MOST_KEPT:
            counts = {}
        self._known[*commit, settled] = counts
        for oldest in list(self._known)[:-_COMMITS]:
            self._known.pop(oldest, None)
        asked = {_digest(one): one for one in conditions}  # some conditions are long
        missing = [one for one in asked if one not in counts]
        counts |= zip(missing, _together(count, [asked[one] for one in missing]), strict=True)
        return [counts[_digest(one)] for one in conditions]


class MilvusView:
    """See :class:`indexer.engines.contract.View`. ``condition`` is what narrows it, in the server's words; "" for nothing."""

    vectors = None
    exact = False
    places = PLACES

    def __init__(self, snapshot: MilvusReader, frequencies: Frequencies, words: bool, condition: str = "") -> None:
        self.snapshot, self._frequencies, self._words, self._condition = snapshot, frequencies, words, condition
        self._vectors: dict[int, Floats] = {}

    @property
    def passages(self) -> int:
        """See the contract."""
        return self._counts([""])[0]

    @property
    def mean_length(self) -> float:
        """See the contract."""
        totals = self.snapshot.state.totals
        return max(1.0, totals.terms / max(1, totals.passages))

    def rarities(self, words: Sequence[Sequence[int]]) -> list[float]:
        """See the contract; 0 where the server does not count words."""
        if not self._words or self.snapshot.contract is None:
            return [0.0] * len(words)
        codes = list(dict.fromkeys(code for one in words for code in one))
        passages, *counts = self._counts(["", *(f"TEXT_MATCH(words, '{word(code)}')" for code in codes)])
        frequency = dict(zip(codes, counts, strict=True))
        return [idf(passages, min(passages, sum(frequency[code] for code in one))) for one in words]

    def narrowed(self, filters: Sequence[Mapping[str, Any]], phrases: Sequence[Sequence[Sequence[int]]]) -> MilvusView:
        """See the contract. Without words on the server, phrases are looked for in the texts of what is found."""
        parts = [self._condition] if self._condition else []
        parts += conditions_of(filters, lambda: self.snapshot.mirror)
        parts += [phrase_condition(forms) for forms in phrases] if self._words else []
        return MilvusView(self.snapshot, self._frequencies, self._words, " and ".join(parts))

    def nearest(self, question: Floats, count: int) -> Neighbours:
        """See the contract."""

        def search(tables: Tables, condition: str, limit: int) -> list[Row]:
            params = {"params": {"ef": max(_SIGHT, _EFFORT * limit), "nprobe": _CELLS}}
            found = tables.search(question, "vector", limit, condition, _FIELDS, params)
            return [row for _, row in found]

        keys = self._best(search, count) if (few := self._few(search)) is None else few
        cosines = self.cosines(question, np.array(keys, np.int64))
        order = sorted(range(len(keys)), key=lambda at: (-float(cosines[at]), self.snapshot.head(keys[at]).id))[:count]
        return Neighbours(np.array([keys[at] for at in order], np.int64), cosines[order])

    def matching(self, groups: Sequence[Sequence[int]], rarity: Floats, count: int) -> Keys:  # noqa: ARG002  # the server weighs
        """See the contract; nothing where the server does not rank by words."""
        text = " ".join(word(code) for group in groups for code in group)
        if not self._words or not text:
            return np.empty(0, np.int64)
        scores: dict[str, float] = {}  # of rows

        def search(tables: Tables, condition: str, limit: int) -> list[Row]:
            found = tables.search(text, WEIGHED, limit, condition, _FIELDS, {})
            # The small server tells them as distances, below 0.
            scores.update((row["row"], round(abs(score), 5)) for score, row in found)
            return [row for _, row in found]

        heads = {key: self.snapshot.head(key) for key in self._best(search, count)}
        ordered = sorted(heads, key=lambda key: (-scores[heads[key].row], heads[key].id))
        return np.array(ordered[:count], np.int64)

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """See the contract."""
        missing = [key for key in keys.tolist() if key not in self._vectors]
        for key, row in zip(missing, self.snapshot.rows_of(missing, ["vector"]), strict=True):
            self._vectors[key] = vector_of(row).astype(np.float32)
        if not len(keys):
            return np.empty(0, np.float32)
        return cosines_of(np.stack([self._vectors[key] for key in keys.tolist()]), question)

    def within(self, keys: Iterable[int]) -> set[int]:
        """See the contract."""
        wanted = {self.snapshot.head(key).row: key for key in keys}
        if not self._condition or not wanted:
            return set(wanted.values())
        names, left = list(wanted), set()
        for at in range(0, len(names), MOST_LISTED):  # a text may stand in any number of documents
            condition = f"{one_of('row', names[at : at + MOST_LISTED])} and {self._condition}"
            left |= {wanted[row["row"]] for row in self.snapshot.tables.query(PASSAGES, condition, ["row"])}
        return left

    def _best(self, search: Search, count: int) -> list[int]:
        """Keys of what is found, at least ``count`` if there are so many that count: rows of other generations do not. No more
        than a server finds at once, and so much alone is put in its sight."""
        if self.snapshot.contract is None:
            return []
        limit = min(count + _MORE, MOST_FOUND)
        while True:
            rows = search(self.snapshot.tables, self._condition, limit)
            keys = self._met(rows, search, limit)
            if len(keys) >= count or len(rows) < limit or limit == MOST_FOUND:
                return keys
            limit = min(4 * limit, MOST_FOUND)

    def _few(self, search: Search) -> list[int] | None:
        """Keys of all passages that the view was narrowed to, if they are few."""
        if not self._condition or self.snapshot.contract is None or self._counts([self._condition])[0] > _FEW:
            return None
        rows = self.snapshot.tables.query(PASSAGES, self._condition, _FIELDS)
        return self._met(rows, search, _FEW)

    def _met(self, rows: Sequence[Row], search: Search, limit: int) -> list[int]:
        """Keys of those of the rows that count, and of the best of documents that were replaced meanwhile, which have scores as
        the others do; their vectors are kept."""

        def again(tables: Tables, condition: str) -> list[Row]:
            return search(tables, " and ".join(filter(None, [self._condition, condition])), limit)

        rows = self.snapshot.renewed(rows, again)
        keys = self.snapshot.met(rows)
        vectors = {row["row"]: row["vector"] for row in rows}
        for key in keys:
            if key not in self._vectors:
                self._vectors[key] = vector_of({"vector": vectors[self.snapshot.head(key).row]}).astype(np.float32)
        return keys

    def _counts(self, conditions: Sequence[str]) -> list[int]:
        snapshot = self.snapshot
        if snapshot.contract is None:
            return [0] * len(conditions)
        commit = snapshot.identity, snapshot.generation
        return self._frequencies.of(commit, conditions, lambda condition: snapshot.tables.count(PASSAGES, condition))


def _digest(condition: str) -> bytes:
    return sha256(condition.encode()).digest()


def _together(count: Callable[[str], int], conditions: Sequence[str]) -> list[int]:
    """The count of each, some at a time: one after the other they wait for a server that is far away."""
    if len(conditions) < 2:
        return [count(one) for one in conditions]
    with ThreadPoolExecutor(min(len(conditions), _AT_ONCE), "count") as pool:
        return list(pool.map(count, conditions))
