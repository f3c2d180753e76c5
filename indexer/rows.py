"""Rows of the catalog -> what they hold, compared with their checksums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from indexer.checksums import DOCUMENT_COLUMNS, check
from indexer.documents import Document, Heading
from indexer.filters import COLUMNS as FILTERED
from indexer.filters import source_of
from indexer.formats import Remark
from indexer.records import Listed, Source

# What is read of a document ``d``, of a file ``s``, and of a document for filters.
DOCUMENT = ", ".join(f"d.{name}" for name in ("checksum", *DOCUMENT_COLUMNS))
SOURCE = "s.checksum, s.key, s.path, s.name, s.stamp, s.hash, s.failure"
DESCRIBED = ", ".join((*FILTERED.values(), "d.metadata"))


def as_document(row: Sequence[Any]) -> Document:
    """A document of which a row has ``DOCUMENT``. Raises :class:`indexer.checksums.Mismatch`."""
    check("a document", *row)
    document_id, _, title, text, uri, date, metadata, media_type, pages, headings = row[2:12]
    return Document(
        document_id, title, text, uri, date, json.loads(metadata), media_type,
        tuple(json.loads(pages)), tuple(Heading(*heading) for heading in json.loads(headings)),
    )  # fmt: skip


def as_described(rows: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """What filters know of documents whose rows have ``DESCRIBED``."""
    for *columns, metadata in rows:
        yield {**dict(zip(FILTERED, columns, strict=True)), "metadata": json.loads(metadata)}


def as_listed(one: Document, file: str | None, passages: int) -> Listed:
    """A document without its text, ``file`` is the name of the file that it came from."""
    source = source_of(one.id, file, one.uri)
    return Listed(one.id, one.title, one.uri, one.date, one.media_type, source, len(one.text), passages)


def as_source(row: Sequence[Any]) -> Source:
    """A synced file of which a row has ``SOURCE``. Raises :class:`indexer.checksums.Mismatch`."""
    check("a file", *row)
    return Source(row[1], row[2], row[3], row[4], row[5], *_failures(row[6]))


def _failures(text: str | None) -> tuple[tuple[tuple[str, str], ...], tuple[Remark, ...]]:
    """Failures, which are pairs, and remarks, which have a third item."""
    rows = json.loads(text or "[]")
    return tuple((row[0], row[1]) for row in rows if len(row) == 2), tuple(Remark(*row[:2]) for row in rows if len(row) > 2)
