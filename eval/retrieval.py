"""Retrieval: how high the documents, or paragraphs, that answer a judged set's questions are ranked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.errors import EvalError

if TYPE_CHECKING:  # these are loaded when they are first used: --help must be instant
    from eval.credit import Credit
    from eval.measures import Estimate, Floats
    from eval.sets import JudgedSet, Question
    from indexer import Collection, Summary

PAGE = 100  # passages a search call returns at most
REACH = 1000  # and how far down they can be asked for: offset + limit

Told = Callable[[str, int, int], None]  # what is done, how much of it, and of how much


class Asked(NamedTuple):
    """A question's ranking of judged units, best first, and how long its first search call took."""

    units: list[str]
    took_ms: float


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

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values, measures to 4 digits and times to 2."""
        plain = {
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
        return plain | {"took_ms": {name: round(value, 2) for name, value in asdict(self.took_ms).items()}}


def ask(collection: Collection, question: str, credit: Credit) -> Asked:
    """Search page by page until as many units are ranked as any measure looks at, or no more passages can be had."""
    from eval.credit import Hit, ranking
    from eval.measures import DEPTH
    from indexer import Query, search

    hits: list[Hit] = []
    units: list[str] = []
    took_ms = 0.0
    for offset in range(0, REACH, PAGE):
        answer = search(collection, Query(question, limit=PAGE, offset=offset))
        took_ms = took_ms or answer.took_ms
        hits += [Hit(one.passage.document.id, one.passage.start, one.passage.end) for one in answer.results]
        units = ranking(hits, credit)
        if len(units) >= DEPTH or len(answer.results) < PAGE:
            break
    return Asked(units[:DEPTH], took_ms)


def measure(collection: Collection, judged: JudgedSet, unread: int = 0, told: Told = lambda *_: None) -> Report:
    """Ask every answerable question, one at a time. Raises :class:`indexer.PassagesError`."""
    from eval.measures import estimate, per_question

    credit, questions = _credit(judged), judged.answerable
    asked: dict[str, Asked] = {}
    for question in questions:
        asked[question.id] = ask(collection, question.text, credit)
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
    )


def index(collection: Collection, files: Sequence[Path], told: Told = lambda *_: None) -> Summary:
    """Bring the collection up to date with ``files``.

    Raises :class:`EvalError`, with nothing changed, if it holds other documents, which would be searched too.
    """
    from indexer import Sync

    if others := _others(collection, files):
        raise EvalError(
            f"the index in {collection.folder} holds {others} documents that are not of this set; "
            "name another folder with --index, or name their file with --corpus to search them too"
        )
    return Sync(collection, lambda one: told("indexing", one.done_bytes, one.total_bytes)).run(files)


def _others(collection: Collection, files: Sequence[Path]) -> int:
    """How many of the collection's documents came from elsewhere than ``files``."""
    paths = {str(file.resolve()) for file in files}
    with collection.view() as view:
        ours = [source.key for source in view.snapshot.sources() if source.path in paths]
        return view.snapshot.counts().documents - sum(len(view.snapshot.documents_of(key)) for key in ours)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A judged set in BEIR layout.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    index_folder: Annotated[
        Path | None, typer.Option("--index", metavar="FOLDER", help="Keep the index here, for the next run.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model's folder, or a name in the local cache.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="JSON lines, or a folder of them, to search too. Repeatable.")
    ] = None,
) -> None:
    """Measure nDCG@10, success@1, recall@100 and MRR over a judged set's questions."""
    from indexer import DEFAULT_MODEL, PassagesError

    try:
        report = run(folder, index_folder, model or DEFAULT_MODEL, corpus or [])
    except (EvalError, PassagesError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    else:
        _show(report)


def run(folder: Path, index_folder: Path | None, model: str, named: Sequence[Path]) -> Report:
    """Read, index and measure the set in ``folder``. Raises :class:`EvalError`, :class:`indexer.PassagesError`."""
    from eval.corpus import corpus_files
    from eval.sets import read_set
    from indexer import Collection

    judged = read_set(folder)
    with _kept_or_temporary(index_folder) as place, _progress() as told:
        collection = Collection(place, model, create=True)  # first, since only an empty folder becomes an index
        try:
            files = corpus_files(judged, named, place)
            summary = index(collection, files, told)
            for one in summary.failed[:5]:
                typer.echo(f"not indexed: {one.path} {one.record}: {one.reason}", err=True)
            return measure(collection, judged, len(summary.failed), told)
        finally:
            collection.close()


@contextmanager
def _kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="passages-eval-") as temporary:
        yield Path(temporary)


@contextmanager
def _progress() -> Iterator[Told]:
    """Bars on standard error, so that standard output holds the outcome alone."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    bars = Progress(console=Console(stderr=True))

    def told(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what)
            bars.start()  # not before, so that an early error stands alone
        bars.update(tasks[what], completed=done, total=total)

    try:
        yield told
    finally:
        if tasks:
            bars.stop()


def _credit(judged: JudgedSet) -> Credit:
    from eval.credit import by_document, by_paragraph

    return by_document if judged.paragraphs is None else by_paragraph(judged.paragraphs)


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
