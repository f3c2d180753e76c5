"""The HTTP application. No work is done on the event loop: questions go through admission into threads, other handlers are
plain functions, which FastAPI runs in threads of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.convertors import Convertor, register_url_convertor

import indexer
from indexer.documents import document_from_record
from indexer.errors import UnreadableError
from indexer.ranking import calibration_of
from indexer.records import Counts
from indexer.runtimes import Kind
from indexer.search import MAX_LIMIT, MAX_REACH
from indexer.search import Query as Question
from service import openapi, problems, session_routes
from service.access import Guarded
from service.access_log import Logged, asked
from service.admission import DEFAULT_LIMITS, Limits
from service.contract import (
    BatchRequest,
    BatchResponse,
    DocumentRequest,
    DocumentResponse,
    ExplainResponse,
    PassageResponse,
    Problem,
    RecallResponse,
    RuntimeResponse,
    SearchRequest,
    SearchResponse,
    SimilarResponse,
    StatusResponse,
    StoredResponse,
    document_response,
    explain_response,
    passage_response,
    similar_response,
)
from service.door import Door
from service.headers import Secured
from service.limits import Bounded
from service.mcp import http as mcp_endpoint
from service.metrics import CONTENT_TYPE
from service.problems import NotFoundError
from service.service import Service

WEB = Path(__file__).parent / "web"
_REFUSALS = (400, 401, 403, 404, 413, 414, 415, 421, 422, 429, 431, 503, 507)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "content": {"application/problem+json": {}}} for code in _REFUSALS
}


def create_app(
    index: Path, model: str, limits: Limits = DEFAULT_LIMITS, runtime: Kind = "auto", door: Door | None = None
) -> FastAPI:
    """The application over one index folder; it becomes ready in the background once it is started. Without a ``door`` no key
    is needed, and it answers to loopback names only."""
    service = Service(index, model, limits, runtime)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        async with endpoint.running():
            yield
        service.close()

    # FastAPI's pages for /docs load scripts from elsewhere, which this product never does: /openapi.json remains.
    app = FastAPI(
        title="Passages", version=version("passages"), lifespan=lifespan, responses=_PROBLEMS, docs_url=None, redoc_url=None
    )
    app.state.service = service
    problems.install(app)
    door = door or Door()
    # The last that is added sees a request first.
    app.add_middleware(Bounded, max_body_bytes=door.max_body_bytes)
    app.add_middleware(Guarded, policy=door.policy, refused=service.metrics.turned_away)
    app.add_middleware(Logged, lines=door.access_log, questions=door.log_questions)
    app.add_middleware(Secured)
    for add in (_add_search, _add_documents, _add_health, _add_pages):
        add(app)
    session_routes.add(app, door.policy)
    endpoint = mcp_endpoint.add(app)
    openapi.declare_keys(app)
    return app


async def _service(request: Request) -> Service:  # async: a plain function would be called in another thread
    service: Service = request.app.state.service
    return service


class AnyConvertor(Convertor[str]):
    """A path parameter of any characters: Starlette's own ``path`` ends at a line break."""

    regex = r"(?s:.*)"

    def convert(self, value: str) -> str:
        """The value as it is."""
        return value

    def to_string(self, value: str) -> str:
        """The value as it is."""
        return value


register_url_convertor("any", AnyConvertor())


def _document_id(request: Request, document_id: str) -> str:
    """The id of the route. What is not UTF-8 would arrive as the same question marks for different ids."""
    try:
        unquote_to_bytes(request.scope["raw_path"]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("the document's id in the address is not UTF-8; percent-encode it as UTF-8") from error
    return document_id


DocumentId = Annotated[str, Depends(_document_id)]
Served = Annotated[Service, Depends(_service)]


def _add_search(app: FastAPI) -> None:
    @app.post("/v1/search", response_model=SearchResponse)
    async def search(request: SearchRequest, service: Served, http: Request) -> Response:
        """Ask a question."""
        asked(http.scope, request.question)
        return await _answered(service, _question(request))

    @app.get("/v1/search", response_model=SearchResponse)
    async def search_by_url(
        service: Served,
        http: Request,
        q: Annotated[str, Query(description="the question", examples=["Who will host the next meeting?"])],
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
        offset: Annotated[int, Query(ge=0, le=MAX_REACH)] = 0,
        explain: bool = False,
        min_score: Annotated[float, Query(ge=0, le=1)] = 0.0,
        group: Literal["document"] | None = None,
    ) -> Response:
        """Ask a question by URL. The page posts instead, so that questions stay out of logs."""
        asked(http.scope, q)
        return await _answered(service, Question(q, limit, offset, {}, explain, min_score, group))

    @app.post("/v1/search/batch", response_model=BatchResponse)
    async def batch(request: BatchRequest, service: Served, http: Request) -> Response:
        """Ask several questions, which are encoded together."""
        asked(http.scope, *(one.question for one in request.searches))
        return await _all_answered(service, [_question(one) for one in request.searches])

    @app.get("/v1/explain")
    async def explain(
        service: Served,
        http: Request,
        q: Annotated[str, Query(description="the question", examples=["Who will host the next meeting?"])],
        passage: Annotated[str, Query(description="a passage's id")],
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
        offset: Annotated[int, Query(ge=0, le=MAX_REACH)] = 0,
    ) -> ExplainResponse:
        """Why a passage was returned for a question, or which step dropped it."""
        asked(http.scope, q)
        collection = service.collection
        found = await service.admission.run(
            lambda timeout_s: indexer.explain(collection, Question(q, limit, offset, timeout_s=timeout_s), passage)
        )
        if found is None:
            raise _no_passage(passage)
        return explain_response(found)

    @app.get("/v1/passages/{passage_id}")
    def passage(passage_id: str, service: Served) -> PassageResponse:
        """One passage."""
        with service.collection.catalog.read() as snapshot:
            found = snapshot.passage(passage_id)
        if found is None:
            raise _no_passage(passage_id)
        return passage_response(found)

    @app.get("/v1/passages/{passage_id}/similar")
    async def similar(
        passage_id: str, service: Served, limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10
    ) -> SimilarResponse:
        """Passages like a given one; its copies are left out."""
        collection = service.collection
        found = await service.admission.run(lambda _: indexer.similar(collection, passage_id, limit))
        if found is None:
            raise _no_passage(passage_id)
        return similar_response(found)


def _question(request: SearchRequest) -> Question:
    return Question(
        request.question, request.limit, request.offset, request.filter, request.explain, request.min_score, request.group
    )


async def _answered(service: Service, question: Question) -> Response:
    """The answer as JSON, made in a thread: neither model work nor writing JSON is done on the event loop."""
    _ = service.collection  # raises if it is not ready
    body = await service.admission.run(lambda timeout_s: service.answer(replace(question, timeout_s=timeout_s)))
    return Response(body, media_type="application/json")


async def _all_answered(service: Service, questions: Sequence[Question]) -> Response:
    _ = service.collection

    def work(timeout_s: float) -> bytes:
        answers = service.answers([replace(one, timeout_s=timeout_s) for one in questions])
        return b'{"answers":[' + b",".join(answers) + b"]}"

    return Response(await service.admission.run(work), media_type="application/json")


def _add_documents(app: FastAPI) -> None:
    @app.get("/v1/documents/{document_id:any}")
    def document(document_id: DocumentId, service: Served) -> DocumentResponse:
        """One document, whole."""
        with service.collection.catalog.read() as snapshot:
            found = snapshot.document(document_id)
        if found is None:
            raise _no_document(document_id)
        return document_response(found)

    @app.put("/v1/documents/{document_id:any}")
    def put_document(document_id: DocumentId, request: DocumentRequest, service: Served) -> StoredResponse:
        """Add or replace a document. It is found when the response is there."""
        record = request.model_dump(exclude_unset=True)
        if any(record.pop(name, document_id) != document_id for name in ("_id", "id")):
            raise UnreadableError("the body has another id than the address; leave it out of the body")
        stored = document_from_record(record | {"_id": document_id})
        if record.get("date") is not None and stored.date is None:
            raise UnreadableError(
                'its "date" is no date; write it as 2022-05-11, 2022-05 or 2022, or keep it as metadata of another name'
            )
        with service.writing() as collection:
            passages = indexer.put(collection, stored)
            with collection.catalog.read() as snapshot:
                return StoredResponse(id=stored.id, passages=passages, generation=snapshot.generation)

    @app.delete("/v1/documents/{document_id:any}", status_code=204, response_class=Response)
    def delete_document(document_id: DocumentId, service: Served) -> None:
        """Delete a document. One that came from a file comes back when the file changes and is indexed again."""
        with service.writing() as collection:
            if not indexer.remove(collection, document_id):
                raise _no_document(document_id)


def _add_health(app: FastAPI) -> None:
    @app.get("/livez")
    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(service: Served) -> dict[str, str]:
        """Questions are answered; 503 until then."""
        _ = service.collection
        return {"status": "ready"}

    @app.get("/v1/status")
    def status(service: Served) -> StatusResponse:
        """What is served; also while starting."""
        return _status(service)

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics(service: Served) -> Response:
        """Counters and times, for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_pages(app: FastAPI) -> None:
    app.mount("/web", StaticFiles(directory=WEB), name="web")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    @app.get("/document", include_in_schema=False)
    async def document_page() -> FileResponse:
        return FileResponse(WEB / "document.html")


def _status(service: Service) -> StatusResponse:
    counts, generation, exact, contract, runtime = Counts(0, 0, 0, 0), 0, True, None, None
    damage = service.damage
    if service.ready.is_set() and not damage:
        runtime = service.collection.any_encoder().runtime
        with service.collection.view() as view:
            counts, generation = service.collection.counts(view.snapshot), view.snapshot.generation
            exact, contract = view.vectors.exact, view.snapshot.contract
    return StatusResponse(
        version=version("passages"),
        state=service.state,
        detail=service.failure or damage,
        index=str(service.index),
        generation=generation,
        **counts._asdict(),
        exact=exact,
        recall=RecallResponse(**measured._asdict()) if (measured := service.recall.measured) else None,
        runtime=RuntimeResponse(name=runtime.name, accuracy=runtime.accuracy) if runtime else None,
        model=replace(contract, calibration=calibration_of(contract)) if contract else None,
    )


def _no_passage(passage_id: str) -> NotFoundError:
    return NotFoundError(f"there is no passage {passage_id!r}: its text may have changed; search again")


def _no_document(document_id: str) -> NotFoundError:
    return NotFoundError(f"there is no document {document_id!r}; a result's document.id names one")
