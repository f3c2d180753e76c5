"""The HTTP contract of facets."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from indexer.facets import Facet


class FacetValue(BaseModel):
    """A value of a field, and how many have it."""

    value: str | int | float | bool = Field(examples=["Office of the Spokesperson"])
    count: int = Field(examples=[17])


class FacetResponse(BaseModel):
    """The values of a field, most frequent first. Those of ``date`` are years, which a filter takes as a prefix."""

    field: str = Field(examples=["author"])
    values: list[FacetValue]


class FacetsResponse(BaseModel):
    """The facets of the whole collection: how many documents have each value."""

    generation: int
    facets: list[FacetResponse]


def facet_responses(facets: Sequence[Facet]) -> list[FacetResponse]:
    """Facets as they are sent."""
    return [
        FacetResponse(field=one.field, values=[FacetValue(value=value, count=count) for value, count in one.values])
        for one in facets
    ]
