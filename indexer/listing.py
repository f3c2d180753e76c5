"""Which documents there are, a page at a time, by id: pages never overlap, and a commit in between moves none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from indexer.engines.contract import Reader
from indexer.filters import COLUMNS
from indexer.records import Listed


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


def listed(snapshot: Reader, wanted: Wanted, after: str = "", limit: int = 50) -> list[Listed]:
    """The first ``limit`` of these documents, of ids above ``after``."""
    condition, values = wanted.condition()
    return snapshot.listed(condition, values, after, limit)


def count(snapshot: Reader, wanted: Wanted) -> int:
    """How many of these documents there are."""
    condition, values = wanted.condition()
    return snapshot.count_documents(condition, values) if values else snapshot.sizes()[0]


def failures(snapshot: Reader, offset: int = 0, limit: int = 100) -> list[tuple[str, str, str]]:
    """Path, record ("" for the whole file) and reason of what could not be read, by path."""
    return list(islice(_failures(snapshot), offset, offset + limit))


def _failures(snapshot: Reader) -> Iterator[tuple[str, str, str]]:
    for source in snapshot.sources():
        for record, reason in source.failures:
            yield source.path, record, reason
