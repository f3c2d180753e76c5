"""The files that are there: below the folders that were named, in the order of their paths."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pathspec

from indexer.documents import SIDECAR_SUFFIX, is_supported, reader, sidecar
from indexer.errors import PassagesError
from indexer.inputs import stamp_of
from indexer.synced import Failure, Summary

IGNORE_FILE = ".passagesignore"


class File(NamedTuple):
    """A file that can be read as documents."""

    path: Path
    name: str  # relative to the root that was named
    stamp: str
    size: int
    root: Path | None = None  # the folder that it must not lead out of


@dataclass(slots=True)
class Found:
    """What is at the paths that were named."""

    files: list[File] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)  # every file once indexed below these must still be found
    unread: list[Path] = field(default_factory=list)  # but for what is below these, which could not be looked into
    empty: list[Path] = field(default_factory=list)  # of the folders: those without a document's file


class SyncError(PassagesError):
    """A path that was named cannot be synced."""


def find(paths: Sequence[Path], summary: Summary) -> Found:
    """What is at the paths that were named; ``summary`` is told what was skipped and what could not be looked into. Raises
    :class:`SyncError`."""
    found = Found()
    for path in paths:
        _find_one(path, found, summary)
    first = {file.path: file for file in reversed(found.files)}  # of roots within each other, the first gives the name
    found.files = [file for file in found.files if first[file.path] is file]
    return found


def _find_one(path: Path, found: Found, summary: Summary) -> None:
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


def is_below(path: str, folders: Sequence[Path]) -> bool:
    """Whether a path is one of the folders, or within one."""
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _walk(root: Path, found: Found, summary: Summary) -> Iterator[File]:
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


def _note_links(folder: str, names: Sequence[str], found: Found, summary: Summary) -> None:
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


def _look(path: Path, name: str, root: Path | None = None) -> File:
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
    return File(path, name, ":".join(map(str, stamp)), status.st_size, root)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
