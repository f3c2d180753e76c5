"""Which documents there are, a page at a time, by id: pages never overlap, and a commit in between moves none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from indexer.documents import Document
from indexer.filters import COLUMNS, source_of
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


class Wanted(NamedTuple):
    """Which documents to list: those of a source, if one is given, that have all the words in title or id, case aside."""

    words: str = ""
    source: str | None = None

    def condition(self) -> tuple[str, list[str]]:
        """For SQL, over a document ``d``, with its values."""
        words = list(dict.fromkeys(self.words.casefold().split()))  # a word that is repeated costs as much as another
        parts = ["instr(folded(d.title || char(10) || d.id), ?)"] * len(words)
        if self.source is None:
            return " AND ".join(["1", *parts]), words
        return " AND ".join([*parts, f"{COLUMNS['source']} = ?"]), [*words, self.source]


def listed(snapshot: Snapshot, wanted: Wanted, after: str = "", limit: int = 50) -> list[ListedDocument]:
    """The first ``limit`` of these documents, of ids above ``after``."""
    condition, values = wanted.condition()
    rows = snapshot.document_rows(f"{condition} AND d.id > ? ORDER BY d.id LIMIT ?", [*values, after, limit])
    return [_listed(*row) for row in rows]


def count(snapshot: Snapshot, wanted: Wanted) -> int:
    """How many of these documents there are."""
    condition, values = wanted.condition()
    return snapshot.count_documents(condition, values) if values else snapshot.sizes()[0]


def failures(snapshot: Snapshot, offset: int = 0, limit: int = 100) -> list[tuple[str, str, str]]:
    """Path, record ("" for the whole file) and reason of what could not be read, by path."""
    return list(islice(_failures(snapshot), offset, offset + limit))


def _failures(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    for source in snapshot.sources():
        for record, reason in source.failures:
            yield source.path, record, reason


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
