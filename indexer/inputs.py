"""Files of other people, opened with care: never waited for, regular, inside their folder, of bounded size.

Everything is asked of the descriptor that is read from, not of the path: what a path names can change between two looks.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from indexer.errors import UnreadableError

MIB = 1 << 20
FILE_MIB = 200  # books and reports are a tenth of it; larger ones are mostly scans, or no documents
SIDECAR_BYTES = MIB  # a title, a date and some fields


class AgainError(UnreadableError):
    """What may pass without a change of the file: it is tried again at the next run."""


def open_input(
    path: Path, root: Path | None = None, largest: int = FILE_MIB * MIB, advice: str = ", or raise PASSAGES_FILE_MB"
) -> BufferedReader:
    """The file, open. If ``root`` is given, a path that leads out of it by links is refused.

    Raises `OSError`, and `UnreadableError` for what is no regular file, lies elsewhere, or has more than ``largest`` bytes.
    """
    # Without O_NONBLOCK opening a pipe would wait until somebody writes to it.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            raise UnreadableError("is no regular file but a pipe, socket or device; only files are read")
        if root is not None and not _lies_below(file, path, root):
            raise UnreadableError(
                "is a link out of the folder that is indexed; put the file itself there, or name its own path"
            )
        if status.st_size > largest:
            raise AgainError(
                f"has {status.st_size / MIB:,.1f} MiB, more than the {largest / MIB:,.1f} MiB that are read; divide it{advice}"
            )
    except BaseException:
        file.close()
        raise
    return file


def stamp_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file does: size, and the times of its last change and of that of its inode, which no program sets at
    will; and the inode."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def read_whole(file: BinaryIO) -> bytes:
    """All bytes of a file that nobody writes to meanwhile. Raises `UnreadableError` if it is empty or is being written."""
    for _ in range(2):
        before = os.fstat(file.fileno())
        file.seek(0)
        data = file.read(before.st_size)  # not more: a file can grow for as long as it is read
        after = os.fstat(file.fileno())
        if len(data) == before.st_size and (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            if not data:
                raise UnreadableError("is empty (0 bytes)")
            return data
    raise AgainError("is being written while it is read; index it again when that has ended")


def _lies_below(file: BinaryIO, path: Path, root: Path) -> bool:
    """Whether the open file lies in the folder, whatever its path names by now."""
    if sys.platform == "linux":
        try:
            return Path(os.readlink(f"/proc/self/fd/{file.fileno()}")).is_relative_to(root)  # noqa: PTH115  # no loops there
        except OSError:
            pass  # no /proc in this container
    real = os.path.realpath(path)
    return Path(real).is_relative_to(root) and os.path.samestat(os.lstat(real), os.fstat(file.fileno()))
