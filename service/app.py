"""The HTTP application. No work is done on the event loop: questions go through admission into threads, other handlers are
plain functions, which FastAPI runs in threads of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

import indexer
from indexer.engines.address import Where
from indexer.engines.milvus.connection import ServerError
from indexer.errors import AwayError
from indexer.extraction import DEFAULT_LIMITS as DEFAULT_EXTRACTION
from indexer.extraction import Limits as Extraction
from indexer.ranking import calibration_of
from indexer.runtimes import Kind
from indexer.search import MAX_LIMIT, MAX_REACH
from indexer.search import Query as Question
from service import document_routes, event_routes, facet_routes, feedback_routes, openapi, problems, session_routes
from service.access import Guarded
from service.access_log import Logged, asked
from service.admission import DEFAULT_LIMITS, Limits
from service.contract import (
    BatchRequest,
    BatchResponse,
    ExplainResponse,
    PassageResponse,
    Problem,
    RecallResponse,
    RuntimeResponse,
    SearchRequest,
    SearchResponse,
    SimilarResponse,
    StatusResponse,
    explain_response,
    passage_response,
    similar_response,
)
from service.door import Door
from service.headers import Secured
from service.limits import Bounded, Timed
from service.mcp import http as mcp_endpoint
from service.metrics import CONTENT_TYPE
from service.problems import NotFoundError
from service.routing import Headed, Served
from service.service import Service

WEB = Path(__file__).parent / "web"
_REFUSALS = (400, 401, 403, 404, 410, 413, 414, 415, 421, 422, 429, 431, 503, 507)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "content": {"application/problem+json": {}}} for code in _REFUSALS
}


def create_app(
    index: Where,
    model: str,
    limits: Limits = DEFAULT_LIMITS,
    runtime: Kind = "auto",
    door: Door | None = None,
    extraction: Extraction = DEFAULT_EXTRACTION,
) -> FastAPI:
    """The application over one index; it becomes ready in the background once it is started. Without a ``door`` no key
    is needed, and it answers to loopback names only. Files that are sent are read within ``extraction``."""
    service = Service(index, model, limits, runtime, extraction)

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
    app.router.route_class = Headed
    problems.install(app)
    door = door or Door()
    # The last that is added sees a request first.
    app.add_middleware(Timed, seconds=limits.deadline_s)
    app.add_middleware(Bounded, max_body_bytes=door.max_body_bytes)
    app.add_middleware(Guarded, policy=door.policy, refused=service.metrics.turned_away)
    app.add_middleware(Logged, lines=door.access_log, questions=door.log_questions)
    app.add_middleware(Secured)
    for add in (_add_search, document_routes.add, facet_routes.add, feedback_routes.add, _add_health, _add_pages):
        add(app)
    event_routes.add(app, door.policy)
    session_routes.add(app, door)
    endpoint = mcp_endpoint.add(app)
    openapi.declare_keys(app)
    return app


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
        request.question, request.limit, request.offset, request.filter, request.explain, request.min_score, request.group,
        facets=request.facets or (),
    )  # fmt: skip


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
    async def metrics(service: Served) -> Response:  # also while all threads wait for something
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

    @app.get("/collection", include_in_schema=False)
    async def collection_page() -> FileResponse:
        return FileResponse(WEB / "collection.html")


def _status(service: Service) -> StatusResponse:
    state: Literal["starting", "ready", "failed", "damaged", "away"] = service.state
    damage, trouble, runtime, seen = service.damage, None, None, service.seen
    if state == "ready":
        runtime = service.collection.any_encoder().runtime
        try:
            seen = service.look()
        except AwayError as error:
            state, trouble = "away", str(error)
        except ServerError as error:
            state, trouble = "failed", str(error)
    return StatusResponse(
        version=version("passages"),
        state=state,
        detail=service.failure or damage or trouble or service.waiting,
        index=str(service.index),
        generation=seen.generation,
        last_commit=seen.last_commit,
        **seen.counts._asdict(),
        exact=seen.exact,
        recall=RecallResponse(**measured._asdict()) if (measured := service.recall.measured) else None,
        runtime=RuntimeResponse(name=runtime.name, accuracy=runtime.accuracy) if runtime else None,
        notes=list(seen.notes),
        model=replace(seen.contract, calibration=calibration_of(seen.contract)) if seen.contract else None,
    )


def _no_passage(passage_id: str) -> NotFoundError:
    return NotFoundError(f"there is no passage {passage_id!r}: its text may have changed; search again")
