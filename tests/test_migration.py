"""Indexes of earlier releases open: brought to this format in one transaction, with every text as it was."""

from __future__ import annotations

import gzip
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import indexer.schema
from indexer.catalog import CATALOG_FILE, Catalog
from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.ingest import reindex
from indexer.lock import LockedError, WriterLock
from indexer.models import ModelError
from indexer.schema import SCHEMA_VERSION, CatalogError
from indexer.search import Query, search
from indexer.witness import Witness

FIXTURES = Path(__file__).parent / "fixtures"
RIVER = "The river floods the lower town every spring.\n\nIn 1998 the mayor had a wall built of granite.\n"
NOTES = (
    "# Café\n\nNaïve façade, 東京 and 😀 stay as they are.\n\n"
    "## Opening hours\n\nThe café opens at seven, but on Sundays at nine.\n"
)
TEXTS = {
    "river.txt": RIVER,
    "notes.md": NOTES,
    "stork": "Storks nest on chimneys.  They return in March.",
    "owl/1": "Owls hunt at night.",
}


def unpacked(number: int, folder: Path) -> Path:
    """An index folder that holds the catalog of a format."""
    folder.mkdir(exist_ok=True)
    (folder / CATALOG_FILE).write_bytes(gzip.decompress((FIXTURES / f"format-{number}.sqlite.gz").read_bytes()))
    return folder


def version(folder: Path) -> int:
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def texts(catalog: Catalog) -> dict[str, str]:
    with catalog.read() as snapshot:
        found = {one: snapshot.document(one) for one in snapshot.document_ids()}
    return {name: document.text for name, document in found.items() if document}


@pytest.mark.parametrize("number", [1, 2])
def test_an_index_of_an_earlier_release_keeps_its_documents_word_for_word(number: int, tmp_path: Path) -> None:
    folder = unpacked(number, tmp_path)
    assert version(folder) == number
    catalog = Catalog(folder)
    assert texts(catalog) == TEXTS
    with catalog.read() as snapshot:
        stork = snapshot.document("stork")
        assert stork is not None
        assert (stork.title, stork.date, stork.metadata) == ("Storks", "2021-03-04", {"date": "2021-03-04", "colour": "white"})
        assert [source.path for source in snapshot.sources()] == [
            f"/srv/documents/{n}" for n in ("birds.jsonl", "notes.md", "river.txt")
        ]
        assert len(snapshot.identity) == 32
    catalog.check()
    catalog.close()
    assert version(folder) == SCHEMA_VERSION


def test_an_index_of_the_first_release_answers_once_it_is_encoded_again(tmp_path: Path, encoder: Encoder) -> None:
    folder = unpacked(1, tmp_path)
    with Collection(folder, encoder=encoder) as collection:
        command = f"passages index --index {folder} --model {collection.model} --reindex"
        with pytest.raises(ModelError) as refusal:
            search(collection, Query("Where do storks nest?"))
        assert str(refusal.value).endswith(command)
        reindex(collection)
        answer = search(collection, Query("Where do storks nest?", limit=1))
        assert (answer.verdict, answer.results[0].passage.text) == ("answered", TEXTS["stork"])
        assert texts(collection.catalog) == TEXTS
        collection.catalog.check()


def test_an_index_of_format_2_answers_at_once(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(unpacked(2, tmp_path), encoder=encoder) as collection:
        answer = search(collection, Query("When was the wall built?", limit=1))
        assert (answer.verdict, answer.results[0].passage.document.id) == ("answered", "river.txt")


@pytest.mark.parametrize("number", [1, 2])
def test_a_migration_that_is_stopped_at_any_statement_leaves_the_old_format(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement of it, also the last: the record of the new format."""
    statements: list[str] = []

    class Stopping(sqlite3.Connection):
        after = -1

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if self.in_transaction and sql != "COMMIT" and not sql.startswith("SELECT"):
                statements.append(sql)
                if len(statements) == Stopping.after:
                    raise KeyboardInterrupt
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr("indexer.catalog.sqlite3.connect", lambda *args, **named: connect(*args, factory=Stopping, **named))
    Catalog(unpacked(number, tmp_path / "whole")).close()
    total = statements.index(next(one for one in reversed(statements) if "UPDATE state SET checksum" in one)) + 1
    assert total > 30
    for after in [*range(1, total, 9), total]:
        folder = unpacked(number, tmp_path / str(after))
        statements.clear()
        Stopping.after = after
        with pytest.raises(KeyboardInterrupt):
            Catalog(folder)
        assert version(folder) == number
    Stopping.after = -1
    catalog = Catalog(folder)
    assert texts(catalog) == TEXTS
    catalog.close()


def test_a_server_of_the_release_before_that_still_runs_can_write_no_more(tmp_path: Path) -> None:
    """It opened the file as format 2, and looks at the format no more; what it says, for each commit, is this."""
    folder = unpacked(2, tmp_path)
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as old:
        old.execute("PRAGMA foreign_keys = ON")
        (before,) = old.execute("SELECT generation FROM state").fetchone()
        catalog = Catalog(folder)
        with pytest.raises(sqlite3.OperationalError, match="no such column: generation"):
            old.execute("SELECT generation, contract FROM state")
        old.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="no such column: generation"):
            old.execute("UPDATE state SET generation = generation + 1")
        old.execute("ROLLBACK")
        with catalog.write() as writer:
            assert writer.delete_document("stork")
        with catalog.read() as snapshot:
            assert (snapshot.generation, len(snapshot.removed(before))) == (before + 1, 1)
        catalog.close()
    catalog = Catalog(folder)
    catalog.check()
    catalog.close()


def test_an_old_index_is_brought_on_by_who_may_write_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unpacked(2, tmp_path)
    monkeypatch.setattr("indexer.catalog._MIGRATION_S", 0.1)
    with WriterLock(folder).held(0), pytest.raises(LockedError, match=f"process {os.getpid()} .* is writing this index"):
        Catalog(folder)
    assert version(folder) == 2
    Catalog(folder).close()
    assert "is of an earlier release: it is brought to this one's format" in caplog.text
    assert Witness(folder).known()
    caplog.clear()
    Catalog(folder).close()
    assert caplog.text == ""


def test_two_that_open_an_old_index_at_once_bring_it_on_once(tmp_path: Path) -> None:
    folder, identities = unpacked(2, tmp_path), []

    def look() -> None:
        catalog = Catalog(folder)
        with catalog.read() as snapshot:
            identities.append(snapshot.identity)
        catalog.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(identities) == 4
    assert len(set(identities)) == 1


def test_an_index_of_a_later_release_is_refused_with_advice(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    with sqlite3.connect(tmp_path / CATALOG_FILE) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    message = f"has format {SCHEMA_VERSION + 1} and this release reads {SCHEMA_VERSION}: upgrade passages"
    with pytest.raises(CatalogError, match=message):
        Catalog(tmp_path)


def test_a_step_that_cannot_be_done_is_told_and_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, steps = unpacked(2, tmp_path), indexer.schema._MIGRATIONS
    monkeypatch.setattr(indexer.schema, "_MIGRATIONS", {2: steps[2] + "DROP TABLE no_such_table;\n"})
    with pytest.raises(CatalogError, match="no_such_table"):
        Catalog(folder)
    assert version(folder) == 2
