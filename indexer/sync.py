"""Folders and files to documents: what was added, changed, moved or deleted since the last time.

A file is its absolute path; its document's id is the path under which it was first seen, relative to the folder that was
named, and stays when the file moves. A file that cannot be read is reported, and what was indexed of it before is kept.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pathspec

from indexer.catalog import Writer, document_hash
from indexer.collection import Collection
from indexer.documents import SIDECAR_SUFFIX, Document, Unreadable, content_hash, is_supported, read_documents, reader, sidecar
from indexer.errors import PassagesError, UnreadableError
from indexer.extraction import DEFAULT_LIMITS, Extractor, Limits
from indexer.formats import Remark
from indexer.ingest import Ingest, Step
from indexer.inputs import stamp_of
from indexer.records import Source

IGNORE_FILE = ".passagesignore"
MOST_REMARKS = 3  # of one file
_DOCUMENT = "document "  # with its id: the record of a failure that is not the file's own


class SyncError(PassagesError):
    """A path that was named cannot be synced."""


class Failure(NamedTuple):
    """A file, or a ``record`` of it ("line 17"), that could not be read, and why."""

    path: str
    record: str
    reason: str


class Change(NamedTuple):
    """What became of a file whose documents are committed: "added", "changed", "deleted", or "moved" from ``before``."""

    kind: Literal["added", "changed", "moved", "deleted"]
    path: str
    before: str = ""


class Noted(NamedTuple):
    """A file that was read, and what should be known of it or of a part of it ("pages 2-4")."""

    path: str
    about: str
    remark: str


@dataclass(slots=True)
class Progress:
    """How far a sync is: passages encoded, and bytes of the files that had to be read. Files become text of another size,
    so within a file ``done_bytes`` is an estimate; at the end of each it is exact."""

    passages: int = 0
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(slots=True)
class Summary:
    """What a sync did, in documents. ``skipped`` counts files by a suffix that is not a document's."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    passages_encoded: int = 0
    passages_reused: int = 0


class _File(NamedTuple):
    path: Path
    name: str  # relative to the root that was named
    stamp: str
    size: int
    root: Path | None = None  # the folder that it must not lead out of


@dataclass(slots=True)
class _Found:
    files: list[_File] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)  # every file once indexed below these must still be found
    unread: list[Path] = field(default_factory=list)  # but for what is below these, which could not be looked into
    empty: list[Path] = field(default_factory=list)  # of the folders: those without a document's file


class Sync:
    """One run over some paths. ``summary`` is true at any moment, also after an interruption.

    ``changed`` is told of each file. With ``spare_empty``, a folder that was named and is empty now loses nothing, since it may
    be the place of a disk that is away: ``spared`` are those of which something is indexed."""

    def __init__(
        self,
        collection: Collection,
        report: Callable[[Progress], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        changed: Callable[[Change], None] | None = None,
        spare_empty: bool = False,
    ) -> None:
        self.summary = Summary()
        self.spared: list[Path] = []
        self._tell = changed or (lambda _: None)
        self._spare_empty = spare_empty
        self._extractor = Extractor(limits)
        self._collection = collection
        self.progress = Progress()
        self._report = report
        self._finished_bytes = 0  # of the files before the current one
        self._ingest = Ingest(collection, self._advance)
        self._files: dict[str, _File] = {}  # by path: what this run has found
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
        with self._collection.lock.held(wait_s), self._ingest, self._extractor:
            try:
                found = self._scan(paths, self.summary)
                found.unread += kept
                self._run(found)
            finally:
                self.summary.passages_encoded = self._ingest.effort.encoded
                self.summary.passages_reused = self._ingest.effort.reused
        return self.summary

    def _has_new(self, paths: Sequence[Path]) -> bool:
        """Whether a file is there that is not indexed as it is now; one that failed may fail again."""
        found = self._scan(paths, Summary())
        with self._collection.catalog.read() as snapshot:
            known = {source.path: source for source in snapshot.sources()}
        sources = ((file, known.get(str(file.path))) for file in found.files)
        return any(source is None or (source.hash != "" and source.stamp != file.stamp) for file, source in sources)

    def _run(self, found: _Found) -> None:
        with self._collection.catalog.read() as snapshot:
            known = {source.path: source for source in snapshot.sources()}
            self._counts = snapshot.document_counts()
        if self._spare_empty:
            self.spared = [folder for folder in found.empty if any(_is_below(path, [folder]) for path in known)]
            found.unread += self.spared
        self._files = {str(file.path): file for file in found.files}
        self._known = {source.key: source for source in known.values()}
        self._names = {source.name for source in known.values()}
        self._gone = _gone(known, found)
        for source in known.values():
            if source.hash and (source.key in self._gone or not _is_below(source.path, found.folders)):
                self._movable.setdefault(source.hash, []).append(source)
        self.progress.total_bytes = sum(file.size for file in found.files if not _is_same(known.get(str(file.path)), file))
        for file in found.files:
            self._file(file, known.get(str(file.path)))
        for source in self._gone.values():
            self._delete(source)
        self._ingest.flush()

    def _scan(self, paths: Sequence[Path], summary: Summary) -> _Found:
        found = _Found()
        for path in paths:
            self._scan_one(path, found, summary)
        first = {file.path: file for file in reversed(found.files)}  # of roots within each other, the first gives the name
        found.files = [file for file in found.files if first[file.path] is file]
        return found

    def _scan_one(self, path: Path, found: _Found, summary: Summary) -> None:
        try:
            path = path.expanduser().resolve(strict=True)
            if path.is_dir():
                found.folders.append(path)
                before = len(found.files)
                found.files += _walk(path, found, summary)
                found.empty += [path] if len(found.files) == before else []
            elif is_supported(path):
                found.files.append(_look(path, path.name))
            else:
                raise SyncError(f"{path} is of a kind that cannot be read as a document; nothing was indexed or deleted")
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, or the home of no user
            reason = error.strerror if isinstance(error, OSError) else error
            raise SyncError(f"{path} cannot be read: {reason}; nothing was indexed or deleted") from error

    def _file(self, file: _File, source: Source | None) -> None:
        retry = source is not None and self._can_have_more(source)
        if source and _is_same(source, file) and not retry:
            self._same(source)
            return
        try:
            digest = self._content_hash(file)
        except OSError as error:
            self._fail(file, source, f"cannot be read: {error.strerror}")
            return
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

    def _same(self, source: Source, counter: str = "unchanged") -> None:
        self._count(counter, self._counts.get(source.key, 0))
        self._note(source.path, source.failures, source.remarks)

    def _note(self, path: str, failures: Sequence[tuple[str, str]], remarks: Sequence[Remark]) -> None:
        self.summary.failed += [Failure(path, *one) for one in failures]
        self.summary.noted += [Noted(path, *one) for one in remarks]

    def _move(self, source: Source, file: _File) -> None:
        path, uri, count = str(file.path), file.path.as_uri(), self._counts.get(source.key, 0)
        with self._collection.catalog.read() as snapshot:
            document = snapshot.document(source.name)
        moved = source._replace(path=path, stamp=file.stamp)
        self._known[source.key] = moved
        self._ingest.then(
            lambda writer: writer.move_source(source.key, path, file.stamp, uri),
            lambda _: self._tell(Change("moved", path, source.path)),
        )
        if document and document.title == Path(source.path).stem != file.path.stem:
            # A text without a title of its own is called as its file is.
            self._read(file, moved, source.hash, ("moved", "moved"))
            return
        self._ingest.then(lambda _: count, lambda by: self._count("moved", by))
        self._ingest.then(lambda _: file.size, self._finished)
        self._note(path, source.failures, source.remarks)

    def _read(
        self, file: _File, source: Source | None, digest: str, counters: tuple[str, str] = ("unchanged", "changed")
    ) -> None:
        """Read a new or changed file. Until all of its documents are committed its hash is "", so a stop is noticed."""
        path, name = str(file.path), source.name if source else self._free_name(file)
        before: dict[str, str] = {}
        if source:
            with self._collection.catalog.read() as snapshot:
                before = snapshot.documents_of(source.key)
        self._ingest.then(lambda writer: writer.put_source(path, name, "", "", ()))
        failures: list[tuple[str, str]] = []
        remarks: list[Remark] = []
        seen: set[str] = set()
        for one in read_documents(file.path, name, file.root, self._extractor):
            if isinstance(one, Unreadable):
                digest = "" if one.again else digest  # without a hash it is tried again the next time
                failures.append((one.source, one.reason))
            elif reason := self._taken(one.id, path):
                failures.append((_DOCUMENT + one.id, reason))
            else:
                seen.add(one.id)
                remarks += one.remarks
                self._document(one, path, before, counters)
        was_read = not any(record == "" for record, _ in failures)
        if was_read:  # if the whole file failed, what was indexed of it is kept
            self._delete_all([one for one in sorted(before.keys() - seen) if self._paths.get(one, path) == path])
        told = _few(remarks)
        self._note(path, failures, told)
        self._ingest.then(lambda writer: writer.put_source(path, name, file.stamp, digest, failures, told))
        if was_read and "moved" not in counters:
            self._ingest.then(lambda _: Change("changed" if source else "added", path), self._tell)
        self._ingest.then(lambda _: file.size, self._finished)

    def _document(self, document: Document, path: str, before: Mapping[str, str], counters: tuple[str, str]) -> None:
        self._paths[document.id] = path
        same, changed = counters
        if before.get(document.id) == document_hash(document):
            self._count(same)
            return
        counter = changed if document.id in before else "added"
        self._ingest.then(lambda _: 1, lambda by: self._count(counter, by))
        self._ingest.document(document, path)

    def _delete_all(self, document_ids: Sequence[str]) -> None:
        if document_ids:
            self._deleted(lambda writer: sum(writer.delete_document(one) for one in document_ids))

    def _delete(self, source: Source) -> None:
        self._deleted(lambda writer: writer.delete_source(source.key))
        self._ingest.then(lambda _: Change("deleted", source.path), self._tell)

    def _deleted(self, delete: Callable[[Writer], int]) -> None:
        self._ingest.then(delete, lambda by: self._count("deleted", by))

    def _fail(self, file: _File, source: Source | None, reason: str) -> None:
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
            return self._content_hash(file) == source.hash
        except (OSError, UnreadableError):
            return True  # what was indexed of it is kept

    def _content_hash(self, file: _File) -> str:
        return content_hash(file.path, file.root, self._extractor.limits.file)

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

    def _free_name(self, file: _File) -> str:
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


def _few(remarks: Sequence[Remark]) -> list[Remark]:
    """The first remarks of a file, and how many more there are: one with a wrong date on every line says so once."""
    more = len(remarks) - MOST_REMARKS
    return [*remarks[:MOST_REMARKS], *([Remark("", f"{more:,} more remarks of this kind")] if more > 0 else [])]


def _is_same(source: Source | None, file: _File) -> bool:
    """Whether the file was read whole and has not been touched since."""
    return source is not None and source.hash != "" and source.stamp == file.stamp


def _walk(root: Path, found: _Found, summary: Summary) -> Iterator[_File]:
    """Files below ``root`` in the order of their paths; hidden ones, links to elsewhere and ignored ones are left out."""
    ignored = _ignored(root)

    def unread(path: str, reason: str) -> None:
        found.unread.append(Path(path))
        summary.failed.append(Failure(os.fsencode(path).decode(errors="replace"), "", reason))

    def is_left_out(folder: str, name: str, end: str) -> bool:
        return name.startswith(".") or ignored.match_file(Path(folder, name).relative_to(root).as_posix() + end)

    for folder, folders, names in os.walk(
        root, onerror=lambda error: unread(error.filename, f"cannot be looked into: {error.strerror}")
    ):
        folders[:] = sorted(name for name in folders if not is_left_out(folder, name, "/"))
        _note_links(folder, folders, found, summary)
        for path in (Path(folder, name) for name in sorted(names) if not is_left_out(folder, name, "")):
            if path.name.endswith(SIDECAR_SUFFIX):
                continue
            if _leads_out(path, root):
                summary.skipped["link out of the folder"] += 1
                continue
            if not is_supported(path):
                summary.skipped[path.suffix.lower() or "no suffix"] += 1
                continue
            try:
                yield _look(path, path.relative_to(root).as_posix(), root)
            except OSError as error:
                if path.is_symlink() or not isinstance(error, FileNotFoundError):  # else it was deleted just now
                    unread(str(path), f"cannot be read: {error.strerror}")


def _note_links(folder: str, names: Sequence[str], found: _Found, summary: Summary) -> None:
    """Links to folders are not followed; what was indexed when one was a folder of its own is not deleted for that."""
    for path in (Path(folder, name) for name in names if Path(folder, name).is_symlink()):
        summary.skipped["link to a folder"] += 1
        found.unread.append(path)


def _ignored(root: Path) -> pathspec.PathSpec[Any]:
    file = root / IGNORE_FILE
    try:
        return pathspec.PathSpec.from_lines("gitignore", file.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return pathspec.PathSpec.from_lines("gitignore", [])
    except ValueError as error:  # not UTF-8, or not a pattern
        raise SyncError(f"{file} cannot be used: {error}; nothing was indexed or deleted") from error


def _leads_out(path: Path, root: Path) -> bool:
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)  # Path.resolve() raises on loops


def _look(path: Path, name: str, root: Path | None = None) -> _File:
    """The file as it is now. Its stamp is that of it and of its sidecar, and tells how files of its format are read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))  # reading a pipe would wait for ever
    if not _is_utf8(str(path)):
        raise OSError(errno.EILSEQ, "its name is not valid UTF-8; rename it", str(path))
    stamp: list[int | str] = [*stamp_of(status)]
    with suppress(OSError):  # there is none, or the name is too long for one
        beside = sidecar(path).stat()
        stamp += [beside.st_size, beside.st_mtime_ns, beside.st_ctime_ns]
    if how := reader(path):
        stamp.append(how)
    return _File(path, name, ":".join(map(str, stamp)), status.st_size, root)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _gone(known: Mapping[str, Source], found: _Found) -> dict[int, Source]:
    """Files once indexed below the folders that were named, and not there now."""
    there = {str(file.path) for file in found.files}
    return {
        source.key: source
        for path, source in known.items()
        if path not in there and _is_below(path, found.folders) and not _is_below(path, found.unread)
    }


def _is_below(path: str, folders: Sequence[Path]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


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
