"""What a server answers, as a program reads it: the contract's fields by their names, without what else a newer
server sends.

``start`` and ``end`` are characters (Unicode code points) of a document's canonical text: ``text[start:end]`` is the passage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter

Made = TypeVar("Made")
Verdict = Literal["answered", "weak", "nothing", "uncalibrated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A piece of a document's text, ``end`` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence(Range):
    """The sentence that carries the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReference:
    """Where a passage comes from."""

    id: str
    title: str
    uri: str | None = None
    date: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage(Range):
    """A passage. ``page`` is from 1, for formats that have pages."""

    id: str
    text: str
    heading: str | None = None
    page: int | None = None
    document: DocumentReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of the question, its rarity (idf) in the collection, and whether the passage has it."""

    word: str
    idf: float
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRanks:
    """A passage's place in each list of candidates, from 1; None where it is not among them."""

    vector: int | None
    words: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Passage):
    """A passage as an answer. ``score`` is the probability that it answers, ``verdict`` what that means; ``signals``, ``terms``
    and ``ranks`` come on ``explain``, ``others`` when grouped."""

    score: float
    verdict: Verdict | None = None
    evidence: Evidence | None = None
    matches: tuple[Range, ...] = ()
    also_in: tuple[str, ...] = ()
    others: int | None = None
    signals: Mapping[str, float] | None = None
    terms: tuple[Term, ...] | None = None
    ranks: CandidateRanks | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetValue:
    """A value of a field, and how many documents or results have it."""

    value: str | int | float | bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A field's values, most frequent first."""

    field: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Ranked passages. Look at ``verdict`` first: ``nothing`` means that these are only the closest."""

    question: str
    verdict: Verdict
    exact: bool
    took_ms: float
    generation: int
    results: tuple[Result, ...]
    weights: Mapping[str, float] | None = None
    stages: Mapping[str, float] | None = None
    facets: tuple[Facet, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answer of each question, in the same order."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What became of one passage under a question: the ``step`` that dropped it, or ``returned``."""

    passage: Passage
    step: str
    reason: str
    rank: int | None
    ranks: CandidateRanks
    score: float
    signals: Mapping[str, float]
    weights: Mapping[str, float]
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarPassage(Passage):
    """A passage like another one; ``similarity`` is the cosine of the two vectors."""

    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarPassages:
    """Passages like a given one, best first."""

    results: tuple[SimilarPassage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The file that a document came from. ``shown``: a browser shows it, else it is saved."""

    name: str
    bytes: int
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole document. ``headings`` are (start, end, level), ``pages`` where each page begins; ``original`` is None where no
    file is there any more."""

    id: str
    title: str
    uri: str | None
    date: str | None
    media_type: str
    metadata: Mapping[str, Any]
    text: str
    pages: tuple[int, ...]
    headings: tuple[tuple[int, int, int], ...]
    original: Original | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDocument:
    """A document without its text. ``source`` is the folder of its file, the file of a record, or the host of its uri."""

    id: str
    title: str
    uri: str | None
    date: str | None
    media_type: str
    source: str
    characters: int
    passages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """A page of documents, by id; ``count`` are all. ``next`` is what to ask the next page ``after``, None on the last."""

    generation: int
    count: int
    documents: tuple[ListedDocument, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document of several that were sent."""

    id: str
    passages: int
    state: Literal["added", "replaced", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file, or a ``record`` of it, that was sent and not stored."""

    name: str
    record: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What became of what was sent: ``documents`` are found from ``generation`` on; over a Milvus server some seconds later,
    unless it is asked with ``Strong``."""

    generation: int
    documents: tuple[StoredDocument, ...]
    failed: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file, or a ``record`` of it, that was to be indexed and could not be read."""

    path: str
    record: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """A page of what could not be read; ``count`` are all."""

    count: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A document was stored: it is found from ``generation`` on; over a Milvus server some seconds later, unless it is asked
    with ``Strong``."""

    id: str
    passages: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What a collection can be filtered by."""

    generation: int
    facets: tuple[Facet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPassage(Range):
    """A passage as it was when it was judged; ``document`` is the document's id."""

    id: str
    document: str
    title: str
    text: str
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is kept of one word on a passage, or (``nothing``) on all that was found. ``at`` is when, UTC."""

    id: str
    question: str
    filter: Mapping[str, Any]
    verdict: Literal["answers", "does_not", "nothing"]
    at: str
    passage: JudgedPassage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """Judgements, the latest first; ``total`` are all, ``damaged`` those that could not be read."""

    judgements: tuple[Judgement, ...]
    total: int
    damaged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What runs the model, and its least cosine to the vectors of 32-bit floats."""

    name: str
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """How many of the 10 nearest vectors live questions found, with its 95 % interval."""

    at_10: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is served, and how far it has come. ``detail`` says why it is not ready, ``model`` what the index was made with."""

    version: str
    state: Literal["starting", "ready", "failed", "damaged", "away"]
    detail: str | None = None
    index: str
    generation: int
    last_commit: datetime | None = None
    documents: int
    passages: int
    characters: int
    failures: int
    exact: bool
    recall: Recall | None = None
    runtime: Runtime | None = None
    notes: tuple[str, ...] = ()
    model: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in the index: ``name`` is ``commit`` or ``progress``, ``data`` what the contract says of it."""

    name: str
    data: Mapping[str, Any]


def reader(kind: type[Made]) -> Callable[[bytes], Made]:
    """What makes a ``kind`` of JSON. It raises :class:`ValueError` for JSON that is none."""
    adapter = cast("TypeAdapter[Made]", _adapter(cast("Any", kind)))
    return adapter.validate_json


@cache  # made when it is first needed: that takes milliseconds
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
