"""Facets: the values that a field has among some documents, and how many have each. A filter takes them as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from indexer.filters import COLUMNS, FilterError, kind_of

# A facet is counted over the best so many results: what a page of them, the largest there is, can show.
HITS = 100
MAX_FIELDS = 20
MAX_VALUES = 100  # the most frequent ones of a field
_YEAR_CHARS = 4

# What is worth offering: few enough values to choose from, most of what is found short enough to read and found more than once.
_OFFERED_FIELDS = 8
_OFFERED_VALUES = 30
_OFFERED_CHARS = 60
# Of the columns these; the others tell documents apart, and a metadata field of such a name cannot be filtered by.
_OFFERED_COLUMNS = ("date", "source", "media_type")

Value = str | int | float | bool
Fields = Sequence[str] | Literal[True]  # True: those worth offering
Described = Mapping[str, Any]  # a document's columns by name, "metadata" among them


class Facet(NamedTuple):
    """A field and its values with their counts, most frequent first."""

    field: str
    values: tuple[tuple[Value, int], ...]


def check_fields(fields: Fields) -> None:
    """Raises :class:`FilterError` for more fields than are counted at once, and for one that is named twice."""
    if fields is True:
        return
    if len(fields) > MAX_FIELDS:
        raise FilterError(f"facets names {len(fields)} fields; up to {MAX_FIELDS} are counted at once")
    if twice := [name for name, count in Counter(fields).items() if count > 1]:
        raise FilterError(f"facets names {twice[0]!r} twice; name each field once")


def counted(documents: Iterable[Described], fields: Fields, filtered: Collection[str] = ()) -> tuple[Facet, ...]:
    """The facets of these documents: the fields that are named, in that order, or those worth offering, to which ``filtered``
    ones belong, among few values or one.

    A list counts each of its elements once; a date counts as its year, which a filter takes as a prefix.
    """
    counts: dict[str, Counter[tuple[str, Value]]] = {}
    for document in documents:
        for field in _fields_of(document) if fields is True else fields:
            counts.setdefault(field, Counter()).update(_values(document, field))
    if fields is True:
        return tuple(_facet(field, counts[field]) for field in _worth_offering(counts, filtered))
    return tuple(_facet(field, counts.get(field, Counter())) for field in fields)


def _fields_of(document: Described) -> list[str]:
    return [*_OFFERED_COLUMNS, *(field for field in document["metadata"] if field not in COLUMNS)]


def _values(document: Described, field: str) -> set[tuple[str, Value]]:
    """The document's own values, each with its kind: in Python true equals 1, in a filter it does not."""
    if field == "date":
        return {("a string", document["date"][:_YEAR_CHARS])} if document["date"] else set()
    found = document[field] if field in COLUMNS else document["metadata"].get(field)
    return {(kind, one) for one in (found if isinstance(found, list) else [found]) if (kind := kind_of(one)) is not None}


def _facet(field: str, counts: Counter[tuple[str, Value]]) -> Facet:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], *one[0]))
    return Facet(field, tuple((value, count) for (_, value), count in ordered[:MAX_VALUES]))


def _worth_offering(counts: Mapping[str, Counter[tuple[str, Value]]], filtered: Collection[str]) -> list[str]:
    """Columns first, then what most documents have."""
    fields = [field for field, values in counts.items() if field in filtered or _is_worth_offering(values)]
    metadata = sorted((field for field in fields if field not in COLUMNS), key=lambda one: (-counts[one].total(), one))
    return [*(field for field in _OFFERED_COLUMNS if field in fields), *metadata][:_OFFERED_FIELDS]


def _is_worth_offering(values: Counter[tuple[str, Value]]) -> bool:
    good = sum(count for (_, value), count in values.items() if count > 1 and len(str(value)) <= _OFFERED_CHARS)
    return 2 <= len(values) <= _OFFERED_VALUES and 2 * good >= values.total()
