"""Errors over HTTP: RFC 9457 ``application/problem+json``, each with a detail that says what to do next."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from indexer.candidates import DeadlineError
from indexer.encoder import TooLongError
from indexer.engines.milvus.connection import ServerError
from indexer.errors import AwayError, PassagesError, TooManyError, UnreadableError
from indexer.filters import FilterError
from indexer.judgements import JudgementsError
from indexer.lock import LockedError
from indexer.models import ModelError
from indexer.original import GoneError
from indexer.question import QuestionError
from indexer.schema import CatalogError, FullError
from service.admission import BusyError
from service.searchers import SearcherError


class NotFoundError(PassagesError):
    """Nothing has this id."""


class NotReadyError(PassagesError):
    """The service is still starting."""


class FolderOnlyError(PassagesError):
    """What was asked for is kept in an index folder, and this index is on a server."""


class StartError(PassagesError):
    """The service could not start, and will not without help."""


# The first that fits decides, so a subclass comes before its base.
_STATUS: list[tuple[type[PassagesError], HTTPStatus]] = [
    (TooLongError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (QuestionError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (FilterError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnreadableError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (GoneError, HTTPStatus.GONE),
    (NotReadyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SearcherError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StartError, HTTPStatus.SERVICE_UNAVAILABLE),
    (LockedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AwayError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ServerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (FolderOnlyError, HTTPStatus.NOT_IMPLEMENTED),
    (JudgementsError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ModelError, HTTPStatus.SERVICE_UNAVAILABLE),
    (FullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (TooManyError, HTTPStatus.INSUFFICIENT_STORAGE),
    (CatalogError, HTTPStatus.SERVICE_UNAVAILABLE),
]


_PASSING = (NotReadyError, LockedError, BusyError, DeadlineError, SearcherError, AwayError)


def install(app: FastAPI) -> None:
    """Answer every known error of ``app`` as a problem; :class:`service.logs.Logged` answers the others."""
    app.add_exception_handler(PassagesError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for a status and what to do about it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _known(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BusyError | DeadlineError):
        request.app.state.service.metrics.turned_away("busy" if isinstance(error, BusyError) else "deadline")
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    # Only for what passes by itself: a wrong model stays wrong, and who runs the server has to know.
    retry = {"Retry-After": "2"} if isinstance(error, _PASSING) else None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and retry is None and not isinstance(error, FolderOnlyError):
        request.app.state.service.tell(str(error))
    return problem(status, str(error), retry)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # what it was registered for
    details = (
        f"the body is not JSON: {one['ctx']['error']} at character {one['loc'][-1]}"
        if one["type"] == "json_invalid"
        else f"{'.'.join(map(str, one['loc'][1:])) or 'the body'}: {one['msg']}"
        for one in error.errors()
    )
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{'; '.join(details)}; see /openapi.json for what is expected")


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # what it was registered for
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path}; see /openapi.json for what there is"
    if error.status_code == HTTPStatus.BAD_REQUEST:
        detail = "the body cannot be read; send JSON in UTF-8"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.url.path} does not take {request.method}; see /openapi.json for what it takes"
    return problem(error.status_code, detail, dict(error.headers or {}))
