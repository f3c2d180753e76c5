"""A Milvus server that is killed again and again: each document that was acknowledged is there, whole, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Document, Query
from indexer.encoder import Encoder
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Tables
from indexer.ingest import Ingest, remove
from indexer.search import search
from tests.milvus import START_S, MilvusServer, milvus

KILLS = int(os.environ.get("TEST_KILLS", "1"))  # make test-cluster does three


@pytest.mark.parametrize("flushed", [False, True])
def test_what_was_acknowledged_is_whole_after_each_kill(tmp_path: Path, encoder: Encoder, flushed: bool) -> None:
    """``flushed``: a part of it lies in the server's files already, and the rest in its log alone."""
    versions: dict[int, int] = {}
    with milvus(tmp_path / "milvus") as server:
        for kill in range(KILLS):
            with closing(_opened(server, encoder, flushed)) as engine:
                _put(engine, versions, range(4 * kill, 4 * kill + 4))
                if flushed:
                    _flush(engine)
                _put(engine, versions, list(versions)[::2])
                assert remove(engine, f"note-{4 * kill + 1}")
                del versions[4 * kill + 1]
                _put(engine, versions, [0])
            server.kill()
            server.start()
            with closing(_opened(server, encoder, flushed)) as engine:
                _check(engine, versions)


def _opened(server: MilvusServer, encoder: Encoder, flushed: bool) -> MilvusCollection:
    address = server.address(f"kills_{flushed}")
    return MilvusCollection(address, "", create=True, encoder=encoder, patience_s=START_S)


def _document(number: int, version: int) -> Document:
    text = "\n\n".join(f"Note {number} in version {version} has paragraph {one}." for one in range(1 + version % 3))
    return Document(f"note-{number}", f"Note {number}", text)


def _put(engine: MilvusCollection, versions: dict[int, int], numbers: Iterable[int]) -> None:
    """Write the next version of each, in one commit."""
    following = {number: versions.get(number, -1) + 1 for number in numbers}
    with engine.lock.held(0), Ingest(engine) as ingest:
        for number, version in following.items():
            ingest.document(_document(number, version))
        ingest.flush()
    versions |= following


def _flush(engine: MilvusCollection) -> None:
    """The server writes its files by itself after some time; this makes it do so now."""
    tables = Tables(engine._connection)
    for name in map(tables.name, ("", "documents", "texts", "meta")):
        engine._connection.call(lambda client, left, name=name: client.flush(name, timeout=left))  # type: ignore[misc]


def _check(engine: MilvusCollection, versions: dict[int, int]) -> None:
    documents = {f"note-{number}": _document(number, version) for number, version in versions.items()}
    with engine.catalog.read() as snapshot:
        assert snapshot.document_ids() == sorted(documents)
        for one in documents.values():
            found = snapshot.document(one.id)
            assert found is not None
            assert found.text == one.text
            assert len(snapshot.passages_of(one.id)) > 0
    tables = Tables(engine._connection, consistency="Strong")
    paragraphs = sum(one.text.count("\n\n") + 1 for one in documents.values())
    assert (tables.count("documents"), tables.count("texts"), tables.count("")) == (len(documents), len(documents), paragraphs)
    assert tables.query("meta", 'kind == "pending"', ["key"]) == []
    one = documents["note-0"]
    assert one.id in {found.passage.document.id for found in search(engine, Query(one.text)).results}
