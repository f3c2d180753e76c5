"""Evidence: how often the sentence that is marked holds the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, interval, model_of, show

if TYPE_CHECKING:
    from eval.answers import Span
    from eval.measures import Estimate
    from eval.sets import JudgedSet
    from indexer import Collection, Result

DEPTH = 10  # results that are looked at


@dataclass(frozen=True, slots=True)
class Report:
    """``held``: over questions with an answering passage among the first results, whether the evidence of the highest of these
    holds an answer, whole. ``first``: over all questions, whether the evidence of the first result does. ``not_found`` have no
    answering passage among the first results."""

    set: str
    questions: int
    not_found: int
    held: Estimate
    first: Estimate

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        plain = asdict(self) | {name: getattr(self, name)._asdict() for name in ("held", "first")}
        return {"what": "evidence", **plain}


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None
) -> None:
    """Measure how often the evidence sentence holds an answer."""
    from eval.answers import read_answers
    from eval.corpus import corpus_files
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        with opened(judged, index_folder, model_of(model), corpus or []) as (collection, _, told):
            answers = read_answers(judged, corpus_files(judged, corpus or [], collection.folder))
            record = measure(collection, judged, answers, told).as_json()
    head = ("what", "questions", "share", "95 % interval")
    found = str(record["questions"] - record["not_found"])
    show(
        record, as_json,
        lambda: [head, ("of the passage found", found, *interval(record["held"])),
                 ("of the first result", str(record["questions"]), *interval(record["first"]))],
    )  # fmt: skip


def measure(
    collection: Collection, judged: JudgedSet, answers: dict[str, Sequence[Span]] | Any, told: Told = lambda *_: None
) -> Report:
    """Ask every answerable question whose answer's place is known. Raises :class:`indexer.PassagesError`."""
    from eval.rates import share
    from indexer import Query, search

    questions = [one for one in judged.answerable if answers.get(one.id)]
    found: list[bool | None] = []
    first = 0
    for number, question in enumerate(questions, 1):
        spans = answers[question.id]
        results = search(collection, Query(question.text, limit=DEPTH)).results
        found.append(next((_holds(one, spans) for one in results if _answers(one, spans)), None))
        first += bool(results) and _holds(results[0], spans)
        told("asking", number, len(questions))
    known = [one for one in found if one is not None]
    return Report(
        judged.name, len(questions), len(questions) - len(known), share(sum(known), len(known)), share(first, len(questions))
    )


def _answers(result: Result, spans: Sequence[Span]) -> bool:
    """Whether an answer stands in the passage."""
    passage = result.passage
    return any(_within(span, passage.document.id, passage.start, passage.end) for span in spans)


def _holds(result: Result, spans: Sequence[Span]) -> bool:
    """Whether an answer stands in the evidence, whole."""
    evidence = result.evidence
    document = result.passage.document.id
    return evidence is not None and any(_within(span, document, evidence.start, evidence.end) for span in spans)


def _within(span: Span, document: str, start: int, end: int) -> bool:
    return span.document == document and start <= span.start and span.end <= end
