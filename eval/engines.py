"""Engines: whether a copy of an index on a Milvus server answers as the folder does, and how fast."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.indexes import Told, index, kept_or_temporary, progress
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of

if TYPE_CHECKING:  # these are loaded when they are first used: --help must be instant
    from eval.credit import Credit
    from eval.sets import JudgedSet, Question
    from indexer import Collection, Engine

TOP = 10


class Side(NamedTuple):
    """What one engine made of the questions: ids of the first results of each, verdicts, nDCG@10, and milliseconds."""

    tops: list[list[str]]
    verdicts: list[str]
    ndcg: list[float]
    took_ms: list[float]


@dataclass(frozen=True, slots=True)
class Report:
    """``overlap`` is the mean share of the folder's first ten that are among the server's, ``same_order`` the share of
    questions whose first ten are the same in the same order; times are medians."""

    set: str
    documents: int
    passages: int
    questions: int
    copy_s: float
    overlap: float
    same_order: float
    same_verdict: float
    ndcg_local: float
    ndcg_there: float
    p50_local_ms: float
    p50_there_ms: float
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values, to four digits."""
        return {
            name: round(value, 4) if isinstance(value, float) else list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def command(
    folder: Folder,
    to: Annotated[str, typer.Option(help="A collection on a Milvus server, which is made: milvus://HOST:19530/COLLECTION.")],
    as_json: AsJson = False,
    index_folder: IndexFolder = None,
    model: Model = None,
    corpus: Corpora = None,
    paragraphs: Annotated[
        int, typer.Option(min=1, help="About how many passages: the documents that answer, then others in their order.")
    ] = 5000,
) -> None:
    """Copy a judged set's documents to a Milvus server, and compare what both engines answer."""
    with errors():
        report = run(folder, to, index_folder, model_of(model), corpus or [], paragraphs)
    if as_json:
        typer.echo(json.dumps(report.as_json()))
        return
    for name, value in report.as_json().items():
        typer.echo(f"{name:14}{value}")


def run(folder: Path, to: str, index_folder: Path | None, model: str, named: Sequence[Path], paragraphs: int) -> Report:
    """Index, copy and ask. Raises :class:`EvalError`, :class:`indexer.PassagesError`."""
    from eval.credit import credit_of
    from eval.sets import read_set
    from indexer import Collection, copy, open_engine, where_of

    judged = read_set(folder)
    with (
        kept_or_temporary(index_folder) as place,
        progress() as told,
        Collection(place, model, create=True) as local,
        open_engine(where_of(to), model, create=True) as there,
    ):
        _fill(local, judged, named, paragraphs, told)
        began = time.monotonic()
        copy(local, there, told)
        copy_s = time.monotonic() - began
        sides = [_ask(one, judged.answerable, credit_of(judged), judged) for one in (local, there)]
        with local.view() as view:
            documents, passages = view.snapshot.sizes()
        return _report(judged, (documents, passages), copy_s, sides, there.notes)


def _fill(local: Collection, judged: JudgedSet, named: Sequence[Path], paragraphs: int, told: Told) -> None:
    """Index the documents that answer, and others until there are enough passages."""
    from eval.corpus import corpus_files, text_lengths, without

    files = corpus_files(judged, named, local.folder)
    wanted = judged.documents_of({one.unit for one in judged.judgements if one.grade > 0})
    ids = [one for file in files for one in text_lengths(file)]
    chosen, count = set(), 0
    for one in sorted(ids, key=lambda one: one not in wanted):
        if count < paragraphs:
            chosen.add(one)
            count += len(judged.paragraphs.get(one, ())) if judged.paragraphs is not None else 1
    index(local, [without(file, set(ids) - chosen, local.folder) for file in files], told)


def _ask(engine: Engine, questions: Sequence[Question], credit: Credit, judged: JudgedSet) -> Side:
    from eval.credit import places, ranking
    from eval.measures import per_question
    from indexer import Query, search

    tops: list[list[str]] = []
    verdicts: list[str] = []
    took: list[float] = []
    units: dict[str, list[str]] = {}
    search(engine, Query(questions[0].text))  # what is loaded once is no question's
    for one in questions:
        answer = search(engine, Query(one.text, limit=100))
        tops.append([result.passage.id for result in answer.results[:TOP]])
        verdicts.append(answer.verdict)
        took.append(answer.took_ms)
        units[one.id] = ranking([hit for result in answer.results for hit in places(result)], credit)
    return Side(tops, verdicts, list(map(float, per_question(units, judged.judgements)["nDCG@10"])), took)


def _report(judged: JudgedSet, sizes: tuple[int, int], copy_s: float, sides: Sequence[Side], notes: tuple[str, ...]) -> Report:
    from statistics import mean, median

    local, there = sides
    pairs = list(zip(local.tops, there.tops, strict=True))
    return Report(
        judged.name, *sizes, len(pairs), copy_s,
        mean(len(set(a) & set(b)) / max(1, len(a)) for a, b in pairs), mean(a == b for a, b in pairs),
        mean(a == b for a, b in zip(local.verdicts, there.verdicts, strict=True)),
        mean(local.ndcg), mean(there.ndcg), median(local.took_ms), median(there.took_ms), notes,
    )  # fmt: skip
