"""The words of passages: BM25, and which passages hold a term or a phrase. tantivy on disk, and what is newer in memory.

Derived from the catalog's terms: deleting it loses nothing; :mod:`indexer.wordfiles` is what lies on disk. Invariant: a
:class:`Words` never changes, so a search goes on undisturbed over the commit that it began with, also when another process
folds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.files import from_record
from indexer.terms import DIVIDER, Codes
from indexer.ties import Names, best
from indexer.wordfiles import FORMAT, WORDS_FILE, Change, Disk, open_disk, own_terms, write_disk

__all__ = ["WORDS_FILE", "Words", "bm25", "fold", "idf", "open_words", "own_terms", "possible"]

Keys = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

log = logging.getLogger(__name__)

# Robertson & Zaragoza 2009, The Probabilistic Relevance Framework. The values are those of tantivy, which ranks on disk.
K1 = 1.2
B = 0.75
# Up to so many allowed keys, tantivy is told them; above, fetching more than is wanted and dropping the rest is faster.
_FEW_KEYS = 5000
# Of passages with one score, as lines of a table have, so many are fetched to order them by name; fetching 200,000 takes .2 s.
_MOST_TIED = 4096
# A deleted passage counts in tantivy's statistics until its segment is merged: above this share the index is made anew.
_STALE_SHARE = 0.1


def idf(passages: int, frequency: int) -> float:
    """The rarity of a word that ``frequency`` of ``passages`` hold; never below 0, as in Lucene and tantivy."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def possible(rarity: Floats) -> float:
    """What BM25 would be for a passage that holds nothing but the question's words, without end."""
    return float(rarity.sum()) * (K1 + 1)


def bm25(
    codes: Codes, lengths: Lengths, groups: Sequence[Sequence[int]], rarity: Floats, mean_length: float
) -> tuple[Floats, Bools]:
    """BM25 of n passages float32 [n], and which of w words each holds, bool [n, w].

    ``codes`` are the passages' terms, one after the other, and ``lengths`` int64 [n] how many each has, its divider included.
    A word is a group of codes, which count as one term; ``rarity`` float32 [w] is each word's idf.
    """
    counts = np.zeros((len(lengths), len(groups)), np.float32)
    ends = np.cumsum(lengths)
    for word, group in enumerate(groups):
        for code in group:
            rows = np.searchsorted(ends, np.flatnonzero(codes == code), side="right")
            counts[:, word] += np.bincount(rows, minlength=len(lengths))
    norms = K1 * (1 - B + B * (lengths - 1) / mean_length)
    weighed = counts * (K1 + 1) / (counts + norms[:, None])
    return (weighed @ rarity.astype(np.float64)).astype(np.float32), counts > 0


class _Tail(NamedTuple):
    """Passages in memory: ``keys`` ascending, their terms one after the other, and how many each has."""

    keys: Keys
    codes: Codes
    lengths: Lengths

    def without(self, removed: Keys) -> _Tail:
        """The tail less these keys: what is gone counts no more in any statistic."""
        kept = ~np.isin(self.keys, removed)
        return _Tail(self.keys[kept], self.codes[np.repeat(kept, self.lengths)], self.lengths[kept])

    def phrase(self, codes: Sequence[int]) -> Keys:
        """The passages in whose own text these terms follow one another."""
        starts = np.flatnonzero(self.codes[: max(0, len(self.codes) - len(codes) + 1)] == codes[0])
        for step, code in enumerate(codes):
            starts = starts[self.codes[starts + step] == code]
        ends = np.cumsum(self.lengths)
        dividers = np.flatnonzero(self.codes == DIVIDER)  # one a passage
        rows = np.searchsorted(ends, starts, side="right")
        return self.keys[np.unique(rows[(starts > dividers[rows]) & (starts + len(codes) <= ends[rows])])]

    def terms(self) -> list[Codes]:
        """The terms of each passage."""
        return np.split(self.codes, np.cumsum(self.lengths)[:-1]) if len(self.keys) else []


class Words(NamedTuple):
    """The words of one commit. ``removed`` (ascending) are keys on disk that are there no more."""

    disk: Disk | None
    tail: _Tail
    removed: Keys
    generation: int
    last_key: int

    @classmethod
    def empty(cls) -> Words:
        """No words at all, of no commit yet."""
        nothing = np.empty(0, np.int64)
        return cls(None, _Tail(nothing, np.empty(0, np.uint32), nothing), nothing, -1, 0)

    @property
    def passages(self) -> int:
        """How many passages it covers."""
        return (self.disk.passages if self.disk else 0) + len(self.tail.keys) - len(self.removed)

    @property
    def tail_size(self) -> int:
        """How many of them are in memory only."""
        return len(self.tail.keys)

    @property
    def mean_length(self) -> float:
        """Terms a passage."""
        terms = (self.disk.terms if self.disk else 0) + int((self.tail.lengths - 1).sum())
        return max(1.0, terms / max(1, (self.disk.passages if self.disk else 0) + len(self.tail.keys)))

    @property
    def needs_rebuild(self) -> bool:
        """Whether so much was deleted that the statistics have drifted: fold all of the catalog into an empty one."""
        if self.disk is None:
            return False
        stale = self.disk.counted - self.disk.passages + len(self.removed)
        return stale > _STALE_SHARE * self.disk.passages

    def frequency(self, code: int) -> int:
        """How many passages hold the term; those deleted since the last fold count too."""
        on_disk = self.disk.frequency(code) if self.disk else 0
        found = np.searchsorted(np.cumsum(self.tail.lengths), np.flatnonzero(self.tail.codes == code), side="right")
        return on_disk + len(np.unique(found))

    def rarities(self, words: Sequence[Sequence[int]]) -> list[float]:
        """The idf of each word; a word is the codes of its forms."""
        return [idf(self.passages, min(self.passages, sum(map(self.frequency, codes)))) for codes in words]

    def matching(
        self,
        groups: Sequence[Sequence[int]],
        rarity: Floats,
        count: int,
        allowed: Keys | None = None,
        names: Names | None = None,
    ) -> Keys:
        """The ``count`` passages with the greatest BM25 among those that hold any word, best first, ties by name (without
        ``names``: by key); none outside ``allowed`` (ascending), and none of these is missed. ``groups`` and ``rarity`` as for
        :func:`bm25`."""
        keys, scores = self._from_tail(groups, rarity, allowed)
        if self.disk:
            near, highest = self._from_disk(self.disk, _weights(groups, rarity), count, allowed)
            keys, scores = np.concatenate([near, keys]), np.concatenate([highest, scores])
        return keys[best(keys, _level(scores), count, names)]

    def phrase(self, codes: Sequence[int]) -> Keys:
        """Every passage in whose own text these terms (one at least) follow one another, ascending."""
        found = self.tail.phrase(codes)
        if self.disk:
            found = np.concatenate([found, self.disk.phrase(codes)])
        return np.setdiff1d(found, self.removed)

    def updated(self, keys: Keys, terms: Sequence[Codes], removed: Keys, generation: int) -> Words:
        """The words with passages added (``keys`` ascending, above all present) and ``removed`` gone, as of ``generation``."""
        lengths = np.fromiter(map(len, terms), np.int64, len(terms))
        tail = _Tail(
            np.concatenate([self.tail.keys, keys]),
            np.concatenate([self.tail.codes, *terms]),
            np.concatenate([self.tail.lengths, lengths]),
        ).without(removed)
        gone = np.union1d(self.removed, removed[removed <= (self.disk.last_key if self.disk else 0)])
        last = int(keys[-1]) if len(keys) else self.last_key
        return self._replace(tail=tail, removed=gone, generation=generation, last_key=max(last, self.last_key))

    def _from_tail(self, groups: Sequence[Sequence[int]], rarity: Floats, allowed: Keys | None) -> tuple[Keys, Floats]:
        scores, held = bm25(self.tail.codes, self.tail.lengths, groups, rarity, self.mean_length)
        found = held.any(axis=1)
        if allowed is not None:
            found &= np.isin(self.tail.keys, allowed)
        return self.tail.keys[found], scores[found]

    def _from_disk(self, disk: Disk, weights: Mapping[int, float], count: int, allowed: Keys | None) -> tuple[Keys, Floats]:
        """By the statistics of the whole, in place of tantivy's, which knows what is on disk alone."""
        counted = disk.counted
        boosts = {code: weight / idf(counted, disk.frequency(code)) for code, weight in weights.items()}
        few = allowed is not None and len(allowed) <= _FEW_KEYS
        share = 1 if allowed is None or few else max(len(allowed), 1) / max(1, self.passages)
        fetched = int((count + 16) / share) + len(self.removed)
        while True:
            keys, scores = disk.ranked(boosts, fetched, allowed if few else None)
            kept = ~np.isin(keys, self.removed)
            if allowed is not None:
                kept &= np.isin(keys, allowed)
            level = _level(scores)
            # Of passages that tie for the last place tantivy brings any: fetch on until all of them are there, or very many.
            if len(keys) < fetched or (kept & (level > level[-1]) if fetched < _MOST_TIED else kept).sum() >= count:
                return keys[kept], scores[kept]
            fetched *= 4


def open_words(folder: Path, tag: str, known: Disk | None = None) -> Words:
    """What is on disk of the index folder's words, if it was made for ``tag``; else nothing, which costs a rebuild. Files that
    ``known`` has open are not read again."""

    def opened(record: Mapping[str, Any]) -> Words | None:
        return _opened(folder, record, known) if (record["format"], record["tag"]) == (FORMAT, tag) else None

    return from_record(folder / WORDS_FILE, opened) or Words.empty()


def fold(folder: Path, words: Words, tag: str) -> Words:
    """Move the tail into tantivy and what was removed out of it. The caller holds the writer lock. Raises
    :class:`PassagesError`."""
    facts = {"format": FORMAT, "tag": tag, "generation": words.generation, "last_key": words.last_key}
    change = Change(words.tail.keys, words.tail.terms(), words.removed)
    return _of(write_disk(folder, words.disk, change, facts), facts)


def _opened(folder: Path, record: Mapping[str, Any], known: Disk | None) -> Words:
    return _of(open_disk(folder, record, known), record)


def _of(disk: Disk, record: Mapping[str, Any]) -> Words:
    return Words.empty()._replace(disk=disk, generation=record["generation"], last_key=record["last_key"])


def _weights(groups: Sequence[Sequence[int]], rarity: Floats) -> dict[int, float]:
    """What each code weighs: the rarity of its word, or of its words."""
    weights: dict[int, float] = {}
    for group, rare in zip(groups, rarity.tolist(), strict=True):
        for code in group:
            weights[code] = weights.get(code, 0.0) + rare
    return weights


def _level(scores: Floats) -> Floats:
    """Scores as they are compared: below five digits, equal passages differ by the segment that they lie in."""
    return scores.round(5)
