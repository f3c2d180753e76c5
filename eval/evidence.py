"""Evidence: how often the sentence that is marked holds the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, interval, model_of, show

if TYPE_CHECKING:
    from eval.answers import Span
    from eval.credit import Hit
    from eval.measures import Estimate
    from eval.sets import JudgedSet
    from indexer import Collection, Result

DEPTH = 10  # results that are looked at


@dataclass(frozen=True, slots=True)
class Report:
    """``held``: over questions with an answering passage among the first results, whether the evidence of the highest of these
    holds an answer, whole. ``first``: over all questions, whether the evidence of the first result does. ``not_found`` have no
    answering passage among the first results. ``unplaced`` were left out: the set has no place of an answer for them."""

    set: str
    questions: int
    not_found: int
    unplaced: int
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
    rows = [
        ("of the passage found", found, *interval(record["held"])),
        ("of the first result", str(record["questions"]), *interval(record["first"])),
        (f"no passage among {DEPTH}", str(record["not_found"]), "", ""),
        ("left out, place unknown", str(record["unplaced"]), "", ""),
    ]
    show(record, as_json, lambda: [head, *rows])


def measure(
    collection: Collection,
    judged: JudgedSet,
    answers: Mapping[str, Sequence[Span]],
    told: Told = lambda *_: None,
    readings: tuple[str, ...] | None = None,
) -> Report:
    """Ask every answerable question whose answer's place is known. Raises :class:`indexer.PassagesError`."""
    from eval.rates import share
    from indexer import READINGS, Query, search

    questions = [one for one in judged.answerable if answers.get(one.id)]
    found: list[bool | None] = []
    first = 0
    for number, question in enumerate(questions, 1):
        spans = answers[question.id]
        results = search(collection, Query(question.text, limit=DEPTH, readings=readings or READINGS)).results
        found.append(next((_holds(one, spans) for one in results if _answers(one, spans)), None))
        first += bool(results) and _holds(results[0], spans)
        told("asking", number, len(questions))
    known = [one for one in found if one is not None]
    return Report(
        set=judged.name,
        questions=len(questions),
        not_found=len(questions) - len(known),
        unplaced=len(judged.answerable) - len(questions),
        held=share(sum(known), len(known)),
        first=share(first, len(questions)),
    )


def _answers(result: Result, spans: Sequence[Span]) -> bool:
    """Whether an answer stands in the passage, in any of its places."""
    from eval.credit import places

    return any(_within(span, place) for place in places(result) for span in spans)


def _holds(result: Result, spans: Sequence[Span]) -> bool:
    """Whether an answer stands in the evidence, whole. The same text elsewhere has the same sentence."""
    from eval.credit import Hit, places

    if result.evidence is None:
        return False
    start, end = (at - result.passage.start for at in result.evidence)
    marked = [Hit(place.document, place.start + start, place.start + end) for place in places(result)]
    return any(_within(span, sentence) for sentence in marked for span in spans)


def _within(span: Span, hit: Hit) -> bool:
    return span.document == hit.document and hit.start <= span.start and span.end <= hit.end
