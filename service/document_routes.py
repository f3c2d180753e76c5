"""``/v1/documents``: listing, reading, storing and deleting them; their files; and what could not be read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

import indexer
from indexer import listing
from indexer.engines.contract import Engine, Reader
from indexer.errors import UnreadableError
from indexer.original import GoneError, open_original
from service.contract import DocumentRequest, DocumentResponse, OriginalReference, StoredResponse, document_response
from service.document_contract import (
    DocumentsResponse,
    FailureResponse,
    FailuresResponse,
    UploadResponse,
    documents_response,
    upload_response,
)
from service.originals import OriginalResponse, is_shown
from service.problems import NotFoundError
from service.routing import DocumentId, Served, no_document
from service.service import Service
from service.uploads import Outcome, Sent, Upload, checked_record, store_document, store_records

MAX_PAGE = 100
MAX_FILES = 1000  # in one request
MAX_WORDS_CHARS = 1000
_JOB = "^[A-Za-z0-9_-]{1,64}$"
_RECORD = {"$ref": "#/components/schemas/DocumentRequest"}
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [_RECORD, {"type": "array", "items": _RECORD}]},
                "examples": {"records": {"value": [{"id": "minutes/3", "text": "The board met on 3 May."}]}},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["file"],
                }
            },
        },
    }
}


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ORIGINAL: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(("application/pdf", "text/plain", "application/octet-stream"), _BINARY)},
    206: {"description": "the range that was asked for"},
    416: {"description": "the file is shorter than that"},
}


def add(app: FastAPI) -> None:
    """Add the routes to ``app``."""
    _add_many(app)
    _add_one(app)
    _add_files(app)


def _add_many(app: FastAPI) -> None:
    @app.get("/v1/documents")
    async def documents(
        service: Served,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        after: Annotated[str, Query(description="the id that the page before ended with")] = "",
        match: Annotated[str, Query(max_length=MAX_WORDS_CHARS, description="words of title or id, case aside")] = "",
        source: Annotated[str | None, Query(description="where they come from, as in /v1/facets")] = None,
    ) -> DocumentsResponse:
        """Documents without their texts, by id."""
        collection, wanted = service.collection, listing.Wanted(match, source)

        def page(_: float) -> DocumentsResponse:
            with collection.catalog.read() as snapshot:
                found = listing.listed(snapshot, wanted, after, limit + 1)
                return documents_response(snapshot.generation, listing.count(snapshot, wanted), found, limit)

        return await service.scanning.run(page)

    @app.post("/v1/documents", openapi_extra=_UPLOAD)
    async def post_documents(
        request: Request,
        service: Served,
        job: Annotated[str | None, Query(pattern=_JOB, description="what `progress` events call this upload")] = None,
    ) -> UploadResponse:
        """Add or replace documents: JSON, one record or a list; or files of any format that is read, as multipart/form-data. A
        file's id is its name. What cannot be read is reported, and the rest is stored; 422 if nothing could be."""
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return await _store_files(request, service, job or secrets.token_urlsafe(9))
        body = await request.body()
        return await run_in_threadpool(_written, service, lambda collection: store_records(collection, body))


async def _store_files(request: Request, service: Service, job: str) -> UploadResponse:
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            files = [
                Sent(one.filename or "", one.size or 0, one.file)
                for _, one in form.multi_items()
                if isinstance(one, UploadFile)
            ]
            return await run_in_threadpool(
                _written,
                service,
                lambda collection: Upload(collection, service.extraction, job, service.events.progress).run(files),
            )
    except HTTPException as error:
        if error.status_code != 400:
            raise
        advice = "send multipart/form-data with one part, with a filename, for each file"
        raise UnreadableError(f"the form cannot be read ({error.detail}); {advice}") from error


def _written(service: Service, store: Callable[[Engine], Outcome]) -> UploadResponse:
    with service.writing() as collection:
        return upload_response(store(collection))


def _add_one(app: FastAPI) -> None:
    @app.get("/v1/documents/{document_id:any}")
    def document(document_id: DocumentId, service: Served) -> DocumentResponse:
        """One document, whole."""
        with service.collection.catalog.read() as snapshot:
            found = snapshot.document(document_id)
            if found is None:
                raise no_document(document_id)
            return document_response(found, _original(snapshot, document_id))

    @app.put("/v1/documents/{document_id:any}")
    def put_document(document_id: DocumentId, request: DocumentRequest, service: Served) -> StoredResponse:
        """Add or replace a document. It is found when the response is there; over a Milvus server some seconds later,
        unless it is asked with `Strong`."""
        record = request.model_dump(exclude_unset=True)
        if any(record.pop(name, document_id) != document_id for name in ("_id", "id")):
            raise UnreadableError("the body has another id than the address; leave it out of the body")
        stored = checked_record(record | {"_id": document_id})
        with service.writing() as collection:
            passages, generation = store_document(collection, stored)
            return StoredResponse(id=stored.id, passages=passages, generation=generation)

    @app.delete("/v1/documents/{document_id:any}", status_code=204, response_class=Response)
    def delete_document(document_id: DocumentId, service: Served) -> None:
        """Delete a document; over a Milvus server it may be found for some seconds, unless that is asked with `Strong`.
        One that came from a file comes back when the file changes and is indexed again."""
        with service.writing() as collection:
            if not indexer.remove(collection, document_id):
                raise no_document(document_id)


def _add_files(app: FastAPI) -> None:
    # Not below /v1/documents/{id}: an id is any string, also one that ends so.
    @app.get("/v1/originals/{document_id:any}", response_class=FileResponse, responses=_ORIGINAL)
    def original(document_id: DocumentId, service: Served) -> OriginalResponse:
        """The file that a document came from, if it is there as it was indexed; 404 for a document from no file, 410 for a file
        that is gone or was changed. PDF and plain text are shown by browsers, the rest is saved. HEAD and ranges too."""
        with service.collection.catalog.read() as snapshot:
            if snapshot.owner(document_id) is None:
                raise no_document(document_id)
            source = snapshot.source_of(document_id)
        if source is None:
            raise NotFoundError(
                f"the document {document_id!r} did not come from a file that was indexed: its text is all there is"
            )
        return OriginalResponse(open_original(source))

    @app.get("/v1/failures")
    def failures(
        service: Served,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    ) -> FailuresResponse:
        """Files, and records of files, that could not be read when folders were indexed, and why."""
        with service.collection.catalog.read() as snapshot:
            found = listing.failures(snapshot, offset, limit)
            count = service.collection.counts(snapshot).failures
        return FailuresResponse(
            count=count, failures=[FailureResponse(path=path, record=record, reason=reason) for path, record, reason in found]
        )


def _original(snapshot: Reader, document_id: str) -> OriginalReference | None:
    source = snapshot.source_of(document_id)
    if source is None:
        return None
    try:
        found = open_original(source)
    except GoneError:
        return None
    with found.file:
        return OriginalReference(name=found.name, bytes=found.status.st_size, shown=is_shown(found.name))
