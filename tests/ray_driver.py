"""What a test asks of a cluster in a process of its own: ``python -m tests.ray_driver WHAT ADDRESS FOLDER``."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from indexer import cluster
from indexer.collection import Collection
from indexer.documents import Document, read_documents
from indexer.errors import PassagesError, UnreadableError
from indexer.extraction import DEFAULT_LIMITS
from indexer.folders import File, find
from indexer.hashes import document_hash
from indexer.reader import Reader, Wanted
from indexer.synced import Summary

PAUSE_S = 20.0  # in which all of it could be read


def paused(reader: Reader, collection: Collection, folder: Path) -> object:
    """Takes the first file and waits; then the rest is gone. How many had been read, and how many were gone."""
    files = find([folder], Summary()).files
    read = gone = 0
    # Documents that are indexed as they are need not be encoded, so nothing but the bound slows the cluster down.
    hashes = {
        file.path: [document_hash(one) for one in read_documents(file.path, file.name) if isinstance(one, Document)]
        for file in files
    }
    reader.expect([Wanted(file, file.name, "", frozenset(hashes[file.path])) for file in files], ())
    for number, file in enumerate(files):
        try:
            reader.digest(file)
            read += 1
        except UnreadableError:
            gone += 1
        if number == 0:
            time.sleep(PAUSE_S)
            for path in folder.iterdir():
                path.unlink()
    return [read, gone]


def absent(reader: Reader, collection: Collection, folder: Path) -> object:
    """Asks for a file in a folder that the nodes do not have. What is said of that."""
    away = folder / "away"
    return _refused(reader, File(away / "a.txt", "a.txt", "", 1, away))


def altered(reader: Reader, collection: Collection, folder: Path) -> object:
    """Asks with another model than the nodes have. What is said of that."""
    (file,) = find([folder], Summary()).files
    collection.encoder.contract = replace(collection.encoder.contract, weights="0")
    return _refused(reader, file)


def _refused(reader: Reader, file: File) -> str:
    reader.expect([Wanted(file, file.name, "", frozenset())], ())
    try:
        reader.digest(file)
        list(reader.documents(file, file.name))
    except PassagesError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


ASKED: Sequence[Callable[[Reader, Collection, Path], object]] = (paused, absent, altered)


def main(what: str, address: str, folder: str) -> None:
    """Prints what comes of it, as JSON."""
    ask = next(one for one in ASKED if one.__name__ == what)
    with (
        tempfile.TemporaryDirectory() as index,
        Collection(Path(index), create=True) as collection,
        cluster.cluster(address) as reader_of,
        reader_of(collection, DEFAULT_LIMITS) as reader,
    ):
        answer = ask(reader, collection, Path(folder))
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
