"""What is sent of documents: pages of them, what became of those that came in, and what could not be read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from indexer.records import Listed
from service.uploads import Outcome


class ListedResponse(BaseModel):
    """A document without its text."""

    id: str = Field(examples=["daesh-small-group.txt"])
    title: str = Field(examples=["Small Group of the Global Coalition to Defeat Daesh"])
    uri: str | None
    date: str | None = Field(examples=["2022-05-11"])
    media_type: str = Field(examples=["text/plain"])
    source: str = Field(
        description="the folder of its file, relative to what was indexed; for a record its file; else the host of its uri",
        examples=["reports/2022"],
    )
    characters: int
    passages: int


class DocumentsResponse(BaseModel):
    """A page of documents, by id."""

    generation: int = Field(description="the commit that the page was read from")
    count: int = Field(description="how many documents there are that match, on all pages")
    documents: list[ListedResponse]
    next: str | None = Field(description="ask with this as `after` for the next page; null on the last")


class StoredDocument(BaseModel):
    """A document that was sent and is stored."""

    id: str
    passages: int
    state: Literal["added", "replaced", "unchanged"] = Field(
        description="replaced: there was another of this id; unchanged: there was this very one"
    )


class RefusedResponse(BaseModel):
    """A file, or a record of it, that was not stored."""

    name: str = Field(description="the file's name; empty for records in JSON")
    record: str = Field(description='which record of it, such as "line 17"; empty for all of it', examples=["line 17"])
    reason: str


class UploadResponse(BaseModel):
    """What became of what was sent: all of `documents` are found from `generation` on; over a Milvus server some
    seconds later, unless it is asked with `Strong`."""

    generation: int
    documents: list[StoredDocument]
    failed: list[RefusedResponse] = Field(description="of more than 1,000 the last says how many there are")


class FailureResponse(BaseModel):
    """A file that was to be indexed, or a record of it, and could not be read."""

    path: str
    record: str = Field(description="empty for the whole file")
    reason: str


class FailuresResponse(BaseModel):
    """What could not be read when folders were indexed, by path."""

    count: int
    failures: list[FailureResponse]


def documents_response(generation: int, count: int, listed: list[Listed], limit: int) -> DocumentsResponse:
    """A page as it is sent; ``listed`` holds one more than ``limit`` if there is a next page."""
    page = listed[:limit]
    return DocumentsResponse(
        generation=generation,
        count=count,
        documents=[_listed(one) for one in page],
        next=page[-1].document_id if len(listed) > limit else None,
    )


def upload_response(outcome: Outcome) -> UploadResponse:
    """What became of what was sent, as it is sent."""
    return UploadResponse(
        generation=outcome.generation,
        documents=[StoredDocument(**one._asdict()) for one in outcome.stored],
        failed=[RefusedResponse(**one._asdict()) for one in outcome.refused],
    )


def _listed(one: Listed) -> ListedResponse:
    fields: dict[str, Any] = one._asdict()
    return ListedResponse(id=fields.pop("document_id"), **fields)
