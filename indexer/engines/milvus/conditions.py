"""Search filters to conditions of a Milvus server over passages, with the meaning that :mod:`indexer.filters` gives them.

Equality and existence are tags (:func:`indexer.engines.milvus.encoding.tags`), dates a field. What a server cannot compare as
we do, a range or a beginning of another field, is answered from the list of documents: as the documents that meet it, those
that do not, or the values that do, whichever are few enough to stand in a condition.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from indexer.engines.milvus.connection import one_of
from indexer.engines.milvus.encoding import COLUMN, EXISTS, key_of, tag, word
from indexer.engines.milvus.mirror import Mirror
from indexer.filters import COLUMNS, Condition, FilterError, condition, kind_of
from indexer.terms import DIVIDER

NOBODY = 'document == ""'
Others = Callable[[Mapping[str, Any]], str]  # the condition of the documents that meet a filter
_SIGNS = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<"}
# Documents, or values, that stand in one condition, 240 KB of it. milvus-lite compares 20,000 passages with so many in .4 s,
# with 200,000 in 4 s.
MOST_LISTED = 10_000
_MOST_CHARS = 4_000_000  # of a whole condition; a message of a server may have 64 MB
_WITHOUT_TAGS = ("id", "uri")


def conditions_of(filters: Sequence[Mapping[str, Any]], mirror: Callable[[], Mirror]) -> list[str]:
    """The conditions that together are those of all ``filters``. ``mirror`` is asked for only if a server cannot answer all of
    it. Raises :class:`FilterError` for what would list more than a condition can hold."""
    if not any(_is_looked_up(where) for where in filters):
        return [condition_of(where, lambda _: NOBODY) for where in filters]
    documents = mirror()
    every = [condition(where) for where in filters]
    sql, values = " AND ".join(one for one, _ in every), [value for _, some in every for value in some]
    if (found := _listed(documents, (sql, values))) is not None:
        return [found]

    def others(where: Mapping[str, Any]) -> str:
        return _looked_up(documents, where)

    parts = [condition_of(where, others) for where in filters]
    if sum(map(len, parts)) > _MOST_CHARS:
        raise FilterError("the filter has too many ranges that leave many documents each; ask for fewer at once")
    return parts


def condition_of(where: Mapping[str, Any], others: Others) -> str:
    """The condition that every field's is met. ``where`` was found right by :func:`indexer.filters.condition`."""
    return _joined(" and ", [_field(name, wanted, others) for name, wanted in where.items()])


def phrase_condition(forms: Sequence[Sequence[int]]) -> str:
    """The condition that one of these forms of a phrase stands in a passage's own text, which is behind the divider."""
    parts = [f'words like "%{word(DIVIDER)}% {" ".join(map(word, codes))} %"' for codes in forms]
    return _joined(" or ", parts) if parts else NOBODY


def _is_looked_up(where: Mapping[str, Any]) -> bool:
    parts: list[Mapping[str, Any]] = []

    def others(part: Mapping[str, Any]) -> str:
        parts.append(part)
        return NOBODY

    condition_of(where, others)
    return bool(parts)


def _looked_up(documents: Mirror, where: Mapping[str, Any]) -> str:
    """The condition of one field's comparison that a server does not make: by documents, or by values."""
    if (found := _listed(documents, condition(where))) is not None:
        return found
    ((name, wanted),) = where.items()
    if name not in _WITHOUT_TAGS:
        ((operator, value),) = wanted.items()
        values = documents.values(name, operator, value, MOST_LISTED + 1)
        if len(values) <= MOST_LISTED and not any(isinstance(one, float) for one in values):  # SQLite may read another one
            return _equals(name, values)
    raise FilterError(
        f"filter {name!r}: over a server a range, a beginning or a uri has to leave at most {MOST_LISTED:,} documents, or all "
        f"but so many, or (not of id and uri) at most {MOST_LISTED:,} different whole numbers or strings; narrow it, or add to "
        "the filter what leaves fewer documents, such as dates or values that are equal"
    )


def _listed(documents: Mirror, asked: Condition) -> str | None:
    """The condition of the documents that meet an SQL condition; None if neither they nor the others are few."""
    sql, values = asked
    found = documents.keys(sql, values, MOST_LISTED + 1)
    if len(found) <= MOST_LISTED:
        return one_of("document", found or [""])
    rest = documents.keys(f"NOT ({sql})", values, MOST_LISTED + 1)
    return f"not ({one_of('document', rest or [''])})" if len(rest) <= MOST_LISTED else None


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
