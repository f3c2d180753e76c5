"""Retrieval: how high the documents, or paragraphs, that answer a judged set's questions are ranked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of

if TYPE_CHECKING:  # these are loaded when they are first used: --help must be instant
    from eval.credit import Credit
    from eval.measures import Estimate, Floats
    from eval.sets import JudgedSet, Question
    from indexer import Collection, Result

PAGE = 100  # passages a search call returns at most
REACH = 1000  # and how far down they can be asked for: offset + limit
SHOWN = 3  # results of each question that a report can show
SHOWN_CHARS = 300


class Asked(NamedTuple):
    """A question's ranking of judged units, best first, how long its first search call took, and its first results."""

    units: list[str]
    took_ms: float
    first: tuple[Result, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was searched: ``unread`` counts the records that could not be indexed."""

    model: str
    documents: int
    passages: int
    unread: int


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of a search call with the largest page: median and 95th percentile over the questions."""

    p50: float
    p95: float


class Kind(NamedTuple):
    """The questions of one kind."""

    questions: int
    measures: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome. ``questions`` were measured, ``unanswerable`` left out; ``by_kind`` is None where a set has no kinds."""

    set: str
    corpus: Corpus
    questions: int
    unanswerable: int
    measures: dict[str, Estimate]
    by_kind: dict[str, Kind] | None
    took_ms: Times
    per_question: list[dict[str, Any]]

    def as_json(self, per_question: bool = False) -> dict[str, Any]:
        """The outcome as JSON values, measures to 4 digits and times to 2; each question too, if so asked."""
        plain: dict[str, Any] = {
            "what": "retrieval",
            "set": self.set,
            **asdict(self.corpus),
            "questions": self.questions,
            "unanswerable": self.unanswerable,
            "measures": _plain(self.measures),
        }
        if self.by_kind is not None:
            plain["by_kind"] = {
                kind: {"questions": count, **_plain(measures)} for kind, (count, measures) in self.by_kind.items()
            }
        plain["took_ms"] = {name: round(value, 2) for name, value in asdict(self.took_ms).items()}
        return plain | ({"per_question": self.per_question} if per_question else {})


def ask(collection: Collection, question: str, credit: Credit, readings: tuple[str, ...] | None = None) -> Asked:
    """Search page by page until as many units are ranked as any measure looks at, or no more passages can be had."""
    from eval.credit import places, ranking
    from eval.measures import DEPTH
    from indexer import READINGS, Query, search

    results: list[Result] = []
    units: list[str] = []
    took_ms = 0.0
    for offset in range(0, REACH, PAGE):
        answer = search(collection, Query(question, limit=PAGE, offset=offset, readings=readings or READINGS))
        took_ms = took_ms or answer.took_ms
        results += answer.results
        units = ranking([hit for one in results for hit in places(one)], credit)
        if len(units) >= DEPTH or len(answer.results) < PAGE:
            break
    return Asked(units[:DEPTH], took_ms, tuple(results[:SHOWN]))


def measure(
    collection: Collection,
    judged: JudgedSet,
    unread: int = 0,
    told: Told = lambda *_: None,
    readings: tuple[str, ...] | None = None,
) -> Report:
    """Ask every answerable question, one at a time. Raises :class:`indexer.PassagesError`."""
    from eval.credit import credit_of
    from eval.measures import estimate, per_question

    credit, questions = credit_of(judged), judged.answerable
    asked: dict[str, Asked] = {}
    for question in questions:
        asked[question.id] = ask(collection, question.text, credit, readings)
        told("asking", len(asked), len(questions))
    values = per_question({question: one.units for question, one in asked.items()}, judged.judgements)
    return Report(
        set=judged.name,
        corpus=_corpus(collection, unread),
        questions=len(questions),
        unanswerable=len(judged.questions) - len(questions),
        measures={name: estimate(some) for name, some in values.items()},
        by_kind=_by_kind(questions, values),
        took_ms=_times([one.took_ms for one in asked.values()]),
        per_question=[
            _told(one, asked[one.id], {name: some[at] for name, some in values.items()}) for at, one in enumerate(questions)
        ],
    )


def column(report: Report, measure: str) -> Floats:
    """A measure of each question, float64 [questions]."""
    import numpy as np

    return np.array([one[measure] for one in report.per_question])


def _told(question: Question, asked: Asked, values: dict[str, Any]) -> dict[str, Any]:
    """A question's outcome for a report."""
    first = [
        {
            "document": one.passage.document.id, "start": one.passage.start, "end": one.passage.end,
            "score": one.score, "text": one.passage.text[:SHOWN_CHARS],
        }
        for one in asked.first
    ]  # fmt: skip
    measured = {name: round(float(value), 4) for name, value in values.items()}
    told = {"id": question.id, "text": question.text, "kind": question.kind, **measured}
    return told | {"took_ms": round(asked.took_ms, 2), "first": first}


def command(
    folder: Folder,
    as_json: AsJson = False,
    index_folder: IndexFolder = None,
    model: Model = None,
    corpus: Corpora = None,
    per_question: Annotated[
        bool, typer.Option("--per-question", help="With --json: each question too, with what was returned.")
    ] = False,
) -> None:
    """Measure nDCG@10, success@1, recall@100 and MRR over a judged set's questions."""
    with errors():
        report = run(folder, index_folder, model_of(model), corpus or [])
    if as_json:
        typer.echo(json.dumps(report.as_json(per_question)))
    else:
        _show(report)


def run(folder: Path, index_folder: Path | None, model: str, named: Sequence[Path]) -> Report:
    """Read, index and measure the set in ``folder``. Raises :class:`EvalError`, :class:`indexer.PassagesError`."""
    import ir_measures  # noqa: F401  if it is missing, that is told before an hour of indexing

    from eval.sets import read_set

    judged = read_set(folder)
    with opened(judged, index_folder, model, named) as (collection, unread, told):
        return measure(collection, judged, unread, told)


def _corpus(collection: Collection, unread: int) -> Corpus:
    with collection.view() as view:
        counts, contract = view.snapshot.counts(), view.snapshot.contract
    return Corpus(contract.name if contract else collection.model, counts.documents, counts.passages, unread)


def _by_kind(questions: Sequence[Question], values: dict[str, Floats]) -> dict[str, Kind] | None:
    from eval.measures import estimate

    kinds = sorted({one.kind for one in questions if one.kind is not None})
    places = {kind: [at for at, one in enumerate(questions) if one.kind == kind] for kind in kinds}
    return {
        kind: Kind(len(some), {name: estimate(values[name][some]) for name in ("nDCG@10", "success@1")})
        for kind, some in places.items()
    } or None


def _times(took_ms: Sequence[float]) -> Times:
    import numpy as np

    p50, p95 = np.percentile(took_ms, [50, 95])
    return Times(float(p50), float(p95))


def _plain(measures: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: {part: round(value, 4) for part, value in one._asdict().items()} for name, one in measures.items()}


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "questions", "measure", "value", "95 % interval", title=f"{report.set}, {report.corpus.model}")
    groups = {"all": Kind(report.questions, report.measures)} | (report.by_kind or {})
    for group, one in groups.items():
        for name, (value, low, high) in one.measures.items():
            table.add_row(group, str(one.questions), name, f"{value:.3f}", f"{low:.3f} to {high:.3f}")
    console = Console()
    console.print(table)
    console.print(
        f"{report.corpus.documents:,} documents, {report.corpus.passages:,} passages, {report.corpus.unread} not indexed; "
        f"{report.unanswerable} questions without an answer left out; "
        f"took {report.took_ms.p50:.1f} ms (median), {report.took_ms.p95:.1f} ms (95th percentile)",
        highlight=False,
    )
