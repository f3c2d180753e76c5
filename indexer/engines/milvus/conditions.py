"""Search filters to conditions of a Milvus server over passages, with the meaning that :mod:`indexer.filters` gives them.

Equality and existence are tags (:func:`indexer.engines.milvus.encoding.tags`), dates a field. What a server cannot compare as
we do, a range or a beginning of another field, is answered from the list of documents, by who is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from indexer.engines.milvus.encoding import COLUMN, EXISTS, key_of, tag, word
from indexer.filters import COLUMNS, kind_of
from indexer.terms import DIVIDER

NOBODY = 'document == ""'
Others = Callable[[Mapping[str, Any]], str]  # the condition of the documents that meet a filter
_SIGNS = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<"}


def condition_of(where: Mapping[str, Any], others: Others) -> str:
    """The condition that every field's is met. ``where`` was found right by :func:`indexer.filters.condition`."""
    return _joined(" and ", [_field(name, wanted, others) for name, wanted in where.items()])


def phrase_condition(forms: Sequence[Sequence[int]]) -> str:
    """The condition that one of these forms of a phrase stands in a passage's own text, which is behind the divider."""
    parts = [f'words like "%{word(DIVIDER)}% {" ".join(map(word, codes))} %"' for codes in forms]
    return _joined(" or ", parts) if parts else NOBODY


def _field(name: str, wanted: Any, others: Others) -> str:
    if name == "uri":
        return others({name: wanted})
    if isinstance(wanted, Mapping):
        return _joined(" and ", [_operator(name, operator, value, others) for operator, value in wanted.items()])
    return _equals(name, wanted if isinstance(wanted, list) else [wanted])


def _operator(name: str, operator: str, value: Any, others: Others) -> str:
    if operator == "not":
        return f"not ({_field(name, value, others)})"
    if operator == "exists":
        there = _exists(name)
        return there if value else f"not ({there})"
    if name == "date" and operator in _SIGNS:
        return f'(date != "" and date {_SIGNS[operator]} {_quoted(str(value))})'
    if name == "date":  # a prefix
        return f'(date != "" and date >= {_quoted(value)} and date < {_quoted(value + "~")})'  # ~ is above all that dates hold
    return others({name: {operator: value}})


def _equals(name: str, wanted: Sequence[Any]) -> str:
    if name == "id":
        keys = [f'"{key_of(str(value))}"' for value in wanted]
        return f"document in [{', '.join(keys)}]" if keys else NOBODY
    found = [tag(COLUMN, name, str(value)) if name in COLUMNS else tag(kind_of(value) or "", name, value) for value in wanted]
    return _any_of(found) if found else NOBODY


def _exists(name: str) -> str:
    if name == "date":
        return 'date != ""'
    if name == "id":
        return f"not ({NOBODY})"
    if name in COLUMNS:  # and not empty: the tag of "" is another one's
        return f"array_contains(tags, {json.dumps(tag(EXISTS + ' ' + COLUMN, name))})"
    return f"array_contains(tags, {json.dumps(tag(EXISTS, name))})"


def _any_of(tags: Sequence[str]) -> str:
    if len(tags) == 1:
        return f"array_contains(tags, {json.dumps(tags[0])})"
    return f"array_contains_any(tags, {json.dumps(list(tags))})"


def _quoted(text: str) -> str:
    """Text that dates are compared with. Not every server reads what JSON makes of a control character; a space stands before
    and behind the same dates."""
    return json.dumps("".join(max(char, " ") for char in text), ensure_ascii=False)


def _joined(between: str, parts: Sequence[str]) -> str:
    return "(" + between.join(parts) + ")"
