"""What routes are made of: what a request is given, ids in addresses, and HEAD wherever there is GET."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from indexer.errors import UnreadableError
from service.problems import NotFoundError
from service.service import Service


class Headed(APIRoute):
    """A route that answers HEAD where it answers GET, as Starlette's own do. The server sends no body then. Only GET is in the
    OpenAPI document."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Starlette."""
        return super().matches({**scope, "method": "GET"} if self._is_head(scope) else scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        if self._is_head(scope):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _is_head(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "HEAD" and "GET" in (self.methods or ())


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


async def _service(request: Request) -> Service:  # async: a plain function would be called in another thread
    service: Service = request.app.state.service
    return service


def _document_id(request: Request, document_id: str) -> str:
    """The id of the route. What is not UTF-8 would arrive as the same question marks for different ids."""
    try:
        unquote_to_bytes(request.scope["raw_path"]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("the document's id in the address is not UTF-8; percent-encode it as UTF-8") from error
    return document_id


DocumentId = Annotated[str, Depends(_document_id)]
Served = Annotated[Service, Depends(_service)]


def no_document(document_id: str) -> NotFoundError:
    """What is raised for an id that no document has."""
    return NotFoundError(f"there is no document {document_id!r}; a result's document.id names one")
