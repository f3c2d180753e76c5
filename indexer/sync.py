"""Folders and files to documents: what was added, changed, moved or deleted since the last time.

A file is its absolute path; its document's id is the path under which it was first seen, relative to the folder that was
named, and stays when the file moves. A file that cannot be read is reported, and what was indexed of it before is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from indexer.documents import Document, Unreadable
from indexer.engines.contract import Engine, Writer
from indexer.errors import UnreadableError
from indexer.extraction import DEFAULT_LIMITS, Limits
from indexer.folders import File, Found, find, is_below
from indexer.formats import Remark
from indexer.hashes import document_hash
from indexer.ingest import Ingest, Ready, Step
from indexer.reader import LocalReader, Reader, Wanted, digest_of
from indexer.records import Source
from indexer.synced import Change, Failure, Noted, Progress, Summary

MOST_REMARKS = 3  # of one file
MOST_FAILURES = 1000  # the same, of its records
_ID_CHARS = 200  # of the id of a document that is refused
_DOCUMENT = "document "  # with its id: the record of a failure that is not the file's own


class Sync:
    """One run over some paths. ``summary`` is true at any moment, also after an interruption.

    ``changed`` is told of each file. With ``spare_empty``, a folder that was named and is empty now loses nothing, since it may
    be the place of a disk that is away: ``spared`` are those of which something is indexed. Without ``retries``, a file that
    took too much is left alone until it changes. ``reader`` reads the files; by default that is done here."""

    def __init__(
        self,
        collection: Engine,
        report: Callable[[Progress], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        changed: Callable[[Change], None] | None = None,
        spare_empty: bool = False,
        retries: bool = True,
        reader: Reader | None = None,
    ) -> None:
        self.summary = Summary()
        self.spared: list[Path] = []
        self._tell = changed or (lambda _: None)
        self._spare_empty = spare_empty
        self._retries = retries
        self._limits = limits
        self._reader = reader or LocalReader(limits)
        self._collection = collection
        self.progress = Progress()
        self._report = report
        self._finished_bytes = 0  # of the files before the current one
        self._ingest = Ingest(collection, self._advance)
        self._files: dict[str, File] = {}  # by path: what this run has found
        self._paths: dict[str, str] = {}  # the file of each document that this run has met
        self._names: set[str] = set()
        self._known: dict[int, Source] = {}
        self._counts: dict[int, int] = {}  # documents of each known source
        self._gone: dict[int, Source] = {}
        self._movable: dict[str, list[Source]] = {}  # by the hash of their content
        self._keeping: dict[int, bool] = {}

    def run(self, paths: Sequence[Path], wait_s: float = 0.0, kept: Sequence[Path] = ()) -> Summary:
        """Bring the collection up to date with ``paths``; nothing below ``kept`` is deleted. Raises :class:`SyncError`,
        :class:`indexer.lock.LockedError`."""
        if not self._collection.is_loaded and self._has_new(paths):
            _ = self._collection.encoder  # takes seconds, in which others may write
        with self._collection.lock.held(wait_s), self._ingest, self._reader:
            try:
                found = find(paths, self.summary)
                found.unread += kept
                self._run(found)
            finally:
                self.summary.passages_encoded = self._ingest.effort.encoded
                self.summary.passages_reused = self._ingest.effort.reused
        return self.summary

    def _has_new(self, paths: Sequence[Path]) -> bool:
        """Whether a file is there that is not indexed as it is now; one that failed may fail again."""
        found = find(paths, Summary())
        with self._collection.catalog.read() as snapshot:
            known = {source.path: source for source in snapshot.sources()}
        sources = ((file, known.get(str(file.path))) for file in found.files)
        return any(source is None or (source.hash != "" and source.stamp != file.stamp) for file, source in sources)

    def _run(self, found: Found) -> None:
        with self._collection.catalog.read() as snapshot:
            known = {source.path: source for source in snapshot.sources()}
            self._counts = snapshot.document_counts()
        if self._spare_empty:
            self.spared = [folder for folder in found.empty if any(is_below(path, [folder]) for path in known)]
            found.unread += self.spared
        self._files = {str(file.path): file for file in found.files}
        self._known = {source.key: source for source in known.values()}
        self._names = {source.name for source in known.values()}
        self._gone = _gone(known, found)
        for source in known.values():
            if source.hash and (source.key in self._gone or not is_below(source.path, found.folders)):
                self._movable.setdefault(source.hash, []).append(source)
        unread = [file for file in found.files if not self._is_settled(known.get(str(file.path)), file)]
        self.progress.total_bytes = sum(file.size for file in unread)
        self._reader.expect(self._wanted(unread, known), self._movable)
        for file in found.files:
            self._file(file, known.get(str(file.path)))
        for source in self._gone.values():
            self._delete(source)
        self._ingest.flush()

    def _file(self, file: File, source: Source | None) -> None:
        retry = source is not None and self._can_have_more(source)
        if source and self._is_settled(source, file) and not retry:
            self._same(source)
            return
        try:
            digest = self._reader.digest(file)
        except UnreadableError as error:
            self._fail(file, source, str(error))
            return
        if source and source.hash == digest and not retry and not _is_unread(source):
            self._same(source)
            name, told = source.name, (source.failures, source.remarks)
            self._ingest.then(lambda writer: writer.put_source(str(file.path), name, file.stamp, digest, *told))
            self._ingest.then(lambda _: file.size, self._finished)
        elif source is None and (moved := self._moved_from(digest)):
            self._move(moved, file)
        else:
            self._read(file, source, digest)

    def _is_settled(self, source: Source | None, file: File) -> bool:
        """Whether there is nothing to read: only a file that was tried has a stamp and no hash."""
        return _is_same(source, file) or (not self._retries and source is not None and source.stamp == file.stamp)

    def _wanted(self, files: Sequence[File], known: Mapping[str, Source]) -> Iterator[Wanted]:
        """What is probably read of files that are not as they were. A file that failed as a whole is read whatever it holds."""
        with self._collection.catalog.read() as snapshot:
            for file in files:
                if source := known.get(str(file.path)):
                    hashes = frozenset(snapshot.documents_of(source.key).values())
                    yield Wanted(file, source.name, "" if _is_unread(source) else source.hash, hashes)
                else:
                    yield Wanted(file, file.name, "", frozenset())

    def _same(self, source: Source, counter: str = "unchanged") -> None:
        self._count(counter, self._counts.get(source.key, 0))
        self._note(source.path, source.failures, source.remarks)

    def _note(self, path: str, failures: Sequence[tuple[str, str]], remarks: Sequence[Remark]) -> None:
        self.summary.failed += [Failure(path, *one) for one in failures]
        self.summary.noted += [Noted(path, *one) for one in remarks]

    def _move(self, source: Source, file: File) -> None:
        path, uri, count = str(file.path), file.path.as_uri(), self._counts.get(source.key, 0)
        with self._collection.catalog.read() as snapshot:
            document = snapshot.document(source.name)
        moved = source._replace(path=path, stamp=file.stamp)
        self._known[source.key] = moved

        def known(key: int) -> None:
            self._known[key] = moved  # a file's key may be of its path

        self._ingest.then(
            lambda writer: writer.move_source(source.key, path, file.stamp, uri),
            lambda _: self._tell(Change("moved", path, source.path)),
        )
        self._ingest.then(lambda writer: writer.source_key(path), known)
        if document and document.title == Path(source.path).stem != file.path.stem:
            # A text without a title of its own is called as its file is.
            self._read(file, moved, source.hash, ("moved", "moved"))
            return
        self._ingest.then(lambda _: count, lambda by: self._count("moved", by))
        self._ingest.then(lambda _: file.size, self._finished)
        self._note(path, source.failures, source.remarks)

    def _read(
        self, file: File, source: Source | None, digest: str, counters: tuple[str, str] = ("unchanged", "changed")
    ) -> None:
        """Read a new or changed file. Until all of its documents are committed its hash is "", so a stop is noticed."""
        path, name = str(file.path), source.name if source else self._free_name(file)
        before: dict[str, str] = {}
        if source:
            with self._collection.catalog.read() as snapshot:
                before = snapshot.documents_of(source.key)
        self._ingest.then(lambda writer: writer.put_source(path, name, "", "", ()))
        failures = _Failures()
        remarks: list[Remark] = []
        seen: set[str] = set()
        for one in self._reader.documents(file, name):
            if isinstance(one, Unreadable):
                digest = "" if one.again else digest  # without a hash it is tried again the next time
                failures.add(one.source, one.reason)
                continue
            document = one.split.document if isinstance(one, Ready) else one
            if reason := self._taken(document.id, path):
                failures.add(_DOCUMENT + document.id, reason)
            elif reason := self._unfit(document):
                failures.add(f'"{document.id[:_ID_CHARS]}"', reason)
            else:
                seen.add(document.id)
                remarks += document.remarks
                self._document(one, document, path, before, counters)
        if was_read := not failures.whole:  # if the whole file failed, what was indexed of it is kept
            self._delete_all([one for one in sorted(before.keys() - seen) if self._paths.get(one, path) == path])
        refused, told = failures.told(), _few(remarks)
        self._note(path, refused, told)
        self._ingest.then(lambda writer: writer.put_source(path, name, file.stamp, digest, refused, told))
        if was_read and "moved" not in counters:
            self._ingest.then(lambda _: Change("changed" if source else "added", path), self._tell)
        self._ingest.then(lambda _: file.size, self._finished)

    def _document(
        self, one: Document | Ready, document: Document, path: str, before: Mapping[str, str], counters: tuple[str, str]
    ) -> None:
        self._paths[document.id] = path
        same, changed = counters
        if before.get(document.id) == document_hash(document):
            self._count(same)
            return
        counter = changed if document.id in before else "added"
        self._ingest.then(lambda _: 1, lambda by: self._count(counter, by))
        self._ingest.document(one, path)

    def _delete_all(self, document_ids: Sequence[str]) -> None:
        if document_ids:
            self._deleted(lambda writer: sum(writer.delete_document(one) for one in document_ids))

    def _delete(self, source: Source) -> None:
        self._deleted(lambda writer: writer.delete_source(source.key))
        self._ingest.then(lambda _: Change("deleted", source.path), self._tell)

    def _deleted(self, delete: Callable[[Writer], int]) -> None:
        self._ingest.then(delete, lambda by: self._count("deleted", by))

    def _fail(self, file: File, source: Source | None, reason: str) -> None:
        self.summary.failed.append(Failure(str(file.path), "", reason))
        if source and (source.hash, source.failures) == ("", (("", reason),)):
            return  # as it was the last time
        name = source.name if source else self._free_name(file)
        # Without a hash, so that it is tried again the next time.
        self._ingest.then(lambda writer: writer.put_source(str(file.path), name, "", "", [("", reason)]))

    def _taken(self, document_id: str, path: str) -> str | None:
        """Why a document of this id cannot come from ``path``; None if it can."""
        if (other := self._paths.get(document_id, path)) != path:
            return f"its id is already that of a document in {other}; give one of them another id"
        with self._collection.catalog.read() as snapshot:
            owner = snapshot.owner(document_id)
        if owner is None:
            return None
        if owner[0] is None:
            return "its id is already that of one that was not indexed from a file; delete that, or give one another id"
        holder = self._known.get(owner[0])
        if holder is None or holder.path == path or not self._keeps(holder):
            return None
        return f"its id is already that of a document in {holder.path}; give one of them another id"

    def _unfit(self, document: Document) -> str | None:
        """Why the collection cannot keep a document; None if it can."""
        try:
            self._collection.check_document(document)
        except UnreadableError as error:
            return str(error)
        return None

    def _keeps(self, source: Source) -> bool:
        """Whether a file's documents stay its own in this run. One that changed, and has not shown yet that it still has
        a document, does not: a line that went from one file to another is not lost."""
        if source.key not in self._keeping:
            self._keeping[source.key] = source.key not in self._gone and self._is_as_indexed(source)
        return self._keeping[source.key]

    def _is_as_indexed(self, source: Source) -> bool:
        file = self._files.get(source.path)
        if file is None or _is_same(source, file):
            return True
        try:
            return digest_of(file, self._limits) == source.hash
        except UnreadableError:
            return True  # what was indexed of it is kept

    def _can_have_more(self, source: Source) -> bool:
        """Whether a document of this file that was refused, since its id was another's, can be had now."""
        ids = [record.removeprefix(_DOCUMENT) for record, _ in source.failures if record.startswith(_DOCUMENT)]
        return any(self._taken(one, source.path) is None for one in ids)

    def _moved_from(self, digest: str) -> Source | None:
        """A file that is gone and had this content, wherever it was: it is not deleted but here now."""
        for source in self._movable.get(digest, ()):
            if self._gone.pop(source.key, None) or not _may_exist(source.path):
                self._movable[digest].remove(source)
                return source
        return None

    def _free_name(self, file: File) -> str:
        """The file's name below its root, or with a number if another root's file, or a moved one, has it."""
        name, number = file.name, 1
        while name in self._names or self._taken(name, str(file.path)):
            number += 1
            name = f"{file.name}~{number}"
        self._names.add(name)
        return name

    def _advance(self, step: Step) -> None:
        self.progress.passages += step.passages
        self.progress.done_bytes = min(self.progress.done_bytes + step.characters, self.progress.total_bytes)
        if self._report:
            self._report(self.progress)

    def _finished(self, size: int) -> None:
        self._finished_bytes += size
        # The encoder may be ahead, with files that are not finished.
        self.progress.done_bytes = max(self.progress.done_bytes, self._finished_bytes)
        if self._report:
            self._report(self.progress)

    def _count(self, counter: str, by: int = 1) -> None:
        setattr(self.summary, counter, getattr(self.summary, counter) + by)


class _Failures:
    """What could not be read of one file: the first of it, and how much more, since a file may be millions of bad lines."""

    def __init__(self) -> None:
        self._first: list[tuple[str, str]] = []
        self._more = 0
        self.whole = False  # the file itself failed, not a record of it

    def add(self, record: str, reason: str) -> None:
        self.whole = self.whole or record == ""
        if len(self._first) < MOST_FAILURES or record == "":
            self._first.append((record, reason))
        else:
            self._more += 1

    def told(self) -> list[tuple[str, str]]:
        return [*self._first, *([("more", f"{self._more:,} more records could not be read")] if self._more else [])]


def _few(remarks: Sequence[Remark]) -> list[Remark]:
    """The first remarks of a file, and how many more there are: one with a wrong date on every line says so once."""
    more = len(remarks) - MOST_REMARKS
    return [*remarks[:MOST_REMARKS], *([Remark("", f"{more:,} more remarks of this kind")] if more > 0 else [])]


def _is_same(source: Source | None, file: File) -> bool:
    """Whether the file was read whole and has not been touched since."""
    return source is not None and source.hash != "" and source.stamp == file.stamp


def _gone(known: Mapping[str, Source], found: Found) -> dict[int, Source]:
    """Files once indexed below the folders that were named, and not there now."""
    there = {str(file.path) for file in found.files}
    return {
        source.key: source
        for path, source in known.items()
        if path not in there and is_below(path, found.folders) and not is_below(path, found.unread)
    }


def _is_unread(source: Source) -> bool:
    """Whether the file as a whole failed: that can be mended without changing its content."""
    return any(record == "" for record, _ in source.failures)


def _may_exist(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # it cannot be seen, which does not say that it is gone
    return True
