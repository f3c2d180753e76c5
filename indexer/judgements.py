"""Judged questions: what a person said of a passage under a question, as values and as JSON records."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from indexer.errors import PassagesError
from indexer.sentences import Span

Said = Literal["answers", "does_not", "nothing"]


class JudgementsError(PassagesError):
    """Judgements cannot be read or kept; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class JudgedPassage:
    """A passage as it was when it was judged. ``start``, ``end`` and ``evidence`` are characters of the document's text of
    that time; ``text`` is what stood there, by which it is found again."""

    id: str
    document: str
    title: str
    start: int
    end: int
    text: str
    evidence: Span | None = None

    @property
    def evidence_text(self) -> str | None:
        """The sentence that was marked."""
        return None if self.evidence is None else self.text[self.evidence.start - self.start : self.evidence.end - self.start]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One word of a person: the passage "answers" the question, or "does_not"; or "nothing" in the collection does, and there
    is no passage. ``at`` is when, UTC."""

    question: str
    verdict: Said
    passage: JudgedPassage | None = None
    filter: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def id(self) -> str:
        """The same for the same question and passage, so that there is one word on them."""
        what = None if self.passage is None else [self.passage.document, self.passage.text]
        return _digest([asked(self.question, self.filter), what])

    def record(self) -> dict[str, Any]:
        """As JSON values: what HTTP answers and what export writes."""
        return {
            "id": self.id, "question": self.question, "filter": dict(self.filter), "verdict": self.verdict, "at": self.at,
            "passage": None if self.passage is None else _passage_record(self.passage),
        }  # fmt: skip


def asked(question: str, where: Mapping[str, Any]) -> str:
    """What a question is told apart by: its words, however spaced, and its filter."""
    return _digest([" ".join(question.split()), where])


def from_record(record: Any) -> Judgement:
    """The judgement of a record. Raises :class:`JudgementsError` for anything else."""
    try:
        passage = record.get("passage")
        made = Judgement(
            str(record["question"]), record["verdict"], None if passage is None else _passage(passage),
            dict(record.get("filter") or {}), datetime.fromisoformat(record["at"]).astimezone(UTC).isoformat(),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JudgementsError(f"not a judgement ({type(error).__name__}: {error}): see docs/evaluation.md") from error
    if made.verdict not in get_args(Said) or (made.verdict == "nothing") != (made.passage is None) or not made.question.strip():
        raise JudgementsError("not a judgement: it needs a question, and a passage unless its verdict is nothing")
    return made


def _passage_record(one: JudgedPassage) -> dict[str, Any]:
    evidence = one.evidence and {"start": one.evidence.start, "end": one.evidence.end, "text": one.evidence_text}
    return {
        "id": one.id, "document": one.document, "title": one.title, "start": one.start, "end": one.end, "text": one.text,
        "evidence": evidence,
    }  # fmt: skip


def _passage(record: Mapping[str, Any]) -> JudgedPassage:
    start, end, text = int(record["start"]), int(record["end"]), str(record["text"])
    if not 0 <= start < end or len(text) != end - start:
        raise ValueError("its passage's start and end are not those of its text")
    marked = record.get("evidence")
    evidence = Span(int(marked["start"]), int(marked["end"])) if marked else None
    if evidence and not start <= evidence.start < evidence.end <= end:
        raise ValueError("its evidence is not within its passage")
    return JudgedPassage(
        str(record.get("id", "")), str(record["document"]), str(record.get("title", "")), start, end, text, evidence
    )


def _digest(what: Any) -> str:
    """Opaque and URL-safe."""
    framed = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(framed[:15]).decode()
