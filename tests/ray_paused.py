"""Asks a cluster for the files of a folder, takes the first and waits; then the rest is gone. Prints how many files had been
read, and how many were gone: ``python -m tests.ray_paused ADDRESS FOLDER``."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from indexer.cluster import cluster
from indexer.collection import Collection
from indexer.documents import Document, read_documents
from indexer.errors import UnreadableError
from indexer.extraction import DEFAULT_LIMITS
from indexer.folders import find
from indexer.hashes import document_hash
from indexer.reader import Wanted
from indexer.synced import Summary

PAUSE_S = 20.0  # in which all of it could be read


def main(address: str, folder: str) -> None:
    """Do it."""
    files = find([Path(folder)], Summary()).files
    read = gone = 0
    with (
        tempfile.TemporaryDirectory() as index,
        cluster(address) as reader_of,
        Collection(Path(index), create=True) as collection,
    ):
        # Documents that are indexed as they are need not be encoded, so nothing but the bound slows the cluster down.
        hashes = {
            file.path: [document_hash(one) for one in read_documents(file.path, file.name) if isinstance(one, Document)]
            for file in files
        }
        with reader_of(collection, DEFAULT_LIMITS) as reader:
            reader.expect([Wanted(file, file.name, "", frozenset(hashes[file.path])) for file in files], ())
            for number, file in enumerate(files):
                try:
                    reader.digest(file)
                    read += 1
                except UnreadableError:
                    gone += 1
                if number == 0:
                    time.sleep(PAUSE_S)
                    for path in Path(folder).iterdir():
                        path.unlink()
    print(json.dumps([read, gone]))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
