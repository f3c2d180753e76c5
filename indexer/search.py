"""The one function that a question goes through; HTTP, the command line and the evaluation all call it."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from indexer.catalog import Keys, StoredPassage
from indexer.collection import Collection, View
from indexer.documents import Document
from indexer.encoder import Floats
from indexer.errors import PassagesError
from indexer.filters import condition
from indexer.sentences import Span

MAX_LIMIT = 100
MAX_REACH = 1000  # offset + limit
MAX_QUESTION_CHARS = 4000  # a bound before tokens are counted; the model's own limit is lower

Verdict = Literal["answered", "weak", "nothing", "uncalibrated"]


class QuestionError(PassagesError):
    """The question cannot be asked like this."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question and how much of the answer to return. ``filter`` is described in :mod:`indexer.filters`."""

    question: str
    limit: int = 10
    offset: int = 0
    filter: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A passage. ``start``, ``end``, ``evidence`` and ``matches`` are characters of the document's canonical text."""

    passage: StoredPassage
    score: float
    evidence: Span | None = None
    matches: tuple[Span, ...] = ()
    also_in: tuple[str, ...] = ()
    signals: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Ranked passages for a question. ``generation`` is the commit that all of it was read from."""

    question: str
    verdict: Verdict
    exact: bool
    took_ms: float
    generation: int
    results: tuple[Result, ...]


def search(collection: Collection, query: Query) -> Answer:
    """The passages nearest to the question, best first, ties by passage id.

    The score is the cosine of the pooled vectors, -1 to 1; it is not a probability, so the verdict is ``uncalibrated``.
    Raises :class:`QuestionError`, :class:`indexer.filters.FilterError`, :class:`indexer.models.ModelError`.
    """
    _check(query)
    where = condition(query.filter) if query.filter else None
    encoder = collection.encoder
    began = time.perf_counter()  # after the model is there: loading it once is not part of a question
    question = encoder.question(query.question).pooled[0]
    with collection.view() as view:
        collection.check_contract(view.snapshot, encoder)  # it may have been encoded again since the question was
        allowed = view.snapshot.keys_where(*where) if where else None
        ranked = _ranked(view, question, query.offset + query.limit, allowed)[query.offset :]
        passages = view.snapshot.passages([key for key, _ in ranked])
    results = tuple(Result(passages[key], score, signals={"cosine": score} if query.explain else None) for key, score in ranked)
    took_ms = (time.perf_counter() - began) * 1000
    return Answer(query.question, "uncalibrated", view.vectors.exact, took_ms, view.snapshot.generation, results)


def page_of(document: Document, position: int) -> int | None:
    """The page, from 1, that a character of the canonical text stands on; None for documents without pages."""
    return bisect_right(document.pages, position) if document.pages else None


def _ranked(view: View, question: Floats, count: int, allowed: Keys | None) -> list[tuple[int, float]]:
    """The best ``count`` passage keys with their scores: best first, ties by passage id.

    Scores are rounded to six digits, below which equal texts differ by where their vectors lie in memory.
    """
    more = count + 16
    while True:
        near = view.vectors.nearest(question, more, allowed)
        scores = [round(min(float(cosine), 1.0), 6) for cosine in near.cosines]
        if len(scores) < more or scores[-1] < scores[count - 1]:  # no tie reaches beyond what was fetched
            break
        more *= 2
    keys = near.keys.tolist()
    ids = view.snapshot.passage_ids(keys)
    return sorted(zip(keys, scores, strict=True), key=lambda pair: (-pair[1], ids[pair[0]]))[:count]


def _check(query: Query) -> None:
    if not query.question.strip():
        raise QuestionError("the question is empty; ask something, such as: who spoke at the meeting?")
    if len(query.question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"the question has {len(query.question)} characters, at most {MAX_QUESTION_CHARS} are read; ask it in fewer words"
        )
    if any("\ud800" <= char <= "\udfff" for char in query.question):
        raise QuestionError("the question holds half of a surrogate pair, which is not text; send valid Unicode")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise QuestionError(f"limit is {query.limit}; it can be 1 to {MAX_LIMIT}")
    if query.offset < 0 or query.offset + query.limit > MAX_REACH:
        raise QuestionError(f"offset and limit together reach {query.offset + query.limit}; they can reach up to {MAX_REACH}")
