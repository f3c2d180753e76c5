"""Folders and files to documents: what was added, changed, moved or deleted since the last time.

A file is its absolute path; its document's id is the path under which it was first seen, relative to the folder that was
named, and stays when the file moves. A file that cannot be read is reported, and what was indexed of it before is kept.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pathspec

from indexer.catalog import Source, Writer, document_hash
from indexer.collection import Collection
from indexer.documents import SIDECAR_SUFFIX, Document, Unreadable, content_hash, is_supported, read_documents, sidecar
from indexer.errors import PassagesError
from indexer.ingest import Ingest, Step

IGNORE_FILE = ".passagesignore"


class SyncError(PassagesError):
    """A path that was named cannot be synced."""


class Failure(NamedTuple):
    """A file, or a ``record`` of it ("line 17"), that could not be read, and why."""

    path: str
    record: str
    reason: str


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
    skipped: Counter[str] = field(default_factory=Counter)
    passages_encoded: int = 0
    passages_reused: int = 0


class _File(NamedTuple):
    path: Path
    name: str  # relative to the root that was named
    stamp: str
    size: int


@dataclass(slots=True)
class _Found:
    files: list[_File] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)  # every file once indexed below these must still be found
    unread: list[Path] = field(default_factory=list)  # but for what is below these, which could not be looked into


class Sync:
    """One run over some paths. ``summary`` is true at any moment, also after an interruption."""

    def __init__(self, collection: Collection, report: Callable[[Progress], None] | None = None) -> None:
        self.summary = Summary()
        self._collection = collection
        self.progress = Progress()
        self._report = report
        self._finished_bytes = 0  # of the files before the current one
        self._ingest = Ingest(collection, self._advance)
        self._paths: dict[str, str] = {}  # the file of each document that this run has met
        self._names: set[str] = set()
        self._known_by_key: dict[int, Source] = {}
        self._gone: dict[int, Source] = {}

    def run(self, paths: Sequence[Path], wait_s: float = 0.0) -> Summary:
        """Bring the collection up to date with ``paths``. Raises :class:`SyncError`, :class:`indexer.lock.LockedError`."""
        with self._collection.lock.held(wait_s):
            try:
                self._run(self._scan(paths))
            finally:
                self.summary.passages_encoded = self._ingest.effort.encoded
                self.summary.passages_reused = self._ingest.effort.reused
        return self.summary

    def _run(self, found: _Found) -> None:
        with self._collection.catalog.read() as snapshot:
            known = {source.path: source for source in snapshot.sources()}
        self._known_by_key = {source.key: source for source in known.values()}
        self._names = {source.name for source in known.values()}
        self._gone = _gone(known, found)
        self.progress.total_bytes = sum(file.size for file in found.files if not _is_same(known.get(str(file.path)), file))
        for file in found.files:
            self._file(file, known.get(str(file.path)))
        for source in self._gone.values():
            self._delete(source)
        self._ingest.flush()

    def _scan(self, paths: Sequence[Path]) -> _Found:
        found = _Found()
        for path in paths:
            self._scan_one(path, found)
        found.files = list({file.path: file for file in found.files}.values())
        return found

    def _scan_one(self, path: Path, found: _Found) -> None:
        try:
            path = path.expanduser().resolve(strict=True)
        except OSError as error:
            raise SyncError(f"{path} cannot be read: {error.strerror}; nothing was indexed or deleted") from error
        if path.is_dir():
            found.folders.append(path)
            for file in _walk(path, found, self.summary):
                found.files.append(file)
        elif is_supported(path):
            found.files.append(_stat(path, path.name))
        else:
            raise SyncError(f"{path} is of a kind that cannot be read as a document; nothing was indexed or deleted")

    def _file(self, file: _File, source: Source | None) -> None:
        if source and _is_same(source, file):
            self._same(source)
            return
        try:
            digest = content_hash(file.path)
        except OSError as error:
            self._fail(file, source, f"cannot be read: {error.strerror}")
            return
        if source and source.hash == digest:
            self._same(source)
            failures = source.failures
            self._ingest.then(lambda writer: writer.put_source(str(file.path), source.name, file.stamp, digest, failures))
        elif source is None and (moved := _moved_from(self._gone, digest)):
            self._move(moved, file)
        else:
            self._read(file, source, digest)

    def _same(self, source: Source) -> None:
        with self._collection.catalog.read() as snapshot:
            self.summary.unchanged += len(snapshot.documents_of(source.key))
        self.summary.failed += [Failure(source.path, record, reason) for record, reason in source.failures]

    def _move(self, source: Source, file: _File) -> None:
        uri = file.path.as_uri()
        with self._collection.catalog.read() as snapshot:
            count = len(snapshot.documents_of(source.key))

        def move(writer: Writer) -> None:
            writer.move_source(source.key, str(file.path), file.stamp, uri)
            self._count("moved", count)

        self._ingest.then(move)

    def _read(self, file: _File, source: Source | None, digest: str) -> None:
        """Read a new or changed file. Until all of its documents are committed its hash is "", so a stop is noticed."""
        path, name = str(file.path), source.name if source else self._free_name(file)
        before: dict[str, str] = {}
        if source:
            with self._collection.catalog.read() as snapshot:
                before = snapshot.documents_of(source.key)
        self._ingest.then(lambda writer: writer.put_source(path, name, "", "", ()))
        failures: list[tuple[str, str]] = []
        seen: set[str] = set()
        for one in read_documents(file.path, name):
            if isinstance(one, Unreadable):
                failures.append((one.source, one.reason))
            elif reason := self._taken(one.id, path):
                failures.append((f"document {one.id}", reason))
            else:
                seen.add(one.id)
                self._document(one, path, before)
        if not any(record == "" for record, _ in failures):  # if the whole file failed, what was indexed of it is kept
            self._delete_all(sorted(before.keys() - seen))
        self.summary.failed += [Failure(path, record, reason) for record, reason in failures]
        self._ingest.then(lambda writer: writer.put_source(path, name, file.stamp, digest, failures))
        self._ingest.then(lambda _: self._finished(file))

    def _document(self, document: Document, path: str, before: Mapping[str, str]) -> None:
        self._paths[document.id] = path
        if before.get(document.id) == document_hash(document):
            self.summary.unchanged += 1
            return
        counter = "changed" if document.id in before else "added"
        self._ingest.then(lambda _: self._count(counter))
        self._ingest.document(document, path)

    def _delete_all(self, document_ids: Sequence[str]) -> None:
        def delete(writer: Writer) -> None:
            self._count("deleted", sum(writer.delete_document(one) for one in document_ids))

        if document_ids:
            self._ingest.then(delete)

    def _delete(self, source: Source) -> None:
        self._ingest.then(lambda writer: self._count("deleted", writer.delete_source(source.key)))

    def _fail(self, file: _File, source: Source | None, reason: str) -> None:
        name = source.name if source else self._free_name(file)
        self.summary.failed.append(Failure(str(file.path), "", reason))
        # Without a hash, so that it is tried again the next time.
        self._ingest.then(lambda writer: writer.put_source(str(file.path), name, "", "", [("", reason)]))

    def _taken(self, document_id: str, path: str) -> str | None:
        """Why a document of this id cannot come from ``path``; None if it can."""
        if (other := self._paths.get(document_id, path)) != path:
            return f"its id is already that of a document in {other}; give one of them another id"
        with self._collection.catalog.read() as snapshot:
            owner = snapshot.owner(document_id)
        if owner is None or owner[0] in self._gone:
            return None
        holder = self._known_by_key.get(owner[0]) if owner[0] is not None else None
        if holder is not None and holder.path == path:
            return None
        where = f"a document in {holder.path}" if holder else "one that was not indexed from a file"
        return f"its id is already that of {where}; delete that one, or give one of them another id"

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

    def _finished(self, file: _File) -> None:
        self._finished_bytes += file.size
        self.progress.done_bytes = self._finished_bytes

    def _count(self, counter: str, by: int = 1) -> None:
        setattr(self.summary, counter, getattr(self.summary, counter) + by)


def _is_same(source: Source | None, file: _File) -> bool:
    """Whether the file was read whole and has not been touched since."""
    return source is not None and source.hash != "" and source.stamp == file.stamp


def _walk(root: Path, found: _Found, summary: Summary) -> Iterator[_File]:
    """Files below ``root`` in the order of their paths; hidden ones, links to elsewhere and ignored ones are left out."""
    ignored = _ignored(root)

    def unread(error: OSError) -> None:
        found.unread.append(Path(error.filename))
        summary.failed.append(Failure(error.filename, "", f"cannot be looked into: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=unread):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if name.startswith(".") or ignored.match_file(relative) or not path.resolve().is_relative_to(root):
                continue
            if is_supported(path):
                yield _stat(path, relative)
            elif not name.endswith(SIDECAR_SUFFIX):
                summary.skipped[path.suffix.lower() or "no suffix"] += 1


def _ignored(root: Path) -> pathspec.PathSpec[Any]:
    try:
        lines = (root / IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    return pathspec.PathSpec.from_lines("gitignore", lines)


def _stat(path: Path, name: str) -> _File:
    """The stamp holds the change time, which no program sets at will, of the file and of its sidecar."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    try:
        beside = sidecar(path).stat()
        stamp += [beside.st_size, beside.st_mtime_ns, beside.st_ctime_ns]
    except FileNotFoundError:
        pass
    return _File(path, name, ":".join(map(str, stamp)), status.st_size)


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


def _moved_from(gone: dict[int, Source], digest: str) -> Source | None:
    """A file that is gone and had this content: taken out of ``gone``."""
    match = next((source for source in gone.values() if source.hash == digest), None)
    return gone.pop(match.key) if match else None
