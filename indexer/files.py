"""Files of derived structures: each appears whole or not at all, and in a folder of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path


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


def replace_file(path: Path, text: str) -> None:
    """Whole or not at all, also when the machine stops; a folder that took its place goes."""
    if path.is_dir():
        shutil.rmtree(path)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def fresh_folder(folder: Path, name: str) -> Path:
    """A new folder ``name``-<number> in ``folder``, its number above all that are there."""
    taken = [int(path.name.removeprefix(f"{name}-")) for path in folder.glob(f"{name}-*") if _numbered(path, name)]
    place = folder / f"{name}-{max(taken, default=0) + 1}"
    place.mkdir()
    return place


def remove_folders(folder: Path, name: str, keep: Path | None = None) -> None:
    """Delete every folder ``name``-* but ``keep``; readers that have one open keep what they have mapped."""
    for other in folder.glob(f"{name}-*"):
        if other != keep and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def _numbered(path: Path, name: str) -> bool:
    return path.name.removeprefix(f"{name}-").isdecimal()
