"""What the tools give a model: passages with all that a citation needs, and the verdict in words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from service.client.answers import Answer, Document, DocumentReference, Facet, ListedDocument, Passage, Result, Verdict

SAYS: dict[Verdict, str] = {
    "answered": "The first passage probably answers the question. Quote it, and name its title and date.",
    "weak": "Perhaps: the first passage may answer the question, or only be near it. Read it with read_passage before you rely "
    "on it, and say that it is not certain.",
    "nothing": "Nothing in this collection answers the question. The passages are only the closest ones: do not answer from "
    "them as if they did. Say that the collection does not tell, or ask in other words.",
    "uncalibrated": "Whether these passages answer is not known: the scores of this model only rank. Judge by the text.",
}
NOT_FOUND = (
    "Nothing was found: no passage meets the question's quoted phrases, dates or filter, or nothing is indexed. Ask with fewer "
    "conditions; list_sources tells what there is."
)


class Source(BaseModel):
    """The document that a text comes from."""

    document_id: str = Field(description="for read_document")
    title: str
    uri: str | None = Field(description="where the original is")
    date: str | None
    metadata: dict[str, Any] = Field(description="further fields, each of which a filter can name")


class Place(Source):
    """A piece of a document."""

    start: int = Field(description="first character (Unicode code point) in the document's text")
    end: int = Field(description="the character after its last")


class FoundPassage(Place):
    """A passage that was found."""

    passage_id: str = Field(description="for read_passage")
    score: float = Field(description="the probability that the passage answers, 0 to 1")
    verdict: Verdict | None = Field(description="of this passage alone")
    heading: str | None
    page: int | None
    text: str = Field(description="the passage, verbatim")
    evidence: str | None = Field(description="the sentence of it that carries the answer, verbatim")
    also_in: list[str] = Field(description="ids of other documents that hold the same text")


class Found(BaseModel):
    """What a search found, best first."""

    verdict: Verdict
    says: str = Field(description="what the verdict means for an answer: heed it")
    passages: list[FoundPassage]


class PassageInContext(Place):
    """A passage with what stands around it."""

    passage_id: str
    heading: str | None
    page: int | None
    before: str = Field(description="the text before it")
    text: str = Field(description="the passage, verbatim")
    after: str = Field(description="the text after it")


class DocumentPart(Place):
    """A part of a document's text."""

    text: str
    characters: int = Field(description="of the whole document")
    next_start: int | None = Field(description="start of the next part; null at the end")


class FieldValue(BaseModel):
    """A value that a filter can name."""

    value: str | int | float | bool
    documents: int


class FilterField(BaseModel):
    """A field and its most frequent values."""

    field: str
    values: list[FieldValue]


class ListedSource(BaseModel):
    """A document without its text."""

    document_id: str
    title: str
    uri: str | None
    date: str | None
    source: str = Field(description="its folder, its file or its site")
    characters: int


class Sources(BaseModel):
    """What is in the collection."""

    matching: int = Field(description="how many documents match, on all pages")
    documents: list[ListedSource]
    next_after: str | None = Field(description="give this as `after` for the next page; null on the last")
    filters: list[FilterField] = Field(description="fields of the whole collection worth filtering by")


def found(answer: Answer) -> Found:
    """An answer for a model."""
    says = SAYS[answer.verdict] if answer.results else NOT_FOUND
    return Found(verdict=answer.verdict, says=says, passages=[_found_passage(one) for one in answer.results])


def in_context(passage: Passage, document: Document, around: int) -> PassageInContext:
    """A passage with up to ``around`` characters of the document's text on each side."""
    return PassageInContext(
        **_source(passage.document),
        start=passage.start,
        end=passage.end,
        passage_id=passage.id,
        heading=passage.heading,
        page=passage.page,
        before=document.text[max(0, passage.start - around) : passage.start],
        text=passage.text,
        after=document.text[passage.end : passage.end + around],
    )


def part(document: Document, start: int, length: int) -> DocumentPart:
    """``length`` characters of a document from ``start`` on, fewer at its end."""
    characters = len(document.text)
    start = min(start, characters)
    end = min(start + length, characters)
    return DocumentPart(
        **_source(document),
        start=start,
        end=end,
        text=document.text[start:end],
        characters=characters,
        next_start=end if end < characters else None,
    )


def listed(document: ListedDocument) -> ListedSource:
    """A document of a page."""
    return ListedSource(
        document_id=document.id,
        title=document.title,
        uri=document.uri,
        date=document.date,
        source=document.source,
        characters=document.characters,
    )


def filter_field(facet: Facet) -> FilterField:
    """A facet."""
    values = [FieldValue(value=one.value, documents=one.count) for one in facet.values]
    return FilterField(field=facet.field, values=values)


def _found_passage(result: Result) -> FoundPassage:
    return FoundPassage(
        **_source(result.document),
        start=result.start,
        end=result.end,
        passage_id=result.id,
        score=round(result.score, 3),
        verdict=result.verdict,
        heading=result.heading,
        page=result.page,
        text=result.text,
        evidence=result.evidence.text if result.evidence else None,
        also_in=list(result.also_in),
    )


def _source(document: Document | DocumentReference) -> dict[str, Any]:
    return {
        "document_id": document.id,
        "title": document.title,
        "uri": document.uri,
        "date": document.date,
        "metadata": dict(document.metadata),
    }
