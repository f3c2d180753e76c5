"""Vectors on disk: 16-bit rows and their keys, mapped, and the codes of :mod:`indexer.fastscan` that are searched in memory.

Derived from the catalog: deleting them loses nothing. ``vectors.json`` is written last, so what it names is whole; the folder
that it names never changes. Codes and keys are hashed at every opening, before native code parses them. Rows are plain memory,
too many to read at every opening: their length is checked then, their hashes when they are copied and by :func:`whole`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from indexer import quantised
from indexer.errors import PassagesError
from indexer.files import fresh_folder, from_record, remove_folders, replace_file, sealed, sync_folder
from indexer.quantised import Halves
from indexer.vectors import Keys

if TYPE_CHECKING:
    import faiss

log = logging.getLogger(__name__)

Rows = TypeVar("Rows", Keys, Halves)
Block = tuple[Keys, Halves]  # keys int64 [n], ascending, and their vectors float16 [n, d]

FORMAT = 2
VECTORS_FILE = "vectors.json"
BLOCK_ROWS = 8192  # of 6 MB at 384 dimensions: what is in memory of a copy


class VectorFilesError(Exception):
    """The files are not what was written; they are of no use."""


class Record(NamedTuple):
    """What ``vectors.json`` says: files of ``rows`` vectors of passages up to ``last_key``, as of a commit."""

    format: int
    tag: str  # what the vectors were made with; those of another are of no use
    place: str  # the folder's name
    generation: int
    last_key: int
    rows: int
    dimension: int
    trained: int  # how many vectors there were when the code book was made
    codes_hash: str  # SHA-256, hexadecimal
    keys_hash: str
    row_hashes: list[str]  # of each ``BLOCK_ROWS`` rows


class VectorFiles(NamedTuple):
    """The files, open: ``keys`` int64 [n] ascending and ``rows`` float16 [n, d], mapped, and codes of every row by its key."""

    record: Record
    keys: Keys
    rows: Halves
    codes: faiss.Index


def read_record(folder: Path, tag: str) -> Record | None:
    """What the index folder has, if it was made for ``tag`` and its files have their lengths; else None."""

    def checked(values: Mapping[str, Any]) -> Record | None:
        record = Record(**values)
        if (record.format, record.tag) != (FORMAT, tag):
            return None
        _check_lengths(folder / record.place, record)
        return record

    return from_record(folder / VECTORS_FILE, checked)


def open_files(folder: Path, record: Record) -> VectorFiles | None:
    """The files of a record that was just read, or None if they are not what was written."""
    try:
        return _opened(folder / record.place, record)
    except FileNotFoundError:  # another process has folded meanwhile: its own record tells of the new ones
        return None
    except Exception as error:
        log.warning("the vectors in %s are damaged and will be made again: %s", folder / record.place, error)
        return None


def whole(files: VectorFiles) -> bool:
    """Whether every row is what was written; reads all of them."""
    return all(_digest(rows) == known for rows, known in zip(in_blocks(files.rows), files.record.row_hashes, strict=True))


def write_files(
    folder: Path,
    blocks: Iterable[Block],
    record: Record,
    before: VectorFiles | None = None,
    removed: Keys | None = None,
) -> VectorFiles:
    """Files of what ``before`` has, less ``removed``, and of ``blocks``, whose keys are above; the caller is the only writer.

    ``record`` gives tag, generation and dimension; the rest is filled in. The code book of ``before`` is used on until
    there are twice the vectors that it was made for. What is interrupted leaves the old files. Raises
    :class:`VectorFilesError` if ``before`` is damaged and :class:`PassagesError` if there is no room.
    """
    gone = np.empty(0, np.int64) if removed is None else removed
    try:
        place = fresh_folder(folder, "vectors")
        try:
            written = _write(place, blocks, record, before, gone)
            sync_folder(place)
            replace_file(folder / VECTORS_FILE, sealed(json.dumps(written._asdict())))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    except OSError as error:
        raise PassagesError(f"the vectors in {folder} cannot be written: {error.strerror}; make room") from error
    remove_folders(folder, "vectors", place)
    return _opened(place, written)


def remove_files(folder: Path) -> None:
    """Delete the record first, so that it never names what is not there."""
    (folder / VECTORS_FILE).unlink(missing_ok=True)
    remove_folders(folder, "vectors")


def _write(place: Path, blocks: Iterable[Block], record: Record, before: VectorFiles | None, removed: Keys) -> Record:
    kept = _write_rows(place, _kept(before, removed), "wb") if before else 0
    count = kept + _write_rows(place, blocks, "ab")
    keys, rows = _mapped(place, record._replace(rows=count))
    if before and count < 2 * before.record.trained:
        index, trained = quantised.copy(before.codes), before.record.trained
        quantised.remove(index, np.setdiff1d(before.keys, keys[:kept], assume_unique=True))
    else:
        index, trained, kept = quantised.codes_like(rows), count, 0
    for at in range(kept, count, BLOCK_ROWS):
        quantised.add(index, keys[at : at + BLOCK_ROWS], rows[at : at + BLOCK_ROWS])
    return record._replace(
        format=FORMAT, place=place.name, last_key=int(keys[-1]) if count else 0, rows=count, trained=trained,
        codes_hash=_write_codes(place, index), keys_hash=_digest(keys), row_hashes=[_digest(some) for some in in_blocks(rows)],
    )  # fmt: skip


def _kept(files: VectorFiles, removed: Keys) -> Iterator[Block]:
    """The rows less those of ``removed``; a damaged one must not be copied into files that count as whole."""
    for number, rows in enumerate(in_blocks(files.rows)):
        if _digest(rows) != files.record.row_hashes[number]:
            raise VectorFilesError(f"rows from {number * BLOCK_ROWS} on have changed")
        keys = files.keys[number * BLOCK_ROWS :][: len(rows)]
        kept = np.isin(keys, removed, invert=True)
        yield keys[kept], rows[kept]


def _write_rows(place: Path, blocks: Iterable[Block], mode: str) -> int:
    """How many were written."""
    count = 0
    with (place / "keys.i64").open(mode) as of_keys, (place / "rows.f16").open(mode) as of_rows:
        for keys, rows in blocks:
            of_keys.write(np.ascontiguousarray(keys, "<i8"))
            of_rows.write(np.ascontiguousarray(rows, "<f2"))
            count += len(keys)
        for file in (of_keys, of_rows):
            file.flush()
            os.fsync(file.fileno())
    return count


def _write_codes(place: Path, index: faiss.Index) -> str:
    import faiss

    serialised = faiss.serialize_index(index)
    with (place / "codes.faiss").open("wb") as file:
        file.write(serialised.data)
        file.flush()
        os.fsync(file.fileno())
    return _digest(serialised)


def _opened(place: Path, record: Record) -> VectorFiles:
    import faiss

    _check_lengths(place, record)
    keys, rows = _mapped(place, record)
    serialised = np.fromfile(place / "codes.faiss", np.uint8)
    if _digest(keys) != record.keys_hash or _digest(serialised) != record.codes_hash:
        raise VectorFilesError("keys or codes have changed")
    index = faiss.deserialize_index(serialised)
    if (index.ntotal, index.d) != rows.shape:
        raise VectorFilesError("codes and rows are not of one size")
    return VectorFiles(record, keys, rows, index)


def _mapped(place: Path, record: Record) -> tuple[Keys, Halves]:
    if record.rows == 0:  # an empty file cannot be mapped
        return np.empty(0, np.int64), np.empty((0, record.dimension), np.float16)
    keys = np.memmap(place / "keys.i64", "<i8", "r", shape=(record.rows,))
    rows = np.memmap(place / "rows.f16", "<f2", "r", shape=(record.rows, record.dimension))
    # As plain arrays, which take rows three times as fast; the map lives as long as they do.
    return keys.view(np.ndarray), rows.view(np.ndarray)


def _check_lengths(place: Path, record: Record) -> None:
    """Mapped memory beyond the end of its file would end the process."""
    for name, width in (("keys.i64", 8), ("rows.f16", 2 * record.dimension)):
        if (place / name).stat().st_size != record.rows * width:
            raise VectorFilesError(f"{name} has another length than was written")


def in_blocks(rows: Rows, size: int = BLOCK_ROWS) -> Iterator[Rows]:
    """The rows of an array, ``size`` at a time."""
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _digest(values: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).view(np.uint8).data).hexdigest()
