"""Whether two indexes hold the same, to the bit: documents, passages, vectors, token codes, terms, and files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

_DOCUMENTS = (
    "SELECT key, id, source, title, text, uri, date, metadata, media_type, pages, headings, hash FROM document ORDER BY id"
)
_PASSAGES = (
    "SELECT p.key, p.id, p.document, p.ordinal, p.start, p.end, p.labels, p.language, p.content, p.input, v.value, t.codes, "
    "t.places, t.norms, w.codes FROM passage p JOIN vector v ON v.passage = p.key JOIN token t ON t.passage = p.key "
    "JOIN term w ON w.passage = p.key ORDER BY p.id"
)
_SOURCES = "SELECT key, path, name, stamp, hash, failure FROM source ORDER BY path"
_KEYS = {"documents": (0, 2), "passages": (0, 2), "sources": (0,)}  # columns that tell in which order things came


class Contents(NamedTuple):
    """All that indexing decides, as the catalog has it: rows by id or path."""

    documents: list[tuple[Any, ...]]
    passages: list[tuple[Any, ...]]
    sources: list[tuple[Any, ...]]

    def without_keys(self) -> Contents:
        """The same, whatever came first."""
        return Contents(*(
            [tuple(value for at, value in enumerate(row) if at not in _KEYS[name]) for row in rows]
            for name, rows in self._asdict().items()
        ))  # fmt: skip


def contents(index: Path) -> Contents:
    """What the last commit holds."""
    with closing(sqlite3.connect(f"file:{index / 'catalog.sqlite'}?mode=ro", uri=True)) as db:
        found = Contents(*(db.execute(query).fetchall() for query in (_DOCUMENTS, _PASSAGES, _SOURCES)))
        assert len(found.passages) == db.execute("SELECT count(*) FROM passage").fetchone()[0]
    return found


def documents(index: Path) -> list[str]:
    """The ids of all documents that are committed; none while there is no index."""
    try:
        with closing(sqlite3.connect(f"file:{index / 'catalog.sqlite'}?mode=ro", uri=True)) as db:
            return [row[0] for row in db.execute("SELECT id FROM document ORDER BY id")]
    except sqlite3.OperationalError:
        return []
