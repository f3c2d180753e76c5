"""A collection's own questions: what people judged there, or a file of theirs, as what must be found.

What must be found is told by text and place, never by a passage's id, which changes with text, splitter and format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.credit import Hit, counts_for, places
from eval.errors import EvalError
from eval.lines import Line, json_lines, text_of
from eval.sets import Paragraph

if TYPE_CHECKING:
    from indexer import Collection, JudgedPassage, Judgement, Result


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that answers, or was said not to. Either a ``passage`` that was judged; or, of a file, any passage of
    ``document`` (any, if None) that holds one of ``answers`` (if there are some)."""

    passage: JudgedPassage | None = None
    document: str | None = None
    answers: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """What was to be found, in words."""
        return self.passage.text if self.passage else " / ".join(self.answers) or f"anything of {self.document}"

    @property
    def source(self) -> str | None:
        """The document that it is expected in."""
        return self.passage.document if self.passage else self.document


@dataclass(frozen=True, slots=True)
class OwnQuestion:
    """``answers`` are what answers it; without any, nothing in the collection does. ``rejected`` were said not to."""

    text: str
    filter: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Unit, ...] = ()
    rejected: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a unit stands in one index: the stretches that a passage must cover, and the sentences that were marked."""

    unit: Unit
    stretches: tuple[Paragraph, ...] = ()
    sentences: tuple[Paragraph, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether it can be found at all; of a file's answers this is not known before."""
        return self.unit.passage is None or bool(self.stretches)

    def is_in(self, result: Result) -> bool:
        """Whether the passage counts for it, in any of its places."""
        hits = places(result)
        if self.unit.passage is not None:
            return _covers(hits, self.stretches)
        in_document = self.unit.document is None or any(hit.document == self.unit.document for hit in hits)
        return in_document and (not self.unit.answers or _holds(result.passage.text, self.unit.answers))

    def is_marked(self, result: Result) -> bool | None:
        """Whether the sentence that the result marks is the one that was marked when it was judged, or holds an answer; None
        if no sentence is known."""
        if not self.sentences and not self.unit.answers:
            return None
        if result.evidence is None:
            return False
        start, end = (at - result.passage.start for at in result.evidence)
        if self.unit.answers:
            return _holds(result.passage.text[start:end], self.unit.answers)
        return _covers([Hit(hit.document, hit.start + start, hit.start + end) for hit in places(result)], self.sentences)


def from_judgements(judgements: Iterable[Judgement]) -> list[OwnQuestion]:
    """The questions of a store, in the order of their first judgement. One whose only word is "does_not" says neither what
    answers it nor that nothing does, and is left out."""
    by_question: dict[str, list[Judgement]] = {}
    for one in sorted(judgements, key=lambda one: (one.at, one.id)):
        by_question.setdefault(repr((" ".join(one.question.split()), one.filter)), []).append(one)
    made = []
    for some in by_question.values():
        answers = tuple(Unit(one.passage) for one in some if one.verdict == "answers")
        rejected = tuple(Unit(one.passage) for one in some if one.verdict == "does_not")
        if answers or any(one.verdict == "nothing" for one in some):
            made.append(OwnQuestion(some[0].question, some[0].filter, answers, rejected))
    return made


def from_file(path: Path) -> list[OwnQuestion]:
    """Questions of JSON lines: ``{"question", "answers": [text, ...], "document": id, "filter": {...}}``. Without answers and
    document, or with ``"answers": []``, nothing answers. Lines of one question add up. Raises :class:`EvalError`."""
    made: dict[str, OwnQuestion] = {}
    for line, record in json_lines(path):
        text, where = text_of(line, record, "question"), record.get("filter") or {}
        units = tuple(_units(line, record))
        before = made.get(repr((text, where)), OwnQuestion(text, where))
        made[repr((text, where))] = OwnQuestion(text, where, before.answers + units)
    if not made:
        raise EvalError(f'{path} holds no question; write lines such as {{"question": "...", "answers": ["..."]}}')
    return list(made.values())


def standing(collection: Collection, unit: Unit) -> Standing:
    """Where the unit stands in the collection's latest commit. Raises :class:`indexer.PassagesError`."""
    if unit.passage is None:
        return Standing(unit)
    from indexer import places_of

    with collection.view() as view:
        found = places_of(view.snapshot, unit.passage)
    stretches = tuple(Paragraph("", one.document, one.start, one.end) for one in found)
    sentences = tuple(Paragraph("", one.document, *one.evidence) for one in found if one.evidence)
    return Standing(unit, stretches, sentences)


def _units(line: Line, record: Mapping[str, Any]) -> Iterator[Unit]:
    answers, document = record.get("answers"), record.get("document")
    if answers is not None and not (isinstance(answers, list) and all(isinstance(one, str) and one.strip() for one in answers)):
        raise line.error('has "answers" that are not a list of texts; write ["...", "..."], or [] where nothing answers')
    if document is not None and not isinstance(document, str):
        raise line.error('has a "document" that is not text; write a document\'s id')
    if not isinstance(record.get("filter") or {}, dict):
        raise line.error('has a "filter" that is not an object; see filters in docs/http.md')
    if answers or (document is not None and answers is None):
        yield Unit(None, document, tuple(answers or ()))


def _covers(hits: Sequence[Hit], stretches: Iterable[Paragraph]) -> bool:
    return any(hit.document == one.document and counts_for(hit, one) for one in stretches for hit in hits)


def _holds(text: str, answers: Iterable[str]) -> bool:
    """Whether the text has one of the answers, but for case and white space."""
    folded = _folded(text)
    return any(_folded(answer) in folded for answer in answers)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
