"""What a sync asks for, taken from rows that others make ahead of it; what they did not make is read here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Self

from indexer.documents import Document, Unreadable
from indexer.errors import UnreadableError
from indexer.extraction import Limits
from indexer.folders import File
from indexer.ingest import Ready, Split
from indexer.reader import LocalReader, Wanted
from indexer.stages import ElsewhereError, Head, Row

Make = Callable[[Sequence[Wanted], frozenset[str]], Iterator[Row]]


class AheadReader:
    """A :class:`indexer.reader.Reader` over the rows that ``make`` gives of the files that are wanted."""

    def __init__(self, make: Make, limits: Limits) -> None:
        self._make, self._here = make, LocalReader(limits)
        self._wanted: list[Wanted] = []
        self._numbers: dict[str, int] = {}  # of the wanted files, by path
        self._rows: Iterator[Row] = iter(())
        self._next: Row | None = None  # taken from the rows, and not used yet
        self._head: Head | None = None  # of the file whose documents come next

    def __enter__(self) -> Self:
        self._here.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._here.__exit__(*error)

    def expect(self, wanted: Iterable[Wanted], movable: Collection[str]) -> None:
        """See :class:`indexer.reader.Reader`."""
        self._wanted = list(wanted)
        self._numbers = {str(one.file.path): number for number, one in enumerate(self._wanted)}
        self._rows = self._make(self._wanted, frozenset(movable)) if self._wanted else iter(())

    def digest(self, file: File) -> str:
        """See :class:`indexer.reader.Reader`."""
        number = self._numbers.get(str(file.path))
        self._head = None if number is None else self._head_of(number)
        if self._head is None:
            return self._here.digest(file)
        if self._head.reason:
            raise UnreadableError(self._head.reason)
        return self._head.digest

    def documents(self, file: File, name: str) -> Iterator[Document | Ready | Unreadable]:
        """See :class:`indexer.reader.Reader`."""
        number = self._numbers.get(str(file.path))
        if number is None or self._head is None or not self._head.was_read or self._wanted[number].name != name:
            yield from self._here.documents(file, name)
            return
        while (row := self._peek()) and row.number == number:
            self._next = None
            if isinstance(row.part, Head | Split):
                raise ElsewhereError(f"a document of {file.path} came back as it was sent; run the same command again")
            yield row.part

    def _head_of(self, number: int) -> Head | None:
        """The head of that file, before whose rows others are dropped; None if the rows are beyond it."""
        while (row := self._peek()) and row.number < number:
            self._next = None
        if row is None:
            raise ElsewhereError("the cluster ended before all files were read; run the same command again to go on from here")
        if row.number > number or not isinstance(row.part, Head):
            return None
        self._next = None
        return row.part

    def _peek(self) -> Row | None:
        if self._next is None:
            self._next = next(self._rows, None)
        return self._next
