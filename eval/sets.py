"""A judged set on disk: its questions and which documents, or paragraphs, answer them.

BEIR layout: ``queries.jsonl``, ``qrels/test.tsv`` or ``qrels.tsv`` with a header line, ``corpus.jsonl`` (see
:mod:`eval.corpus`). A set judged by paragraph has ``paragraphs.jsonl`` or ``paragraphs.jsonl.gz`` too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import EvalError
from eval.lines import Line, json_lines, tab_separated, text_of


class Question(NamedTuple):
    """A question; ``kind`` is None where the set tells no kinds apart."""

    id: str
    text: str
    kind: str | None


class Judgement(NamedTuple):
    """How relevant a unit (a document or a paragraph) is to a question: 0 is not, more is better."""

    question: str
    unit: str
    grade: int


class Paragraph(NamedTuple):
    """A stretch of a document that is judged by itself; ``start`` and ``end`` are characters of the document's text."""

    id: str
    document: str
    start: int
    end: int


class JudgedSet(NamedTuple):
    """``paragraphs`` by document, in the order of the text; None where whole documents are judged."""

    name: str
    folder: Path
    questions: tuple[Question, ...]
    judgements: tuple[Judgement, ...]
    paragraphs: Mapping[str, tuple[Paragraph, ...]] | None

    @property
    def answerable(self) -> tuple[Question, ...]:
        """The questions with a relevant judgement; the others cannot be part of a retrieval measure."""
        relevant = self.relevant
        return tuple(question for question in self.questions if question.id in relevant)

    @property
    def relevant(self) -> Mapping[str, frozenset[str]]:
        """The units that are relevant to each question, for those that have any."""
        units: dict[str, set[str]] = {}
        for question, unit, grade in self.judgements:
            if grade > 0:
                units.setdefault(question, set()).add(unit)
        return {question: frozenset(some) for question, some in units.items()}

    def documents_of(self, units: Collection[str]) -> frozenset[str]:
        """The documents that these units are, or lie in."""
        if self.paragraphs is None:
            return frozenset(units)
        return frozenset(one.document for some in self.paragraphs.values() for one in some if one.id in units)


def read_set(folder: Path) -> JudgedSet:
    """The judged set in ``folder``. Raises :class:`EvalError`: a file is missing, a line broken, an id unknown."""
    if not folder.is_dir():
        raise EvalError(f"{folder} is no folder; name one that holds queries.jsonl and qrels/test.tsv")
    questions = tuple(_questions(folder / "queries.jsonl"))
    paragraphs = _paragraphs(folder)
    units = {one.id for some in paragraphs.values() for one in some} if paragraphs is not None else None
    judgements = tuple(_judgements(_first(folder, "qrels/test.tsv", "qrels.tsv"), {one.id for one in questions}, units))
    judged = JudgedSet(folder.resolve().name, folder, questions, judgements, paragraphs)
    if not judged.answerable:
        raise EvalError(f"{folder} has no question with a relevant judgement; there is nothing to measure")
    return judged


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise EvalError(f"{folder} has no {' or '.join(names)}; name a folder in BEIR layout")


def _questions(path: Path) -> Iterator[Question]:
    seen: set[str] = set()
    for line, record in json_lines(_first(path.parent, path.name)):
        question = text_of(line, record, "_id", "id")
        if question in seen:
            raise line.error(f"the question {question} is there twice; remove one")
        seen.add(question)
        kind = record.get("kind")
        yield Question(question, text_of(line, record, "text"), None if kind is None else str(kind))


def _judgements(path: Path, questions: set[str], units: set[str] | None) -> Iterator[Judgement]:
    seen: set[tuple[str, str]] = set()
    for row, (line, fields) in enumerate(tab_separated(path)):
        if row == 0 and _is_header(line, fields):
            continue
        judgement = _judgement(line, fields)
        if judgement.question not in questions:
            raise line.error(f"names the question {judgement.question}, which queries.jsonl lacks; add it or remove the line")
        if units is not None and judgement.unit not in units:
            raise line.error(
                f"names the paragraph {judgement.unit}, which the paragraphs file lacks; add it or remove the line"
            )
        if judgement[:2] in seen:
            raise line.error(f"judges {judgement.unit} for {judgement.question} a second time; remove one of the two")
        seen.add(judgement[:2])
        yield judgement


def _is_header(line: Line, fields: list[str]) -> bool:
    """Without this check the first judgement of a file that has no header would be lost without a word."""
    if len(fields) == 3 and _is_whole(fields[2]):
        raise line.error("is a judgement, not a header; begin the file with: query-id<tab>corpus-id<tab>score")
    return True


def _judgement(line: Line, fields: list[str]) -> Judgement:
    if len(fields) != 3 or not _is_whole(fields[2]):
        raise line.error("is not a question, a document and a whole number, parted by tabs; mend or remove the line")
    return Judgement(fields[0], fields[1], int(fields[2]))


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _paragraphs(folder: Path) -> Mapping[str, tuple[Paragraph, ...]] | None:
    path = next((folder / name for name in ("paragraphs.jsonl", "paragraphs.jsonl.gz") if (folder / name).is_file()), None)
    if path is None:
        return None
    found: dict[str, Paragraph] = {}
    by_document: dict[str, list[Paragraph]] = {}
    for line, record in json_lines(path):
        one = _paragraph(line, record)
        if one.id in found:
            raise line.error(f"the paragraph {one.id} is there twice; remove one")
        found[one.id] = one
        by_document.setdefault(one.document, []).append(one)
    return {document: tuple(sorted(some, key=lambda one: one.start)) for document, some in by_document.items()}


def _paragraph(line: Line, record: dict[str, Any]) -> Paragraph:
    start, end = record.get("start"), record.get("end")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        raise line.error('needs "start" and "end", characters of the document with 0 <= start < end; mend or remove the line')
    # "release" is what press-questions calls the document.
    return Paragraph(text_of(line, record, "id", "_id"), text_of(line, record, "document", "release"), start, end)
