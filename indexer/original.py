"""The file that a document came from, as it was indexed: nothing else that its path may name by now."""

from __future__ import annotations

import os
import sys
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from indexer.errors import PassagesError, UnreadableError
from indexer.inputs import open_input, stamp_of
from indexer.records import Source


class GoneError(PassagesError):
    """The file is not there any more as it was indexed."""


class Original(NamedTuple):
    """The file, open: what is read from it is what was compared, whatever its path names meanwhile. The caller closes it."""

    file: BufferedReader
    name: str
    status: os.stat_result


def open_original(source: Source) -> Original:
    """The file of a source. Raises :class:`GoneError` if it is gone, leads out of its folder, or has been touched since."""
    path = Path(source.path)
    try:
        file = open_input(path, _root(source), sys.maxsize)
    except (OSError, UnreadableError) as error:
        raise GoneError(
            f"the file {path.name} cannot be given: {_reason(error)}; its text, as it was indexed, is still here"
        ) from error
    status = os.fstat(file.fileno())
    if source.stamp.split(":")[:4] != list(map(str, stamp_of(status))):
        file.close()
        raise GoneError(f"the file {path.name} was changed since it was indexed; index its folder again, then ask again")
    return Original(file, path.name, status)


def _root(source: Source) -> Path:
    """The folder that was synced, as far as it can be told: a file that was moved tells its own folder only."""
    below = "/" + source.name
    return Path(source.path.removesuffix(below) or "/") if source.path.endswith(below) else Path(source.path).parent


def _reason(error: OSError | UnreadableError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "it is no longer where it was indexed"
    return f"it {error}" if isinstance(error, UnreadableError) else str(error.strerror)
