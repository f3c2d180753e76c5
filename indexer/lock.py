"""One process at a time writes an index; the others are told which one does."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.errors import PassagesError
from indexer.schema import CatalogError, FullError


class LockedError(PassagesError):
    """Another process, or another request of this one, is writing the index."""


class WriterLock:
    """An operating-system lock on the index folder: it ends with its process, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._file = FileLock(folder / "writer.lock", thread_local=False)
        self._holder = folder / "writer.pid"
        self._thread = threading.Lock()  # FileLock is re-entrant, and a second thread must not enter

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Hold the lock for the block; raises :class:`LockedError` if it is not free within ``wait_s`` seconds."""
        if not self._thread.acquire(timeout=wait_s):
            raise LockedError("another request is writing this index: try again in a moment")
        try:
            with self._acquired(wait_s):
                yield
        finally:
            self._thread.release()

    @contextmanager
    def probed(self) -> Iterator[None]:
        """Hold the lock for the block without a word of who holds it. Raises :class:`LockedError` if another does."""
        try:
            self._file.acquire(timeout=0)
        except Timeout as error:
            raise LockedError(f"{self.holder()} is writing this index") from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            self._file.release()

    def holder(self) -> str:
        """Who wrote last, in words: while the lock is held, its holder."""
        try:
            return self._holder.read_text(encoding="utf-8") or "another process"
        except (OSError, UnicodeDecodeError):
            return "another process"

    @contextmanager
    def _acquired(self, wait_s: float) -> Iterator[None]:
        try:
            self._file.acquire(timeout=wait_s)
        except Timeout as error:
            raise LockedError(f"{self.holder()} is writing this index: wait until it is done, or end it") from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._sign()
            yield
        finally:
            self._file.release()

    def _sign(self) -> None:
        command = " ".join(Path(sys.argv[0]).parts[-1:] + tuple(sys.argv[1:2]))
        try:
            self._holder.write_text(f"process {os.getpid()} ({command})", encoding="utf-8", errors="replace")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> CatalogError:
        kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else CatalogError
        return kind(
            f"the index folder {self._holder.parent} cannot be written: {error.strerror}; mend that, or choose another --index"
        )
