"""What the catalog holds, as it is written and read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.documents import Document
from indexer.formats import Remark
from indexer.passages import Passage
from indexer.sentences import Span
from indexer.terms import Codes
from indexer.tokens import NO_TOKENS, TokenBlock, TokenCodes

Keys = npt.NDArray[np.int64]
NO_TERMS: Codes = np.empty(0, np.uint32)


class Source(NamedTuple):
    """A synced file. ``hash`` is "" while not all of it is committed; ``failures`` are (record, reason): what of it could not
    be read; ``remarks`` are what is to be known of the rest."""

    key: int
    path: str
    name: str
    stamp: str
    hash: str
    failures: tuple[tuple[str, str], ...]
    remarks: tuple[Remark, ...] = ()


class StoredPassage(NamedTuple):
    """A passage with all that a result shows, as of one commit."""

    key: int
    id: str
    ordinal: int
    start: int
    end: int
    labels: tuple[Span, ...]
    language: str
    document: Document

    @property
    def text(self) -> str:
        """The passage: a slice of the canonical text."""
        return self.document.text[self.start : self.end]

    @property
    def heading(self) -> str | None:
        """Its labels in words, or None."""
        return Passage(self.start, self.end, self.labels).heading(self.document.text) or None


class EncodedPassage(NamedTuple):
    """A passage that is ready to be written: ``input`` is the hash of what was encoded, ``vector`` float16 [d], ``terms``
    uint32 [t] made with the stemmer of ``language``."""

    passage: Passage
    input: bytes
    vector: npt.NDArray[np.float16]
    tokens: TokenCodes = NO_TOKENS
    terms: Codes = NO_TERMS
    language: str = ""


class Encoding(NamedTuple):
    """What the encoder made of an input: its ``vector`` float16 [d] and its tokens."""

    vector: npt.NDArray[np.float16]
    tokens: TokenCodes


class Candidate(NamedTuple):
    """What ranking reads of a passage; ``content`` is the hash of its text, ``input`` of that with its context."""

    key: int
    id: str
    content: bytes
    input: bytes
    terms: Codes
    tokens: TokenCodes


class Candidates(NamedTuple):
    """What ranking reads of n passages: of each its key, id, content and input (see :class:`Candidate`); the ``terms`` of one
    after the other, of which each has ``lengths`` int64 [n]; and their tokens."""

    named: list[tuple[int, str, bytes, bytes]]
    terms: Codes
    lengths: npt.NDArray[np.int64]
    tokens: TokenBlock

    def split(self) -> list[Candidate]:
        """Each passage's own, sharing memory."""
        ends = np.cumsum(self.lengths).tolist()
        rows = zip(self.named, [0, *ends], ends, self.tokens.split(), strict=False)
        return [Candidate(*named, self.terms[a:b], tokens) for named, a, b, tokens in rows]


class Copy(NamedTuple):
    """A passage with the text of another one."""

    key: int
    id: str
    input: bytes


class Changes(NamedTuple):
    """What happened between two commits: ``added`` keys with ``vectors`` float16 [n, d], and ``removed`` keys."""

    added: Keys
    vectors: npt.NDArray[np.float16]
    removed: Keys


class TermChanges(NamedTuple):
    """As :class:`Changes`, with the terms of what was added."""

    added: Keys
    terms: list[Codes]
    removed: Keys


class Listed(NamedTuple):
    """A document without its text. ``source``: see :func:`indexer.filters.source_of`."""

    document_id: str
    title: str
    uri: str | None
    date: str | None
    media_type: str
    source: str
    characters: int
    passages: int


class Counts(NamedTuple):
    """How much a collection holds."""

    documents: int
    passages: int
    characters: int
    failures: int
