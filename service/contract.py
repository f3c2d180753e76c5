"""The HTTP contract, version 1: what is sent and what comes back. ``docs/http.md`` is its prose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from indexer.documents import Document
from indexer.explain import Explanation, Step
from indexer.facets import HITS
from indexer.models import ModelContract
from indexer.ranking import Verdict
from indexer.records import StoredPassage
from indexer.search import MAX_LIMIT, MAX_QUESTION_CHARS, MAX_REACH, Answer, MatchedTerm, Result, page_of
from indexer.sentences import Span
from service.facet_contract import FacetResponse, facet_responses

MAX_BATCH = 64  # questions a request
_QUESTION = "Who will host the next ministerial meeting?"
_TEXT = "The Coalition welcomes Saudi Arabia’s announcement to host the next Ministerial Meeting of the Global Coalition."


def _is_none(value: object) -> bool:
    """Fields that come only when they are asked for are not sent otherwise."""
    return value is None


class Strict(BaseModel):
    """A request: an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(Strict):
    """A question."""

    question: str = Field(
        examples=[_QUESTION],
        description=f"1 to {MAX_QUESTION_CHARS} characters, and what the model reads; it may hold "
        '"exact phrases", -excluded words, before:2022-05-01 and after:2021',
    )
    limit: int = Field(10, ge=1, le=MAX_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_REACH, description=f"offset and limit together reach up to {MAX_REACH}")
    filter: dict[str, JsonValue] = Field(
        default_factory=dict,
        examples=[{"date": {"gte": "2022-01-01"}, "author": ["Ned Price", "Office of the Spokesperson"]}],
        description="field to value, list (or), or {gte, lte, gt, lt, prefix, exists, not}; every field must match",
    )
    explain: bool = Field(False, description="return each result's signals, terms and ranks, and the weights of the signals")
    min_score: float = Field(0.0, ge=0, le=1, description="leave out results whose score is below it")
    group: Literal["document"] | None = Field(None, description="only each document's best passage")
    facets: list[str] | bool = Field(
        False,
        examples=[["source", "date", "author"]],
        description=f"fields whose values are counted over the best {HITS} results; true: those worth offering",
    )


class Range(BaseModel):
    """Characters (Unicode code points) of the document's canonical text, ``end`` exclusive."""

    start: int = Field(examples=[0])
    end: int = Field(examples=[112])


class Evidence(Range):
    """The sentence that carries the answer."""

    text: str


class DocumentReference(BaseModel):
    """Where a passage comes from."""

    id: str = Field(examples=["daesh-small-group.txt"])
    title: str = Field(examples=["Small Group of the Global Coalition to Defeat Daesh"])
    uri: str | None = None
    date: str | None = Field(None, examples=["2022-05-11"])
    metadata: dict[str, Any] = Field(default_factory=dict)


class PassageResponse(Range):
    """A passage: ``text`` is ``start`` to ``end`` of the canonical text."""

    id: str = Field(examples=["dDSYUmXXtSiOm6opILoL"])
    text: str = Field(examples=[_TEXT])
    heading: str | None = None
    page: int | None = Field(None, description="from 1, for formats that have pages")
    document: DocumentReference


class Term(BaseModel):
    """A word of the question."""

    word: str = Field(examples=["ministerial"])
    idf: float = Field(examples=[3.2581], description="its rarity in the collection: ln(1 + (N - n + .5) / (n + .5))")
    held: bool = Field(description="whether the passage, its title or a heading above it has the word")


class CandidateRanks(BaseModel):
    """A passage's place in each list of candidates, from 1; null where it is not among them."""

    vector: int | None
    words: int | None


class ResultResponse(PassageResponse):
    """A passage as an answer to a question."""

    score: float = Field(examples=[0.912345], description="the probability that the passage answers the question")
    verdict: Verdict = Field(examples=["answered"], description="what the answer's would be if this were the best passage")
    evidence: Evidence | None = None
    matches: list[Range] = Field(default_factory=list, description="words and phrases of the question")
    also_in: list[str] = Field(default_factory=list, description="ids of other documents that hold the same text")
    others: int | None = Field(
        None, exclude_if=_is_none, description="when grouped: how many more passages of the document were found"
    )
    signals: dict[str, float] | None = Field(
        None, exclude_if=_is_none, description="on explain: times the weights, plus bias: the score's logit"
    )
    terms: list[Term] | None = Field(None, exclude_if=_is_none, description="on explain")
    ranks: CandidateRanks | None = Field(None, exclude_if=_is_none, description="on explain")


class SearchResponse(BaseModel):
    """Ranked passages."""

    question: str = Field(examples=[_QUESTION])
    verdict: Verdict = Field(
        examples=["answered"], description="whether the collection answers; uncalibrated for a model that nobody has measured"
    )
    exact: bool = Field(description="whether the vector candidates are exactly the nearest")
    took_ms: float = Field(examples=[8.3])
    generation: int = Field(examples=[12], description="the commit that the whole answer was read from")
    results: list[ResultResponse]
    weights: dict[str, float] | None = Field(None, exclude_if=_is_none, description='on explain: of each signal, and "bias"')
    stages: dict[str, float] | None = Field(None, exclude_if=_is_none, description="on explain: milliseconds by stage")
    facets: list[FacetResponse] | None = Field(
        None, exclude_if=_is_none, description=f"if asked for: of the best {HITS} results, whatever page is shown"
    )


class BatchRequest(Strict):
    """Several questions."""

    searches: list[SearchRequest] = Field(min_length=1, max_length=MAX_BATCH)


class BatchResponse(BaseModel):
    """The answer of each question, in the same order."""

    answers: list[SearchResponse]


class ExplainResponse(BaseModel):
    """What became of one passage under a question."""

    passage: PassageResponse
    step: Step = Field(description="the step that dropped it, or returned", examples=["rank"])
    reason: str = Field(examples=["its score puts it beyond place 10: ask for more with limit or offset"])
    rank: int | None = Field(description="its place among the ranked texts, from 1", examples=[3])
    ranks: CandidateRanks = Field(
        description="its place in the whole of each list of candidates; over a Milvus server in the first 1,000 of each"
    )
    score: float
    signals: dict[str, float]
    weights: dict[str, float]
    terms: list[Term]


class SimilarPassage(PassageResponse):
    """A passage like another one."""

    similarity: float = Field(examples=[0.8123], description="the cosine of the two vectors")


class SimilarResponse(BaseModel):
    """Passages like a given one, best first."""

    results: list[SimilarPassage]


class DocumentRequest(BaseModel):
    """A document to store. Any further field is metadata."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"title": "Minutes of 3 May", "text": "The board met on 3 May.", "date": "2022-05-03"}]
        },
    )

    text: str = Field(description="kept verbatim")
    title: str | None = None


class OriginalReference(BaseModel):
    """The file that a document came from, at /v1/originals/{id}."""

    name: str = Field(examples=["report.pdf"])
    bytes: int
    shown: bool = Field(description="whether browsers show it; others save it")


class DocumentResponse(BaseModel):
    """A whole document. ``headings`` are [start, end, level], ``pages`` where each page begins."""

    id: str
    title: str
    uri: str | None
    date: str | None
    media_type: str
    metadata: dict[str, Any]
    text: str
    pages: list[int]
    headings: list[tuple[int, int, int]]
    original: OriginalReference | None = Field(None, description="null if it is not there, or not as it was indexed")


class StoredResponse(BaseModel):
    """A document was stored: it is found from ``generation`` on; over a Milvus server some seconds later, unless it
    is asked with ``Strong``."""

    id: str
    passages: int
    generation: int


class RuntimeResponse(BaseModel):
    """What runs the model."""

    name: str = Field(examples=["OpenVINO bfloat16"])
    accuracy: float = Field(examples=[0.999923], description="its least cosine to the vectors of 32-bit floats, measured")


class RecallResponse(BaseModel):
    """How many of the 10 nearest vectors searches found, of live questions that were repeated exactly."""

    at_10: float = Field(examples=[0.998])
    low: float = Field(description="of the 95 % interval")
    high: float
    questions: int


class StatusResponse(BaseModel):
    """What is served, and how far it has come."""

    version: str
    state: Literal["starting", "ready", "failed", "damaged", "away"]
    detail: str | None = Field(None, description="why it is not ready; what else is told is then as of the last look")
    index: str
    generation: int
    last_commit: datetime | None = Field(None, description="when the index was changed last; null if that is not known")
    documents: int
    passages: int
    characters: int
    failures: int = Field(description="files, or records of files, that could not be read: see /v1/failures")
    exact: bool
    recall: RecallResponse | None = Field(None, description="null where the search is exact, or nothing was repeated yet")
    runtime: RuntimeResponse | None = Field(None, description="null until it is loaded")
    notes: list[str] = Field(description="what the engine lacks, and what that means; empty for an index folder")
    model: ModelContract | None


class Problem(BaseModel):
    """RFC 9457 problem details: ``detail`` says what to do next."""

    type: str = Field("about:blank")
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["the question is empty; ask something, such as: who spoke at the meeting?"])


def search_response(answer: Answer) -> SearchResponse:
    """An answer as it is sent."""
    return SearchResponse(
        question=answer.question,
        verdict=answer.verdict,
        exact=answer.exact,
        took_ms=round(answer.took_ms, 2),
        generation=answer.generation,
        results=[_result(one) for one in answer.results],
        weights=dict(answer.weights) if answer.weights is not None else None,
        stages={name: round(took, 3) for name, took in answer.stages.items()} if answer.weights is not None else None,
        facets=facet_responses(answer.facets) if answer.facets is not None else None,
    )


def explain_response(explanation: Explanation) -> ExplainResponse:
    """An explanation as it is sent."""
    return ExplainResponse(
        passage=passage_response(explanation.passage),
        step=explanation.step,
        reason=explanation.reason,
        rank=explanation.rank,
        ranks=CandidateRanks(**explanation.ranks._asdict()),
        score=explanation.score,
        signals=dict(explanation.signals),
        weights=dict(explanation.weights),
        terms=_terms(explanation.terms),
    )


def similar_response(found: Sequence[tuple[StoredPassage, float]]) -> SimilarResponse:
    """Similar passages as they are sent."""
    return SimilarResponse(results=[SimilarPassage(**_passage(one), similarity=cosine) for one, cosine in found])


def passage_response(passage: StoredPassage) -> PassageResponse:
    """A passage as it is sent."""
    return PassageResponse(**_passage(passage))


def document_response(document: Document, original: OriginalReference | None) -> DocumentResponse:
    """A document as it is sent, with the file that it came from."""
    return DocumentResponse(
        id=document.id,
        title=document.title,
        uri=document.uri,
        date=document.date,
        media_type=document.media_type,
        metadata=dict(document.metadata),
        text=document.text,
        pages=list(document.pages),
        headings=[(heading.start, heading.end, heading.level) for heading in document.headings],
        original=original,
    )


def _result(result: Result) -> ResultResponse:
    text = result.passage.document.text
    return ResultResponse(
        **_passage(result.passage),
        score=result.score,
        verdict=result.verdict,
        evidence=_evidence(result.evidence, text) if result.evidence else None,
        matches=[Range(start=span.start, end=span.end) for span in result.matches],
        also_in=_other_documents(result),
        others=result.others,
        signals=dict(result.signals) if result.signals is not None else None,
        terms=_terms(result.terms) if result.terms is not None else None,
        ranks=CandidateRanks(**result.ranks._asdict()) if result.ranks is not None else None,
    )


def _other_documents(result: Result) -> list[str]:
    """Ids of the other documents that hold the passage's text, each once."""
    own = result.passage.document.id
    return list(dict.fromkeys(copy.document.id for copy in result.also_in if copy.document.id != own))


def _terms(terms: Sequence[MatchedTerm]) -> list[Term]:
    return [Term(**one._asdict()) for one in terms]


def _evidence(span: Span, text: str) -> Evidence:
    return Evidence(start=span.start, end=span.end, text=span.of(text))


def _passage(passage: StoredPassage) -> dict[str, Any]:
    document = passage.document
    reference = DocumentReference(
        id=document.id, title=document.title, uri=document.uri, date=document.date, metadata=dict(document.metadata)
    )
    return {
        "id": passage.id,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "heading": passage.heading,
        "page": page_of(document, passage.start),
        "document": reference,
    }
