"""Search filters to SQL conditions over a document ``d``: equals, a list is or, gte/lte/gt/lt, exists, not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indexer.errors import PassagesError

_COLUMNS = ("id", "title", "uri", "date", "media_type")
_COMPARISONS = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<"}
_OPERATORS = [*_COMPARISONS, "exists", "not"]

Condition = tuple[str, list[Any]]


class FilterError(PassagesError):
    """The filter is not of a form that is understood."""


def condition(where: Mapping[str, Any]) -> Condition:
    """An SQL condition over ``document d`` with its values: every field's condition must hold.

    A field is ``id``, ``title``, ``uri``, ``date``, ``media_type`` or any metadata field; a metadata list matches if one
    of its elements does. Raises :class:`FilterError`.
    """
    parts = [_field(name, wanted) for name, wanted in where.items()]
    return _joined(" AND ", parts) if parts else ("1", [])


def _field(name: str, wanted: Any) -> Condition:
    if isinstance(wanted, Mapping):
        if not wanted:
            raise FilterError(f"filter {name!r} is empty; give a value, a list, or one of {', '.join(_OPERATORS)}")
        return _joined(" AND ", [_operator(name, operator, value) for operator, value in wanted.items()])
    if isinstance(wanted, list):
        return _joined(" OR ", [_compare(name, "=", value) for value in wanted]) if wanted else ("0", [])
    return _compare(name, "=", wanted)


def _operator(name: str, operator: str, value: Any) -> Condition:
    if operator in _COMPARISONS:
        return _compare(name, _COMPARISONS[operator], value)
    if operator == "exists":
        if not isinstance(value, bool):
            raise FilterError(f"filter {name!r}: exists takes true or false")
        return _exists(name, value)
    if operator == "not":
        sql, values = _field(name, value)
        return f"NOT ({sql})", values
    raise FilterError(f"filter {name!r} has an unknown operator {operator!r}; known are {', '.join(_OPERATORS)}")


def _compare(name: str, sign: str, value: Any) -> Condition:
    if value is None or isinstance(value, (Mapping, list)):
        raise FilterError(f"filter {name!r}: compare with a string, a number or a boolean; for absence use exists")
    if name in _COLUMNS:
        return f"coalesce(d.{name} {sign} ?, 0)", [str(value)]
    # SQLite orders all numbers before all strings: without the type, "lt" on a string would match every number.
    kinds = "'text'" if isinstance(value, str) else "'true', 'false'" if isinstance(value, bool) else "'integer', 'real'"
    scalar, element = (f"{x}.type IN ({kinds}) AND {x}.value {sign} ?" for x in "fe")
    return (
        f"EXISTS (SELECT 1 FROM json_each(d.metadata) f WHERE f.key = ? AND (({scalar}) OR "  # noqa: S608
        f"(f.type = 'array' AND EXISTS (SELECT 1 FROM json_each(f.value) e WHERE {element}))))",
        [name, value, value],
    )


def _exists(name: str, wanted: bool) -> Condition:
    if name in _COLUMNS:
        return f"coalesce(d.{name}, '') {'<>' if wanted else '='} ''", []
    there = "EXISTS (SELECT 1 FROM json_each(d.metadata) f WHERE f.key = ? AND f.type <> 'null')"
    return there if wanted else f"NOT {there}", [name]


def _joined(word: str, parts: list[Condition]) -> Condition:
    return "(" + word.join(sql for sql, _ in parts) + ")", [value for _, values in parts for value in values]
