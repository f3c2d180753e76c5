"""Filters as they are typed on a command line: ``tags=isis``, ``year>=2020``, or the JSON that HTTP takes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from indexer.filters import FilterError

_TYPED = re.compile(r"(?P<field>[^=<>!]+?)\s*(?P<sign>!=|>=|<=|=|>|<)\s*(?P<value>.*)", re.DOTALL)
_OPERATORS = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}
_NUMBER = re.compile(r"-?\d{1,18}(\.\d+)?")
_ADVICE = "write tags=isis, year>=2020, tags!=draft, or JSON as HTTP takes it"


def filter_of(typed: Sequence[str]) -> dict[str, Any]:
    """The filter; conditions on different fields must all hold, values of one field are alternatives.

    Raises :class:`FilterError`.
    """
    where: dict[str, Any] = {}
    for one in typed:
        for field, wanted in _read(one).items():
            where[field] = _both(field, where[field], wanted) if field in where else wanted
    return where


def _read(one: str) -> dict[str, Any]:
    if one.lstrip().startswith("{"):
        return _parsed(one)
    match = _TYPED.fullmatch(one.strip())
    if match is None:
        raise FilterError(f"the filter {one!r} is not understood; {_ADVICE}")
    field, sign, value = match.group("field", "sign", "value")
    if sign == "=":
        return {field: _alternatives(value)}
    if sign == "!=":
        return {field: {"not": _alternatives(value)}}
    return {field: {_OPERATORS[sign]: _number(value) if _NUMBER.fullmatch(value) else value}}


def _parsed(one: str) -> dict[str, Any]:
    try:
        where = json.loads(one)
    except ValueError as error:
        raise FilterError(f"the filter {one!r} is not valid JSON: {error}; {_ADVICE}") from error
    return dict(where)  # what begins with a brace is an object


def _alternatives(value: str) -> list[Any]:
    """What is typed is text, but a field may hold it as a number or as true or false."""
    others: list[Any] = [_number(value)] if _NUMBER.fullmatch(value) else []
    return [value, *others, *([value == "true"] if value in ("true", "false") else [])]


def _number(value: str) -> int | float:
    return float(value) if "." in value else int(value)


def _both(field: str, first: Any, second: Any) -> Any:
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    if isinstance(first, dict) and isinstance(second, dict) and not first.keys() & second.keys():
        return {**first, **second}
    raise FilterError(f"the conditions on {field!r} cannot be joined: give them as one JSON filter")
