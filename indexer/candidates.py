"""Candidates of a question, and their scores: block by block, each passage once.

A block is what the vector index and the word index rank among their next best. Blocks do not depend on the page that was
asked for, so pages never overlap; nearly every question ends in the first one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.engines.contract import View
from indexer.errors import PassagesError
from indexer.ranking import SIGNALS, Calibration, Readings, score, signals, weights
from indexer.reading import Question
from indexer.records import Candidate, Candidates, Keys
from indexer.terms import Codes
from indexer.tokens import signals as token_signals
from indexer.vectors import Floats
from indexer.words import Lengths, bm25, possible

# What each list gives to the first block: a judged passage is among them for 96 to 99 % of questions, and the tokens of
# 160 passages cost 3 ms (docs/design.md). Each further block is four times as large.
FIRST_BLOCK = 100
GROWTH = 4
# Of how many candidates, those that vector and words put first, the tokens are read first (docs/design.md).
PROMISING = 80
# Where looking further ends: what a score bound or an excluded word leaves of so many is enough, and a collection's size must
# not decide how long a question takes. A thousand results are among the first 1,600.
LAST_BLOCK = 6400


class Ranks(NamedTuple):
    """Where a passage stands in each list of candidates, from 1; None where it is not among them."""

    vector: int | None
    words: int | None


class Scored(NamedTuple):
    """A candidate with its score, rounded to six digits: below that, equal texts differ by where they lie in memory."""

    candidate: Candidate
    score: float
    values: npt.NDArray[np.float64]  # of its signals, in the order of SIGNALS
    held: npt.NDArray[np.bool_]  # which of the question's words it has
    ranks: Ranks
    met: Floats | None = None  # of its tokens: see TokenSignals

    @property
    def signals(self) -> dict[str, float]:
        """Its signals by name."""
        return dict(zip(SIGNALS, self.values.tolist(), strict=True))


class DeadlineError(PassagesError):
    """A search took longer than it may."""


class Stages:
    """Milliseconds by stage of a search, which may take ``timeout_s`` seconds in all; ``spent_ms`` were spent before."""

    def __init__(self, timeout_s: float | None = None, spent_ms: Mapping[str, float] | None = None) -> None:
        self.took_ms: dict[str, float] = dict(spent_ms or {})
        self._began = time.perf_counter() - sum(self.took_ms.values()) / 1000
        self._timeout_s = timeout_s

    @property
    def total_ms(self) -> float:
        """Milliseconds since the search began."""
        return (time.perf_counter() - self._began) * 1000

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, not below 0; None if it may take as long as it does."""
        return None if self._timeout_s is None else max(0.0, self._timeout_s - self.total_ms / 1000)

    def check(self) -> None:
        """Raises :class:`DeadlineError` if the search has no time left."""
        if self._timeout_s is not None and self.left_s == 0:
            raise DeadlineError(f"no answer within {self._timeout_s:.2g} seconds: ask for less, or again in a moment")

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds what the block takes to ``stage``. Raises :class:`DeadlineError` instead if the search has no time left."""
        self.check()
        began = time.perf_counter()
        try:
            yield
        finally:
            self.took_ms[stage] = self.took_ms.get(stage, 0.0) + (time.perf_counter() - began) * 1000


class Ranker(NamedTuple):
    """A question over one view: the passages that it leaves are the only ones that are found."""

    view: View
    question: Question
    weights: Mapping[str, float]
    calibration: Calibration
    readings: tuple[str, ...]
    stages: Stages

    def blocks(self) -> Iterator[list[Scored]]:
        """Passages with their scores, a block at a time, best first within it, ties by id."""
        seen: set[int] = set()
        count = FIRST_BLOCK
        while True:
            with self.stages.timed("candidates"):
                near, matching = self._lists(count)
            fresh = [key for key in dict.fromkeys([*near, *matching]) if key not in seen]
            seen.update(fresh)
            for some in self._promising(fresh):
                yield self.scored(some, near, matching)
            if len(near) < count and len(matching) < count:
                return
            count *= GROWTH
            if count > LAST_BLOCK:
                return

    def _promising(self, keys: Sequence[int]) -> Iterator[Sequence[int]]:
        """These passages in two parts: those whose vector and words promise most, whose tokens are worth reading, and the
        others, of which hardly one would come among the first ten."""
        if len(keys) <= PROMISING or "tokens" not in self.readings or self.readings == ("tokens",):
            yield from [keys] if keys else []
            return
        with self.stages.timed("promise"):
            named, codes, lengths = self.view.snapshot.terms(keys)
            readings, _ = self._without_tokens(np.array([key for key, _ in named], np.int64), codes, lengths)
            values = signals(readings, self.question.readable)
            scores = score(values, weights(self.calibration, tuple(one for one in self.readings if one != "tokens")))
            promise = zip((-scores).round(6).tolist(), (passage_id for _, passage_id in named), range(len(named)), strict=True)
            ordered = [named[at][0] for _, _, at in sorted(promise)]
        yield ordered[:PROMISING]
        yield ordered[PROMISING:]

    def scored(self, keys: Sequence[int], near: Sequence[int] = (), matching: Sequence[int] = ()) -> list[Scored]:
        """These passages, best first; those that the commit lacks are left out."""
        with self.stages.timed("read"):
            found = self.view.snapshot.candidates(keys)
        readings, held, met = self._readings(found)
        with self.stages.timed("rank"):
            values = signals(readings, self.question.readable)
            scores = score(values, self.weights).round(6).tolist()
            rows = np.column_stack([values[name] for name in SIGNALS])
            first = {key: rank for rank, key in enumerate(near, 1)}
            second = {key: rank for rank, key in enumerate(matching, 1)}
            scored = [
                Scored(one, scores[at], rows[at], held[at], Ranks(first.get(one.key), second.get(one.key)), met[at])
                for at, one in enumerate(found.split())
            ]
            return sorted(scored, key=lambda row: (-row.score, row.candidate.id))

    def _lists(self, count: int) -> tuple[list[int], list[int]]:
        """The best keys of each list; tokens alone have none of their own and take both."""
        near, matching = np.empty(0, np.int64), np.empty(0, np.int64)
        if "vector" in self.readings or self.readings == ("tokens",):
            near = self.view.nearest(self.question.tokens.pooled, count).keys
        if "words" in self.readings or self.readings == ("tokens",):
            matching = self.view.matching(self.question.groups, self.question.rarity, count)
        return near.tolist(), matching.tolist()

    def _readings(self, found: Candidates) -> tuple[Readings, npt.NDArray[np.bool_], Sequence[Floats | None]]:
        keys = np.fromiter((key for key, *_ in found.named), np.int64, len(found.named))
        readings, held = self._without_tokens(keys, found.terms, found.lengths)
        if "tokens" not in self.readings:
            return readings, held, [None] * len(keys)
        with self.stages.timed("maxsim"):
            tokens = token_signals(self.question.tokens, found.tokens)
        met = np.split(tokens.met, np.cumsum(found.tokens.lengths)[:-1])
        return readings._replace(maxsim=tokens.maxsim, sentence=tokens.sentence), held, met

    def _without_tokens(self, keys: Keys, terms: Codes, lengths: Lengths) -> tuple[Readings, npt.NDArray[np.bool_]]:
        """What vector and words say of n passages, and which words each holds, bool [n, w]; ``terms`` are theirs, one after the
        other, of which each has ``lengths`` int64 [n]."""
        rarity = self.question.rarity
        cosines = np.clip(self.view.cosines(self.question.tokens.pooled, keys), -1, 1)
        scores, held = bm25(terms, lengths, self.question.groups, rarity, self.view.mean_length)
        coverage = (held * rarity).sum(axis=1) / max(float(rarity.sum()), 1e-9)
        nothing = np.zeros(len(keys), np.float32)
        words = scores / max(possible(rarity), 1e-9)
        return Readings(cosines, nothing, nothing, words, coverage.astype(np.float32)), held
