"""The last commit of a catalog, told outside of it: ``catalog.sqlite-latest``.

SQLite drops, without a word, what a damaged or missing ``-wal`` held: commits that were acknowledged. So after each commit its
number is written here, without waiting for the disk: it is never ahead of a commit that is on the disk, and behind only after
the machine lost power. A catalog that is behind it, or of another history, is not the one that was written.

It must never refuse a catalog that is on the disk. So only who holds the writer lock writes it, after its commit: a reader's
word could be older than what is there. It ends with its own checksum: what a flipped bit or a power cut left says nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from indexer.files import sync_folder

LATEST_FILE = "catalog.sqlite-latest"
WAL_FILE = "catalog.sqlite-wal"


class Witness:
    """The file of an index folder. Writing it never fails a commit: a witness that is behind says nothing wrong."""

    def __init__(self, folder: Path) -> None:
        self._file, self._wal = folder / LATEST_FILE, folder / WAL_FILE

    def saw(self, identity: str, generation: int) -> None:
        """A commit was made, by the caller, who holds the writer lock. In place and in one call: a rename would cost as much as
        the commit."""
        with suppress(OSError):
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(descriptor, _line(identity, generation), 0)
            finally:
                os.close(descriptor)

    def known(self) -> tuple[str, int] | None:
        """Identity and generation of the last commit that was seen; None if what is there is not what was written."""
        try:
            written = self._file.read_bytes()
            identity, generation, _ = written.decode("ascii").split(" ")
            seen = identity, int(generation)
        except (OSError, ValueError):
            return None
        return seen if _line(*seen) == written else None

    def seen_at(self) -> float | None:
        """When the last commit was told of, in seconds of the epoch; None if that is not known."""
        try:
            return self._file.stat().st_mtime
        except OSError:
            return None

    def forget(self) -> None:
        """Another catalog is about to come; when this returns, no power cut brings back what was said of the one before. Raises
        :class:`OSError`."""
        self._file.unlink(missing_ok=True)
        sync_folder(self._file.parent)

    def has_wal(self) -> bool:
        """Whether commits lie beside the catalog's file."""
        return self.wal_bytes() > 0

    def wal_bytes(self) -> int:
        """The size of what lies beside the catalog's file."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0


def _line(identity: str, generation: int) -> bytes:
    said = f"{identity} {generation:020}".encode()
    return said + b" %08x\n" % crc32(said)
