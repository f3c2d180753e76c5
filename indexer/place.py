"""What an index folder may hold. A folder that holds anything else is made no index: what is derived there is deleted again."""

from __future__ import annotations

import re
from pathlib import Path

from indexer.schema import CatalogError

# What is hidden, and "lost+found", are a file system's or an editor's.
_OURS = re.compile(
    r"\..*|lost\+found|writer\.(lock|pid)|keys\.json.*|catalog\.sqlite.*|judgements\.sqlite.*|"
    r"(words|vectors)(-\d+|\.json(\.new)?)",
    re.DOTALL,
)


def is_ours(path: Path) -> bool:
    """Whether it has a name that an index gives, or may have beside it."""
    return _OURS.fullmatch(path.name) is not None


def check_place(folder: Path) -> None:
    """Raises :class:`CatalogError` for a folder, in which no index is, that holds other files, and :class:`OSError`."""
    if folder.exists() and not all(is_ours(path) for path in folder.iterdir()):
        raise CatalogError(f"{folder} holds other files and no index; choose a new or empty folder")
