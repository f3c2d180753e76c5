"""Where a sync has the documents of files from: they are read here, one after the other, or elsewhere and ahead of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol, Self

from indexer.documents import Document, Unreadable, content_hash, read_documents
from indexer.errors import UnreadableError
from indexer.extraction import DEFAULT_LIMITS, Extractor, Limits
from indexer.folders import File
from indexer.ingest import Ready


class Wanted(NamedTuple):
    """A file that a sync is going to ask for, unless something else comes of it: under which ``name`` its document would be
    stored, and what of it is known. If the hash of its content is ``known``, it is not read. Documents with one of these
    ``hashes`` are indexed already as they are."""

    file: File
    name: str
    known: str
    hashes: frozenset[str]


class Reader(Protocol):
    """Reads the files of one sync. Use it as a context."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End what reads."""

    def expect(self, wanted: Iterable[Wanted], movable: Collection[str]) -> None:
        """What is going to be asked for, in this order. A new file whose content has a hash that is ``movable`` was moved."""

    def digest(self, file: File) -> str:
        """The hash of a file's content. Raises `UnreadableError`."""

    def documents(self, file: File, name: str) -> Iterator[Document | Ready | Unreadable]:
        """As :func:`indexer.documents.read_documents`; after ``digest`` of the same file."""


class LocalReader:
    """Reads in this process and its extracting child."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._extractor = Extractor(limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._extractor.end()

    def expect(self, wanted: Iterable[Wanted], movable: Collection[str]) -> None:
        """Nothing is read ahead."""

    def digest(self, file: File) -> str:
        """See :class:`Reader`."""
        return digest_of(file, self._extractor.limits)

    def documents(self, file: File, name: str) -> Iterator[Document | Unreadable]:
        """See :class:`Reader`."""
        return read_documents(file.path, name, file.root, self._extractor)


def digest_of(file: File, limits: Limits) -> str:
    """The hash of a file's content. Raises `UnreadableError`."""
    try:
        return content_hash(file.path, file.root, limits.file)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
