"""What SQLite says of a catalog's file or disk: whether the file is damaged, and what to do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from indexer.schema import advice

# What SQLite says when the disk, another process or the rights are in the way, and the file need not be damaged.
_IN_THE_WAY = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM,
}  # fmt: skip
_SURE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def tells_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what SQLite wrote, for sure."""
    return _code(error) in _SURE


def advice_on(file: Path, error: sqlite3.Error) -> str:
    """What to do about it."""
    if not all(os.access(path, os.W_OK) for path in (file.parent, file) if path.exists()):
        return f"give the user who runs this the right to write in {file.parent}, which searching needs too"
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return "make room; what was committed before is kept"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another process has been writing it for long: try again"
    if code in _IN_THE_WAY:
        return f"try again; if that goes on, look at the disk of {file.parent}, and see passages doctor --index {file.parent}"
    return advice(file.parent)


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF  # what Python's module says itself has none
