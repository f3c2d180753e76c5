"""Files of derived structures: each appears whole or not at all, and in a folder of its own."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

Read = TypeVar("Read")

log = logging.getLogger(__name__)


def file_hash(path: Path) -> str:
    """The sha256 of a file's bytes, hexadecimal. Raises :class:`OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(text: str) -> str:
    """The text under its sha256, so that a changed one is told: see :func:`unsealed`."""
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def unsealed(content: str) -> str:
    """The text that was sealed. Raises :class:`ValueError` for anything else."""
    text = content.partition("\n")[2]
    if sealed(text) != content:
        raise ValueError("it is not what was written")
    return text


def from_record(file: Path, read: Callable[[Any], Read | None]) -> Read | None:
    """What ``read`` makes of the sealed record in a file, and of what that names; None if it is of no use. It is derived, so
    whatever is wrong with it, it is made again; but if another process has replaced it meanwhile, and removed what it named,
    the new one is read."""
    said = _said(file)
    while said is not None:
        try:
            return read(json.loads(unsealed(said)))
        except Exception as error:
            before, said = said, _said(file)
            if said == before:
                log.warning("%s, or what it names, cannot be read and will be made again: %s", file, error)
                return None
    return None


def _said(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read and will be made again: %s", file, error)
        return None


def replace_file(path: Path, text: str) -> None:
    """Whole or not at all, also when the machine stops; when this returns it is on the disk. A folder that took its place
    goes."""
    if path.is_dir():
        shutil.rmtree(path)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """A new file in the place of what lay there, readable by nobody else from its first byte on; its content is on the disk."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """What was made, renamed and deleted in a folder is on the disk: syncing a file does not do that for its name. Where it
    cannot be done (no right to read the folder, a file system without it) it is left to the system. Raises :class:`OSError`."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise


def make_folder(folder: Path) -> None:
    """A folder, and those above it; that they are there is on the disk, also if another process made them a moment ago."""
    folder.mkdir(parents=True, exist_ok=True)
    for above in folder.resolve().parents:
        sync_folder(above)


def sync_file(file: Path) -> None:
    """The file's content outlasts a stop of the machine."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def fresh_folder(folder: Path, name: str) -> Path:
    """A new folder ``name``-<number> in ``folder``, its number above all that are there."""
    taken = [int(path.name.removeprefix(f"{name}-")) for path in folder.glob(f"{name}-*") if _numbered(path, name)]
    place = folder / f"{name}-{max(taken, default=0) + 1}"
    place.mkdir()
    return place


def remove_folders(folder: Path, name: str, keep: Path | None = None) -> None:
    """Delete every folder ``name``-<number> but ``keep``; readers that have one open keep what they have mapped."""
    for other in folder.glob(f"{name}-*"):
        if other != keep and _numbered(other, name) and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def sweep(folder: Path, name: str) -> None:
    """Delete what interrupted writers left: folders ``name``-* that ``name``.json does not name, and files half written. The
    caller is the only writer. What cannot be deleted stays for the next time, and all of it where the record cannot be read."""
    record = folder / f"{name}.json"
    try:
        remove_folders(folder, name, named_folder(record))
    except OSError:
        return
    for left in (*folder.glob(f"{record.name}.new"), *folder.glob(f"{name}-*/.tmp*")):  # the latter are tantivy's
        with suppress(OSError):
            left.unlink()


def named_folder(record: Path) -> Path | None:
    """The folder that a record names; None if there is no record, or one that is of no use. Raises :class:`OSError`."""
    try:
        return record.with_name(json.loads(unsealed(record.read_text(encoding="utf-8")))["place"])
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError):
        return None


def _numbered(path: Path, name: str) -> bool:
    return path.name.removeprefix(f"{name}-").isdecimal()
