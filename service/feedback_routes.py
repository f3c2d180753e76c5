"""``/v1/feedback``: what people say of passages under their own questions, kept in the index folder for ``passages eval``.

Nothing is kept but what is sent here, which the page does when a person presses a button. Questions travel in bodies alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field, JsonValue, model_validator

import indexer
from indexer.judgementfile import MAX_JUDGEMENTS, Judgements, Kept
from indexer.judgements import JudgedPassage, Judgement, Said
from indexer.search import MAX_QUESTION_CHARS
from indexer.search import Query as Question
from service.access_log import asked
from service.contract import Evidence, Range, Strict
from service.problems import FolderOnlyError, NotFoundError
from service.routing import Served
from service.service import Service

FEEDBACK = "/v1/feedback"
MAX_FILTER_CHARS = 4000  # what a judgement keeps of a filter is bounded as its question is
_QUESTION = "Who will host the next ministerial meeting?"


class AboutRequest(Strict):
    """A question that was asked, with the filter that it was asked under."""

    question: str = Field(examples=[_QUESTION], description=f"1 to {MAX_QUESTION_CHARS} characters")
    filter: dict[str, JsonValue] = Field(default_factory=dict, description="as it was asked with; {} for none")

    @model_validator(mode="after")
    def _check(self) -> AboutRequest:
        if not self.question.strip():
            raise ValueError("the question is empty; send the question that was asked")
        if len(json.dumps(self.filter, allow_nan=False)) > MAX_FILTER_CHARS:  # what JSON has no number for raises, too
            raise ValueError(f"the filter is longer than {MAX_FILTER_CHARS} characters as JSON; judge under a shorter one")
        return self


class FeedbackRequest(AboutRequest):
    """One word of a person on a passage, or on all that was found."""

    passage: str | None = Field(None, description="the passage's id; null with the verdict nothing, and only then")
    verdict: Said = Field(
        examples=["answers"], description="the passage answers, or does_not; nothing: no passage of the collection does"
    )

    @model_validator(mode="after")
    def _check_passage(self) -> FeedbackRequest:
        if (self.verdict == "nothing") != (self.passage is None):
            raise ValueError("answers and does_not need a passage's id, and nothing has none")
        return self


class JudgedPassageResponse(Range):
    """The passage as it was when it was judged."""

    id: str
    document: str = Field(description="the document's id")
    title: str
    text: str
    evidence: Evidence | None


class JudgementResponse(BaseModel):
    """What is kept of one word."""

    id: str = Field(description="the same for the same question and passage: the last word counts")
    question: str = Field(examples=[_QUESTION])
    filter: dict[str, Any]
    verdict: Said
    at: str = Field(description="when, UTC", examples=["2026-11-24T18:00:00+00:00"])
    passage: JudgedPassageResponse | None


class FeedbackResponse(BaseModel):
    """Judgements, the latest first."""

    judgements: list[JudgementResponse]
    total: int = Field(description="how many there are in all")
    damaged: int = Field(description="how many more could not be read")


def add(app: FastAPI) -> None:
    """Add the routes to ``app``."""

    @app.post(FEEDBACK)
    async def say(request: FeedbackRequest, service: Served, http: Request) -> JudgementResponse:
        """Keep a judged question. The last word on the same question and passage counts; "nothing" ends what was said to
        answer that question, and the other way round."""
        asked(http.scope, request.question)
        _ = service.collection  # raises if it is not ready
        said = await service.admission.run(lambda timeout_s: _judgement(service, request, timeout_s))
        return _response(await service.judging.run(lambda _: _judgements(service).say(said)))

    @app.post(f"{FEEDBACK}/about")
    def about(request: AboutRequest, service: Served, http: Request) -> FeedbackResponse:
        """What was said of one question: by POST, so that questions stay out of logs."""
        asked(http.scope, request.question)
        found = _kept(service, lambda kept: kept.of(request.question, request.filter))
        return FeedbackResponse(
            judgements=[_response(one) for one in found.judgements], total=len(found.judgements), damaged=found.damaged
        )

    @app.get(FEEDBACK)
    def judgements(
        service: Served,
        limit: Annotated[int, Query(ge=1, le=MAX_JUDGEMENTS)] = MAX_JUDGEMENTS,
        offset: Annotated[int, Query(ge=0, le=MAX_JUDGEMENTS)] = 0,
    ) -> FeedbackResponse:
        """All that was said, or a page of it; `passages feedback import` reads the same."""
        found = _kept(service, Judgements.read)
        shown = found.judgements[offset : offset + limit]
        return FeedbackResponse(
            judgements=[_response(one) for one in shown], total=len(found.judgements), damaged=found.damaged
        )

    @app.delete(FEEDBACK, status_code=HTTPStatus.NO_CONTENT, response_class=Response)
    async def forget_all(service: Served) -> None:
        """Forget every judgement, damaged ones too."""
        await service.judging.run(lambda _: _judgements(service).delete_all())

    # Any characters, none too: an address without an id would else be sent on to where all are forgotten.
    @app.delete(f"{FEEDBACK}/{{judgement_id:any}}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
    async def forget(judgement_id: str, service: Served) -> None:
        """Take one word back."""
        if not await service.judging.run(lambda _: _judgements(service).delete(judgement_id)):
            raise NotFoundError(f"there is no judgement {judgement_id!r}: it was deleted already")


def _judgement(service: Service, request: FeedbackRequest, timeout_s: float) -> Judgement:
    query = Question(request.question, filter=request.filter, timeout_s=timeout_s)
    passage: JudgedPassage | None = None
    if request.passage is None:
        indexer.encoded(service.collection, query)  # what cannot be asked cannot be judged
    else:
        passage = indexer.judged(service.collection, query, request.passage)
        if passage is None:
            raise NotFoundError(f"there is no passage {request.passage!r}: its text may have changed; search again")
    return Judgement(request.question, request.verdict, passage, request.filter)


def _kept(service: Service, read: Callable[[Judgements], Kept]) -> Kept:
    """What is read of the judgements; nothing where none can be kept."""
    return read(Judgements(service.index)) if isinstance(service.index, Path) else Kept([], 0)


def _judgements(service: Service) -> Judgements:
    """Raises :class:`FolderOnlyError`."""
    if not isinstance(service.index, Path):
        raise FolderOnlyError(f"judgements are kept in a folder, and {service.index} is none; passages copy makes one")
    return Judgements(service.index)


def _response(judgement: Judgement) -> JudgementResponse:
    return JudgementResponse(**judgement.record())
