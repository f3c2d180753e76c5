"""A catalog that is not what was written is refused, with the command that restores a backup: whatever was done to its file,
an answer is the right one, or an error that says so."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer.catalog
from indexer.catalog import CATALOG_FILE
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.ingest import Ingest, put
from indexer.schema import CatalogError, DamagedError
from indexer.search import Query, search
from indexer.witness import LATEST_FILE, WAL_FILE

FLIPS = 300
WAL = "catalog.sqlite-wal"
QUERIES = [
    Query("Which crane lifts the heaviest load?", limit=5),
    Query('"harbour 7"', limit=5),
    Query("Who drains the marsh?", limit=20, filter={"kind": "even"}),
    Query("harbour", limit=5, group="document"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of 40 documents, closed."""
    folder = tmp_path_factory.mktemp("damage") / "index"
    with Collection(folder, create=True, encoder=encoder) as collection, collection.lock.held(0), Ingest(collection) as ingest:
        for number in range(40):
            text = f"The cranes of harbour {number} lift {number * 7} tons.\n\nWho crosses marsh {number} needs a guide.\n\nThe end."
            kind = "odd" if number % 2 else "even"
            ingest.document(Document(f"d{number}", f"Harbour {number}", text, date=f"2021-01-{number % 28 + 1:02}", metadata={"kind": kind}))
        ingest.then(lambda writer: writer.put_source("/a.txt", "a", "stamp", "hash", [("line 1", "bad")]))
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, whole: Path, encoder: Encoder) -> Path:
    """The same with two more documents in its ``-wal``, as a process that was killed leaves it."""
    folder = tmp_path_factory.mktemp("killed") / "index"
    live = shutil.copytree(whole, folder.with_name("live"))
    with Collection(live, encoder=encoder) as collection:
        put(collection, Document("late", "", "The late crane lifts a thousand tons."))
        put(collection, Document("later", "", "Nothing crosses the marsh at night."))
        shutil.copytree(live, folder)
    assert (folder / WAL).stat().st_size > 0
    return folder


def answers(folder: Path, encoder: Encoder) -> list[Any]:
    """What a user can see of the index."""
    seen: list[Any] = []
    with Collection(folder, encoder=encoder) as collection:
        for query in QUERIES:
            answer = search(collection, query)
            rows = [(one.passage.id, one.score, one.passage.text, one.evidence, one.also_in, one.others) for one in answer.results]
            seen.append((answer.verdict, answer.generation, rows))
        with collection.catalog.read() as snapshot:
            seen += [snapshot.counts(), snapshot.sources(), snapshot.languages(), snapshot.document_ids()]
            seen += [snapshot.document(one) for one in ("d3", "d39", "late")]
    return seen


def copy_of(folder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(folder, place)


def flip(file: Path, chance: random.Random) -> str:
    """Flips one bit; where."""
    content = bytearray(file.read_bytes())
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {at}"


def is_refused(folder: Path, encoder: Encoder, right: list[Any], where: str) -> bool:
    """Whether it is refused as it should be; fails unless that, or every answer is right."""
    try:
        found = answers(folder, encoder)
    except CatalogError as error:
        assert f"passages restore FILE --index {folder}" in str(error), where
        return True
    assert found == right, where
    return False


def test_experiment(whole: Path, killed: Path, tmp_path: Path, encoder: Encoder, monkeypatch) -> None:
    import time, collections
    monkeypatch.setattr(indexer.catalog, "CHECKED_BYTES", 0)
    right = answers(whole, encoder)
    chance = random.Random(1)
    stat = collections.Counter()
    began=time.time()
    bad=[]
    for number in range(60):
        folder = copy_of(whole, tmp_path)
        where = flip(folder / CATALOG_FILE, chance)
        try:
            found = answers(folder, encoder)
            r = "same" if found == right else "WRONG"
        except CatalogError as error:
            r = "refused" if "passages restore FILE" in str(error) else "no advice: "+str(error)
        except Exception as error:
            r = "other "+repr(error)
        if r != "refused":
            try:
                with Collection(folder, encoder=encoder) as c: c.catalog.check()
                r += " and scrub ok"
            except CatalogError: r += " and scrub tells"
        if "WRONG" in r or 'other' in r: bad.append((where,r))
        stat[r]+=1
    import os; print([(p.name,p.stat().st_size) for p in whole.iterdir()]);
    print(stat, (whole/CATALOG_FILE).stat().st_size, time.time()-began, bad)
