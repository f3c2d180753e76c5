"""Search filters to SQL conditions over a document ``d``: equals, a list is or, gte/lte/gt/lt, prefix, exists, not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from indexer.errors import PassagesError

# Each column's SQL. ``source`` is where a document comes from: see source_of, which every connection knows by that name.
COLUMNS = {name: f"d.{name}" for name in ("id", "title", "uri", "date", "media_type")} | {
    "source": "source_of(d.id, (SELECT s.name FROM source s WHERE s.key = d.source), d.uri)"
}
_COMPARISONS = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<"}
_OPERATORS = [*_COMPARISONS, "prefix", "exists", "not"]
# How JSON calls the types: SQLite orders all numbers before all strings, so only values of one kind are compared.
_KINDS = {"a string": "'text'", "a boolean": "'true', 'false'", "a number": "'integer', 'real'"}

# SQLite's own bounds, of which a filter must stay well clear: an expression 1,000 deep, 32,766 values in a statement.
MAX_FIELDS = 100
MAX_NESTED = 10
MAX_VALUES = 30_000

Condition = tuple[str, list[Any]]


class FilterError(PassagesError):
    """The filter is not of a form that is understood."""


def condition(where: Mapping[str, Any]) -> Condition:
    """An SQL condition over ``document d`` with its values: every field's condition must hold.

    A field is ``id``, ``title``, ``uri``, ``date``, ``media_type``, ``source`` or any metadata field; a metadata list matches
    if one of its elements does. Raises :class:`FilterError`.
    """
    if len(where) > MAX_FIELDS:
        raise FilterError(f"the filter names {len(where)} fields; it can name up to {MAX_FIELDS}")
    parts = [_field(name, wanted, MAX_NESTED) for name, wanted in where.items()]
    sql, values = _joined(" AND ", parts) if parts else ("1", [])
    if len(values) > MAX_VALUES:
        raise FilterError(f"the filter compares with {len(values)} values; it can with up to {MAX_VALUES}")
    return sql, values


def compared(operator: str, value: Any) -> Condition:
    """An SQL condition over one value ``x`` of metadata, with its ``type`` as SQLite's JSON has it: that it compares so with
    ``value``, or begins so. Of an operator and a value that :func:`condition` takes."""
    test = "instr(x.value, ?) = 1" if operator == "prefix" else f"x.value {_COMPARISONS[operator]} ?"
    return f"x.type IN ({_KINDS[kind_of(value) or '']}) AND {test}", [value]


def source_of(document_id: str, file: str | None, uri: str | None) -> str:
    """Where a document comes from: the folder of its ``file``, whose path is relative to the one that was synced; "" is that
    one itself. That path where the file holds records, whose ids are others. Without a file the host of the uri, or ""."""
    if file is None:
        return _host(uri or "")
    return file.rpartition("/")[0] if document_id == file else file


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _field(name: str, wanted: Any, nested: int) -> Condition:
    _check_text(name, name)
    if isinstance(wanted, Mapping):
        if not wanted or not nested:
            what = "is nested too deeply" if wanted else "is empty"
            raise FilterError(f"filter {name!r} {what}; give a value, a list, or one of {', '.join(_OPERATORS)}")
        return _joined(" AND ", [_operator(name, operator, value, nested - 1) for operator, value in wanted.items()])
    return _compare(name, "=", wanted if isinstance(wanted, list) else [wanted])


def _operator(name: str, operator: str, value: Any, nested: int) -> Condition:
    if operator in _COMPARISONS:
        return _compare(name, _COMPARISONS[operator], [value])
    if operator == "prefix":
        return _prefix(name, value)
    if operator == "exists":
        if not isinstance(value, bool):
            raise FilterError(f"filter {name!r}: exists takes true or false")
        return _exists(name, value)
    if operator == "not":
        sql, values = _field(name, value, nested)
        return f"NOT ({sql})", values
    raise FilterError(f"filter {name!r} has an unknown operator {operator!r}; known are {', '.join(_OPERATORS)}")


def _compare(name: str, sign: str, wanted: Sequence[Any]) -> Condition:
    """Whether the field, or an element of it, compares so with one of the values."""
    kinds: dict[str, list[Any]] = {}
    for value in wanted:
        kinds.setdefault(_kind(name, value), []).append(value)
    if name in COLUMNS:
        return f"coalesce({_sides(COLUMNS[name], sign, len(wanted))}, 0)", [str(value) for value in wanted]
    return _joined(" OR ", [_metadata(name, sign, kind, values) for kind, values in kinds.items()]) if kinds else ("0", [])


def _prefix(name: str, value: Any) -> Condition:
    """Whether the field, or an element of it, is a string that begins so."""
    if not isinstance(value, str):
        raise FilterError(f"filter {name!r}: prefix takes a string")
    _check_text(name, value)
    if name in COLUMNS:
        return f"coalesce(instr({COLUMNS[name]}, ?) = 1, 0)", [value]
    return _among(name, "a string", "instr({}, ?) = 1", [value])


def _metadata(name: str, sign: str, kind: str, values: Sequence[Any]) -> Condition:
    return _among(name, kind, _sides("{}", sign, len(values)), values)


def _among(name: str, kind: str, test: str, values: Sequence[Any]) -> Condition:
    """Whether ``test`` holds of the metadata field, or of an element of it, if that is of the kind."""
    scalar, element = (f"{x}.type IN ({_KINDS[kind]}) AND {test.format(f'{x}.value')}" for x in "fe")
    return (
        f"EXISTS (SELECT 1 FROM json_each(d.metadata) f WHERE f.key = ? AND (({scalar}) OR "  # noqa: S608
        f"(f.type = 'array' AND EXISTS (SELECT 1 FROM json_each(f.value) e WHERE {element}))))",
        [name, *values, *values],
    )


def _sides(left: str, sign: str, count: int) -> str:
    return f"{left} IN ({','.join('?' * count)})" if sign == "=" else f"{left} {sign} ?"


def kind_of(value: Any) -> str | None:
    """The kind of a value that can be compared with; None for any other."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    is_large = isinstance(value, int) and not -(2**63) <= value < 2**63
    return "a number" if isinstance(value, int | float) and not is_large else None


def _kind(name: str, value: Any) -> str:
    kind = kind_of(value)
    if kind == "a string":
        _check_text(name, value)
    if kind is None and isinstance(value, int):
        raise FilterError(f"filter {name!r}: numbers of more than 64 bits are not compared")
    if isinstance(value, float) and not isfinite(value):  # which Python's JSON takes
        raise FilterError(f"filter {name!r}: NaN and Infinity are not compared; JSON has no such numbers")
    if kind is None:
        raise FilterError(f"filter {name!r}: compare with a string, a number or a boolean; for absence use exists")
    return kind


def _check_text(name: str, text: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise FilterError(f"filter {name!r} holds half of a surrogate pair, which is not text; send valid Unicode")


def _exists(name: str, wanted: bool) -> Condition:
    if name in COLUMNS:
        return f"coalesce({COLUMNS[name]}, '') {'<>' if wanted else '='} ''", []
    there = "EXISTS (SELECT 1 FROM json_each(d.metadata) f WHERE f.key = ? AND f.type <> 'null')"
    return there if wanted else f"NOT {there}", [name]


def _joined(word: str, parts: list[Condition]) -> Condition:
    return "(" + word.join(sql for sql, _ in parts) + ")", [value for _, values in parts for value in values]
