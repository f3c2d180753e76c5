"""A client of the HTTP contract, version 1: ``Client`` and, for asyncio and trio, ``AsyncClient``.

It imports nothing of the library or the server, so that a program which only asks loads no model and no index.
"""

from service.client.answers import (
    Answer,
    Document,
    DocumentReference,
    Event,
    Evidence,
    Explanation,
    Facet,
    FacetValue,
    Passage,
    Range,
    Result,
    SimilarPassage,
    Status,
    Stored,
)
from service.client.calls import Question
from service.client.clients import DEFAULT_URL, AsyncClient, Client
from service.client.errors import (
    BusyError,
    ClientError,
    ForbiddenError,
    FullError,
    InvalidError,
    NotFoundError,
    ProblemError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
)

__all__ = [
    "DEFAULT_URL",
    "Answer",
    "AsyncClient",
    "BusyError",
    "Client",
    "ClientError",
    "Document",
    "DocumentReference",
    "Event",
    "Evidence",
    "Explanation",
    "Facet",
    "FacetValue",
    "ForbiddenError",
    "FullError",
    "InvalidError",
    "NotFoundError",
    "Passage",
    "ProblemError",
    "Question",
    "Range",
    "Result",
    "SimilarPassage",
    "Status",
    "Stored",
    "TooLargeError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnreachableError",
]
