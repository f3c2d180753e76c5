"""Why a call gave nothing: each message is the server's own detail, which says what to do next."""

from __future__ import annotations

from http import HTTPStatus


class ClientError(Exception):
    """A call did not give what it was made for."""


class UnreachableError(ClientError):
    """No server answered, or not in time. ``is_broken``: the connection failed, so another one may not."""

    def __init__(self, message: str, is_broken: bool) -> None:
        super().__init__(message)
        self.is_broken = is_broken


class UnexpectedAnswerError(ClientError):
    """What answered does not speak this contract."""


class ProblemError(ClientError):
    """The server refused (RFC 9457). ``retry_after_s`` is None where waiting does not help."""

    def __init__(self, status: int, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after_s = status, detail, retry_after_s


class UnauthorizedError(ProblemError):
    """401: a key is needed, or the one that was sent is not known."""


class ForbiddenError(ProblemError):
    """403: the key may not do this."""


class NotFoundError(ProblemError):
    """404: nothing has this id."""


class TooLargeError(ProblemError):
    """413, 414 or 431: more was sent than is read."""


class InvalidError(ProblemError):
    """422: a question, filter or document that cannot be used."""


class BusyError(ProblemError):
    """429: this key asks too often."""


class UnavailableError(ProblemError):
    """503: starting, busy, being written, or (without ``retry_after_s``) in need of help."""


class FullError(ProblemError):
    """507: the server's disk is full, or its memory too small for a list of all documents."""


_KINDS: dict[int, type[ProblemError]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLargeError,
    HTTPStatus.REQUEST_URI_TOO_LONG: TooLargeError,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: TooLargeError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidError,
    HTTPStatus.TOO_MANY_REQUESTS: BusyError,
    HTTPStatus.SERVICE_UNAVAILABLE: UnavailableError,
    HTTPStatus.INSUFFICIENT_STORAGE: FullError,
}


def problem(status: int, detail: str, retry_after_s: float | None) -> ProblemError:
    """The error of a status."""
    return _KINDS.get(status, ProblemError)(status, detail, retry_after_s)
