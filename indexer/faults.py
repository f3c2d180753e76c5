"""What SQLite says of a catalog's file or disk: whether the file is damaged, and what to do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from indexer.schema import advice

# What SQLite says when the disk, another process or the rights are in the way, and the file need not be damaged.
_IN_THE_WAY = {
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM,
}  # fmt: skip
_ADVICE = {
    sqlite3.SQLITE_FULL: "make room; what was committed before is kept",
    sqlite3.SQLITE_READONLY: "make the disk writable again; what was committed before is kept",
    sqlite3.SQLITE_IOERR: "the disk fails, or is full: mend that, and try again; what was committed before is kept",
    sqlite3.SQLITE_BUSY: "another process has been writing it for long: try again",
    sqlite3.SQLITE_LOCKED: "another process has been writing it for long: try again",
}
_SURE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def tells_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what SQLite wrote, for sure."""
    return _code(error) in _SURE


def tells_full(error: sqlite3.Error) -> bool:
    """Whether there was no room to write."""
    return _code(error) == sqlite3.SQLITE_FULL


def tells_readonly(error: sqlite3.Error) -> bool:
    """Whether the connection, or the disk, is one to read only."""
    return _code(error) == sqlite3.SQLITE_READONLY


def advice_on(file: Path, error: sqlite3.Error) -> str:
    """What to do about it."""
    if not all(os.access(path, os.W_OK) for path in (file.parent, file) if path.exists()):
        return f"give the user who runs this the right to write in {file.parent}, which searching needs too"
    code = _code(error)
    if code in _ADVICE:
        return _ADVICE[code]
    if code in _IN_THE_WAY:
        return f"try again; if that goes on, look at the disk of {file.parent}, and see passages doctor --index {file.parent}"
    return advice(file.parent)


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF  # what Python's module says itself has none
