"""``/v1/facets``: what a collection can be filtered by."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query

from indexer.engines.contract import Reader
from indexer.facets import MAX_FIELDS, Fields, check_fields, counted
from service.facet_contract import FacetsResponse, facet_responses
from service.routing import Served

_KEPT = 32  # answers


class _Answers:
    """Counting goes over every document, so an answer is kept until the next commit. For one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...] | bool, tuple[tuple[str, int], FacetsResponse]] = {}

    def of(self, snapshot: Reader, fields: Fields) -> FacetsResponse:
        asked, commit = fields if fields is True else tuple(fields), (snapshot.identity, snapshot.generation)
        known = self._kept.get(asked)
        if known is not None and known[0] == commit:
            return known[1]
        found = facet_responses(counted(snapshot.described(), fields))
        answer = FacetsResponse(generation=snapshot.generation, facets=found)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[asked] = commit, answer
        return answer


def add(app: FastAPI) -> None:
    """Add the route to ``app``."""
    answers = _Answers()

    @app.get("/v1/facets")
    async def facets(
        service: Served,
        field: Annotated[
            list[str] | None,
            Query(max_length=MAX_FIELDS, description="a field to count; can be given several times", examples=[["source"]]),
        ] = None,
    ) -> FacetsResponse:
        """How many documents have each value of some fields; without any, of those worth offering."""
        fields: Fields = field or True
        check_fields(fields)
        collection = service.collection

        def answered(_: float) -> FacetsResponse:
            with collection.catalog.read() as snapshot:
                return answers.of(snapshot, fields)

        return await service.scanning.run(answered)
