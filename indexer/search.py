"""The one function that a question goes through; HTTP, the command line and the evaluation all call it."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from indexer.candidates import Ranker, Ranks, Scored, Stages
from indexer.documents import Document
from indexer.encoder import TooLongError
from indexer.engines.contract import Engine, View
from indexer.errors import ChangedError
from indexer.evidence import evidence, matches, shared
from indexer.facets import HITS, Facet, Fields, check_fields, counted
from indexer.filters import FilterError, condition
from indexer.question import Asked, QuestionError, occurs, parse
from indexer.ranking import FALLBACK, READINGS, Calibration, Verdict, calibration_of, verdict, weights
from indexer.reading import Encoding, Question, encode, phrase_forms, read
from indexer.records import Copy, StoredPassage
from indexer.sentences import Span
from indexer.words import own_terms

_AGAIN = 2
MAX_LIMIT = 100
MAX_REACH = 1000  # offset + limit
MAX_QUESTION_CHARS = 4000  # a bound before tokens are counted; the model's own limit is lower


@dataclass(frozen=True, slots=True)
class Query:
    """A question and how much of the answer to return. ``filter`` is described in :mod:`indexer.filters`, what a question may
    hold in :mod:`indexer.question`.

    ``min_score`` leaves out results below it. ``group`` "document" gives each document's best passage alone. ``readings`` are
    what ranks; fewer than all is for measurements. ``timeout_s`` is how many seconds the search may take. ``facets`` are fields
    whose values are counted, True: those worth offering.
    """

    question: str
    limit: int = 10
    offset: int = 0
    filter: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    min_score: float = 0.0
    group: Literal["document"] | None = None
    readings: tuple[str, ...] = READINGS
    timeout_s: float | None = None
    facets: Fields = ()


class MatchedTerm(NamedTuple):
    """A word of the question, its idf, and whether the passage has it."""

    word: str
    idf: float
    held: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A passage. ``evidence`` and ``matches`` are characters of the document's canonical text.

    ``score`` is the probability that it answers the question (if the verdict is not ``uncalibrated``). ``also_in`` are the
    other places of the same text, ``others`` (when grouped) how many more passages of its document were found, ``verdict`` what
    the collection's would be if this were its best passage. On explain:
    ``signals``, whose weighted sum is the score's logit; ``terms``; ``ranks`` in the lists of candidates.
    """

    passage: StoredPassage
    score: float
    evidence: Span | None = None
    matches: tuple[Span, ...] = ()
    also_in: tuple[StoredPassage, ...] = ()
    others: int | None = None
    verdict: Verdict = "uncalibrated"
    signals: Mapping[str, float] | None = None
    terms: tuple[MatchedTerm, ...] | None = None
    ranks: Ranks | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Ranked passages for a question. ``generation`` is the commit that all of it was read from, ``stages`` are milliseconds by
    stage. On explain: the ``weights`` of the signals, "bias" among them. If they were asked for: the ``facets`` of the best
    :data:`indexer.facets.HITS` results, whatever page is shown."""

    question: str
    verdict: Verdict
    exact: bool
    took_ms: float
    generation: int
    results: tuple[Result, ...]
    stages: Mapping[str, float]
    weights: Mapping[str, float] | None = None
    facets: tuple[Facet, ...] | None = None


class Hit(NamedTuple):
    """A distinct text in the ranking: its best passage and, when grouped, how many more passages of its document were there."""

    scored: Scored
    others: int | None = None


def search(collection: Engine, query: Query, encoding: Encoding | None = None) -> Answer:
    """The passages that answer the question, best first, ties by passage id. ``encoding`` is what :func:`encoded` made of the
    query, here or in another process; without it the question is encoded first.

    Raises what :func:`encoded` raises, and :class:`DeadlineError`.
    """
    if encoding is None:
        encoding = encoded(collection, query)
    stages = _stages(query, encoding)  # of all tries: together they have the query's time
    for _ in range(_AGAIN):
        with suppress(ChangedError):  # a document was replaced between two looks at it, where no commit is held
            return _search(collection, query, encoding, stages)
    return _search(collection, query, encoding, stages)


def _search(collection: Engine, query: Query, encoding: Encoding, stages: Stages) -> Answer:
    with opened(collection, query, encoding, stages) as session:
        end = query.offset + query.limit
        best, hits = session.hits(max(end, HITS) if query.facets else end)
        with stages.timed("results"):
            results = tuple(session.results(hits[query.offset : end]))
        facets = session.facets(hits[:HITS]) if query.facets else None
        return Answer(
            query.question, session.verdict(best), session.view.exact, stages.total_ms,
            session.view.snapshot.generation, results, dict(stages.took_ms),
            weights=dict(session.ranker.weights) if query.explain else None, facets=facets,
        )  # fmt: skip


def encoded(collection: Engine, query: Query) -> Encoding:
    """The query's question as the model reads it.

    Raises :class:`QuestionError`, :class:`indexer.filters.FilterError`, :class:`indexer.models.ModelError`.
    """
    asked = _checked(query)
    return encode(collection.encoder, asked)


def all_encoded(collection: Engine, queries: Sequence[Query]) -> list[Encoding]:
    """The question of each query, encoded together; what that took is shared among them. Raises what :func:`encoded` raises,
    with the number of the query."""
    encoder, asked = collection.encoder, []
    for number, query in enumerate(queries):
        try:
            asked.append(_checked(query))
            encoder.check_question(asked[-1].text)
        except (QuestionError, FilterError, TooLongError) as error:
            raise type(error)(f"searches.{number}: {error}") from error
    began = time.perf_counter()
    encoder.questions([one.text for one in asked])  # which remembers them
    share_ms = (time.perf_counter() - began) * 1000 / max(1, len(asked))
    encodings = [encode(encoder, one) for one in asked]
    return [one._replace(took_ms=one.took_ms + share_ms) for one in encodings]


@contextmanager
def opened(
    collection: Engine, query: Query, encoding: Encoding | None = None, stages: Stages | None = None
) -> Iterator[Session]:
    """The query over the latest commit. The question is encoded before: nothing slow happens while a commit is held. ``stages``
    are those of the tries before this one."""
    if encoding is None:
        encoding = encoded(collection, query)
    if stages is None:
        stages = _stages(query, encoding)
    stages.check()
    with collection.view(stages.left_s) as whole:
        view: View = whole
        collection.check_contract(view.snapshot, encoding.contract)  # it may have been encoded again since the question was
        known = calibration_of(view.snapshot.contract or encoding.contract)
        calibration = known if collection.readings == READINGS else None  # it was measured with all of them
        with stages.timed("words"):
            question = read(encoding, view, view.snapshot.languages())
        with stages.timed("filter"):
            view = _narrowed(view, encoding.asked, _filters(query.filter, encoding.asked))
        constants = known or FALLBACK
        readings = tuple(one for one in query.readings if one in collection.readings) or collection.readings
        weighing = weights(constants, readings)
        ranker = Ranker(view, question, weighing, constants, readings, stages)
        yield Session(query, view, calibration, ranker)


class Session(NamedTuple):
    """A query over one commit."""

    query: Query
    view: View
    calibration: Calibration | None
    ranker: Ranker

    @property
    def question(self) -> Question:
        """What is asked, as this commit's words weigh it."""
        return self.ranker.question

    def hits(self, wanted: int) -> tuple[float | None, list[Hit]]:
        """The best score there is (None without a passage), and the best ``wanted`` distinct texts, or documents, of at least
        ``min_score``; fewer only if the candidates hold no more."""
        found: list[Hit] = []
        best: float | None = None
        texts: set[bytes] = set()
        documents: set[int] = set()
        for block in self.ranker.blocks():
            distinct = self._distinct(block, texts)
            if best is None and distinct:
                best = distinct[0].scored.score
            hits = [hit for hit in distinct if hit.scored.score >= self.query.min_score]
            found += self._best_of_documents(hits, documents) if self.query.group else hits
            if len(found) >= wanted:
                break
        return best, found[:wanted]

    def results(self, hits: Sequence[Hit]) -> Iterator[Result]:
        """The hits as they are returned."""
        shown = self._shown(hits)
        keys = {hit.scored.candidate.key for hit, _ in shown} | {copy.key for _, some in shown for copy in some}
        passages = self.view.snapshot.found(sorted(keys))
        for hit, some in shown:
            yield self._result(hit, passages, [passages[copy.key] for copy in some])

    def facets(self, hits: Sequence[Hit]) -> tuple[Facet, ...]:
        """The facets of these hits, as they are returned."""
        with self.ranker.stages.timed("facets"):
            keys = [hit.scored.candidate.key for hit, _ in self._shown(hits)]
            return counted(self.view.snapshot.described_of(keys), self.query.facets, self.query.filter.keys())

    def verdict(self, best: float | None) -> Verdict:
        """What the best passage says, whatever page is shown and whatever score is asked for."""
        return verdict(best, self.calibration)

    def _distinct(self, block: Sequence[Scored], texts: set[bytes]) -> list[Hit]:
        """Each text of the block once; those of ``texts`` were there before."""
        firsts: dict[bytes, Scored] = {}
        for row in block:
            if row.candidate.content not in texts:
                firsts.setdefault(row.candidate.content, row)
        texts.update(firsts)
        return [Hit(row) for row in self._verified(list(firsts.values()))]

    def _shown(self, hits: Sequence[Hit]) -> list[tuple[Hit, list[Copy]]]:
        copies = self.view.snapshot.copies({hit.scored.candidate.content for hit in hits})
        within = self.view.within([copy.key for some in copies.values() for copy in some])
        return [
            self._with_copies(hit, [copy for copy in copies[hit.scored.candidate.content] if copy.key in within])
            for hit in hits
        ]

    def _with_copies(self, hit: Hit, shown: list[Copy]) -> tuple[Hit, list[Copy]]:
        """The hit and the other passages with its text. Of those that share its context too, which tie, the first by id stands
        for all, candidate or not."""
        row = hit.scored
        same = [] if self.query.group else [copy for copy in shown if copy.input == row.candidate.input]
        best = same[0] if same else None  # not when grouped: it may be of another document, which has a result of its own
        candidate = row.candidate._replace(key=best.key, id=best.id) if best else row.candidate
        return hit._replace(scored=row._replace(candidate=candidate)), [copy for copy in shown if copy.key != candidate.key]

    def _verified(self, rows: list[Scored]) -> list[Scored]:
        """Those that hold every phrase verbatim, and nothing excluded."""
        asked = self.question.asked
        if not asked.phrases and not asked.excluded:
            return rows
        with self.ranker.stages.timed("verify"):
            passages = self.view.snapshot.found([row.candidate.key for row in rows])
            return [row for row in rows if holds(asked, passages[row.candidate.key].text)]

    def _best_of_documents(self, hits: Sequence[Hit], documents: set[int]) -> list[Hit]:
        of = self.view.snapshot.document_keys([hit.scored.candidate.key for hit in hits])
        groups: dict[int, list[Hit]] = {}
        for hit in hits:
            groups.setdefault(of[hit.scored.candidate.key], []).append(hit)
        fresh = [group for document, group in groups.items() if document not in documents]
        documents.update(groups)
        return [group[0]._replace(others=len(group) - 1) for group in fresh]

    def _result(self, hit: Hit, passages: Mapping[int, StoredPassage], copies: Sequence[StoredPassage]) -> Result:
        row, question = hit.scored, self.question
        passage = passages[row.candidate.key]
        found = shared(question, passage.text, own_terms(row.candidate.terms))
        result = Result(
            passage,
            row.score,
            evidence(question, passage, row.candidate.tokens, found, row.met),
            matches(question, passage, found),
            tuple(copies),
            hit.others,
            self.verdict(row.score),
        )
        if not self.query.explain:
            return result
        return replace(result, signals=row.signals, terms=matched_terms(question, row), ranks=row.ranks)


def holds(asked: Asked, text: str) -> bool:
    """Whether the text has every phrase verbatim, and nothing that is excluded."""
    return all(occurs(phrase, text) for phrase in asked.phrases) and not any(occurs(one, text) for one in asked.excluded)


def matched_terms(question: Question, row: Scored) -> tuple[MatchedTerm, ...]:
    """The question's words with their idf, and whether the passage has them."""
    text = question.asked.text
    return tuple(
        MatchedTerm(text[word.start : word.end], round(float(weight), 4), bool(held))
        for word, weight, held in zip(question.words, question.rarity, row.held, strict=True)
    )


def page_of(document: Document, position: int) -> int | None:
    """The page, from 1, that a character of the canonical text stands on; None for documents without pages."""
    return bisect_right(document.pages, position) if document.pages else None


def _stages(query: Query, encoding: Encoding) -> Stages:
    return Stages(query.timeout_s, {"encode": encoding.took_ms})


def _filters(where: Mapping[str, Any], asked: Asked) -> list[Mapping[str, Any]]:
    """What the filter and the question's dates ask of a document.

    A document may be dated by a year or a month alone, which as text stands before the first day of it, but is not earlier.
    """
    before = asked.before.removesuffix("-01").removesuffix("-01") if asked.before else None
    dates = {"gt": asked.after, "lt": before}
    given = {sign: date for sign, date in dates.items() if date is not None}
    return [some for some in (where, {"date": given} if given else {}) if some]


def _narrowed(view: View, asked: Asked, filters: Sequence[Mapping[str, Any]]) -> View:
    """The passages that filter, dates and phrases leave.

    A phrase goes to the word index, so it is found wherever it occurs; what stands there in other forms is left out later.
    """
    languages = view.snapshot.languages()
    phrases = [forms for phrase in asked.phrases if (forms := phrase_forms(phrase, languages)) is not None]
    return view.narrowed(filters, phrases) if filters or phrases else view


def _checked(query: Query) -> Asked:
    """What is asked. Raises what can be told before anything is encoded."""
    _check(query)
    asked = parse(query.question)
    for one in _filters(query.filter, asked):
        condition(one)
    check_fields(query.facets)
    return asked


def _check(query: Query) -> None:
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
    if not 0 <= query.min_score <= 1:
        raise QuestionError(f"min_score is {query.min_score}; it is a probability, 0 to 1")
    if not query.readings or not set(query.readings) <= set(READINGS):
        raise QuestionError(f"readings are some of {', '.join(READINGS)}")
