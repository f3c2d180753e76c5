"""``/v1/facets``: what a collection can be filtered by."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request

from indexer.facets import MAX_FIELDS, Fields, check_fields, counted
from service.facet_contract import FacetsResponse, facet_responses
from service.service import Service


def add(app: FastAPI) -> None:
    """Add the route to ``app``."""

    @app.get("/v1/facets")
    def facets(
        request: Request,
        field: Annotated[
            list[str] | None,
            Query(max_length=MAX_FIELDS, description="a field to count; can be given several times", examples=[["source"]]),
        ] = None,
    ) -> FacetsResponse:
        """How many documents have each value of some fields; without any, of those worth offering."""
        service: Service = request.app.state.service
        fields: Fields = field or True
        check_fields(fields)
        with service.collection.catalog.read() as snapshot:
            found = counted(snapshot.described(), fields)
            return FacetsResponse(generation=snapshot.generation, facets=facet_responses(found))
