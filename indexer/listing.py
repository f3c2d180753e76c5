"""Which documents there are, a page at a time, by id: pages never overlap, and a commit in between moves none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from indexer.documents import Document
from indexer.filters import source_of
from indexer.snapshot import Snapshot


class ListedDocument(NamedTuple):
    """A document without its text. ``source``: see :func:`indexer.filters.source_of`."""

    document_id: str
    title: str
    uri: str | None
    date: str | None
    media_type: str
    source: str
    characters: int
    passages: int


def listed(snapshot: Snapshot, words: str = "", after: str = "", limit: int = 50) -> list[ListedDocument]:
    """The first ``limit`` documents of ids above ``after`` that have all the words in title or id, case aside."""
    condition, values = _holding(words)
    rows = snapshot.document_rows(f"{condition} AND d.id > ? ORDER BY d.id LIMIT ?", [*values, after, limit])
    return [_listed(*row) for row in rows]


def count(snapshot: Snapshot, words: str = "") -> int:
    """How many documents have all the words in title or id."""
    return snapshot.count_documents(*_holding(words)) if words.strip() else snapshot.sizes()[0]


def failures(snapshot: Snapshot, offset: int = 0, limit: int = 100) -> list[tuple[str, str, str]]:
    """Path, record ("" for the whole file) and reason of what could not be read, by path."""
    return list(islice(_failures(snapshot), offset, offset + limit))


def _failures(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    for source in snapshot.sources():
        for record, reason in source.failures:
            yield source.path, record, reason


def _holding(words: str) -> tuple[str, list[str]]:
    each = words.casefold().split()
    return " AND ".join(["1", *["instr(folded(d.title || char(10) || d.id), ?)"] * len(each)]), each


def _listed(document: Document, name: str | None, passages: int) -> ListedDocument:
    return ListedDocument(
        document.id,
        document.title,
        document.uri,
        document.date,
        document.media_type,
        source_of(document.id, name, document.uri),
        len(document.text),
        passages,
    )
