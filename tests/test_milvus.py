"""A collection on a Milvus server that is away, killed, slow or shared: nothing acknowledged is lost, and nothing hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer import Document, Query
from indexer.encoder import Encoder
from indexer.engines.address import Address, AddressError, where_of
from indexer.engines.copying import CopyError, copy
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Connection, ServerError, Tables, one_of, server_of
from indexer.engines.milvus.generations import new_generation, sweep, sweep_unnamed
from indexer.engines.milvus.state import Totals, pending_row, read_state, state_row
from indexer.engines.milvus.tables import make_named
from indexer.engines.milvus.writer import MilvusWriter
from indexer.engines.opening import open_engine
from indexer.errors import AwayError
from indexer.ingest import put, remove
from indexer.lock import LockedError
from indexer.schema import CatalogError, MissingError
from indexer.search import search
from service.settings import SettingsError, load
from tests.milvus import MilvusServer, emptied, free_port, milvus


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """One that nobody kills."""
    with milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def engine(server: MilvusServer, request: pytest.FixtureRequest, encoder: Encoder) -> Iterator[MilvusCollection]:
    """An empty collection, named as the test."""
    with closing(emptied(server, request.node.name, encoder)) as engine:
        yield engine


def rows(engine: MilvusCollection, table: str) -> int:
    return Tables(engine._connection, consistency="Strong").count(table)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("milvus://db.example.net/papers", "milvus://db.example.net:19530/papers"),
        ("milvus://[::1]:19531/a_1", "milvus://[::1]:19531/a_1"),
    ],
)
def test_an_address_names_a_server_and_a_collection(text: str, wanted: str) -> None:
    assert str(where_of(text)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://db.example.net/papers", "neither a folder nor an address"),
        ("milvus:/db.example.net/papers", "neither a folder nor an address; write ./milvus:/"),
        ("milvus://db.example.net", "names no collection"),
        ("milvus://db.example.net/a-b", "names no collection"),
        ("milvus://db.example.net:x/papers", "is no address"),
        ("milvus://root:secret@db.example.net/papers", "PASSAGES_MILVUS_TOKEN"),
        ("milvus://root:secret@db.example.net:x/papers", "PASSAGES_MILVUS_TOKEN"),
        ("http://root:secret@db.example.net/papers", "PASSAGES_MILVUS_TOKEN"),
    ],
)
def test_what_is_no_address_is_told(text: str, said: str) -> None:
    with pytest.raises(AddressError, match=said) as told:
        where_of(text)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("version", "words", "flushes"),
    [("v2.3.5-lite", False, False), ("milvus_lite-3.2.2", True, True), ("v2.5.4", True, False), ("3.0.1", True, False)],
)
def test_what_a_server_can_do_is_told_from_its_version(version: str, words: bool, flushes: bool) -> None:
    assert server_of(version) == (version, words, flushes)


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSAGES_MILVUS_TOKEN", "root:secret")
    where = load(index="milvus://db.example.net/papers").where
    assert isinstance(where, Address)
    assert where.token == "root:secret"  # noqa: S105
    assert "secret" not in f"{where} {where!r}"


def test_what_works_on_a_folder_alone_says_so() -> None:
    with pytest.raises(SettingsError, match="a collection on a server, and this works on an index folder"):
        _ = load(index="milvus://db.example.net/papers").folder


def test_a_server_that_is_not_there_is_told_of_in_time(engine: MilvusCollection, encoder: Encoder) -> None:
    began = time.monotonic()
    with pytest.raises(AwayError, match="does not answer"):
        open_engine(Address("127.0.0.1", free_port(), "papers"), encoder=encoder, patience_s=1)
    assert time.monotonic() - began < 5


def test_the_words_of_names_are_not_taken_for_what_a_server_says(tmp_path: Path, encoder: Encoder) -> None:
    address = Address("password-ssl-handshake.invalid", 1, "permission_denied", authority=tmp_path / "authority.pem")
    (tmp_path / "authority.pem").write_text("")
    with pytest.raises(AwayError, match="there is no address for its name"):
        open_engine(address, encoder=encoder, patience_s=1)


def test_a_collection_that_was_released_is_loaded_again_and_no_other_one_is(server: MilvusServer, encoder: Encoder) -> None:
    with (
        closing(emptied(server, "password_policies", encoder)) as engine,
        closing(emptied(server, "password_policies_2", encoder)) as other,
    ):
        for one in (engine, other):
            put(one, Document("otter", "", "The otter lives in rivers."))
            for table in ("", "documents", "texts", "meta"):
                name = Tables(one._connection).name(table)
                one._connection.call(lambda client, left, name=name: client.release_collection(name, timeout=left))  # type: ignore[misc]
        assert len(search(engine, Query("Where does the otter live?")).results) == 1
        name = Tables(other._connection).name("")
        state = other._connection.call(lambda client, left: client.get_load_state(name, timeout=left))
        assert "NotLoad" in str(state["state"])


def test_a_collection_that_is_not_there_is_told_of(server: MilvusServer, encoder: Encoder) -> None:
    with pytest.raises(CatalogError, match=r"there is no index at milvus://127\.0\.0\.1:"):
        open_engine(server.address("nothing"), encoder=encoder)


def test_a_collection_is_not_called_as_a_table_of_another_one(server: MilvusServer, encoder: Encoder) -> None:
    with pytest.raises(CatalogError, match="does not end with _documents or _texts or _meta"):
        open_engine(server.address("papers_meta"), create=True, encoder=encoder)


def test_a_certificate_that_cannot_be_read_is_told_of(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(ServerError, match="PASSAGES_MILVUS_AUTHORITY"):
        open_engine(Address("127.0.0.1", free_port(), "papers", authority=tmp_path / "none.pem"), encoder=encoder, patience_s=1)


def test_another_model_is_told_of_and_changes_nothing(engine: MilvusCollection) -> None:
    from dataclasses import replace

    put(engine, Document("one", "", "The otter lives in rivers."))
    other = replace(engine.encoder.contract, weights="another", dimension=8)
    with pytest.raises(ServerError, match="keeps the model that it was made with"), engine.catalog.write() as writer:
        writer.set_contract(other)
    assert len(search(engine, Query("otter")).results) == 1


def test_two_requests_of_a_process_do_not_write_at_once(engine: MilvusCollection) -> None:
    with engine.lock.held(0), pytest.raises(LockedError):
        remove(engine, "one", wait_s=0.01)


class _Ended(Exception):  # noqa: N818  # it stands for the end of a process
    pass


VERBS = ("insert", "upsert", "delete")


@pytest.mark.parametrize("at", range(8))
def test_a_writer_that_ends_in_the_middle_leaves_the_old_document_or_the_new_one_whole(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    before, after = ("An otter sleeps.\n\nIt dreams.", "A heron stands.\n\nIt waits.\n\nIt flies.")
    put(engine, Document("one", "", before))
    calls = 0

    def ending(verb: str) -> Any:
        real = getattr(Tables, verb)

        def call(self: Tables, *arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > at:
                raise _Ended
            return real(self, *arguments)

        return call

    with monkeypatch.context() as patched:
        for verb in VERBS:
            patched.setattr(Tables, verb, ending(verb))
        patched.setattr(Tables, "flush", lambda *_: None)
        with suppress(_Ended):
            put(engine, Document("one", "", after))
    assert calls > at, "the writer has fewer steps than this: nothing was tested"
    Tables(engine._connection).flush(["", "documents", "texts", "meta"])
    seen = {one.passage.document.text for one in search(engine, Query("What does it do?")).results}
    assert seen in ({before}, {after})
    tables = Tables(engine._connection, consistency="Strong")
    assert sweep(tables, 3600) == 0  # what began just now may still be going on
    sweep(tables, -1)
    assert sweep(tables, -1) == 0
    (text,) = seen
    assert {one.passage.document.text for one in search(engine, Query("What does it do?")).results} == seen
    assert (rows(engine, ""), rows(engine, "texts"), rows(engine, "documents")) == (text.count("\n\n") + 1, 1, 1)
    put(engine, Document("one", "", after))
    engine.fold(at_once=True)
    with engine.catalog.read() as snapshot:
        assert snapshot.sizes() == (1, 3)


def test_a_block_that_raises_leaves_each_document_whole_as_it_was_or_was_put(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        put(engine, Document(name, "", f"An otter sleeps in {name}.\n\nIt dreams."))
    monkeypatch.setattr("indexer.engines.milvus.writer._MOST_DOCUMENTS", 1)
    with suppress(_Ended), engine.lock.held(1), engine.catalog.write() as writer:
        writer.put_document(Document("one", "", "A heron stands."), None, [])
        assert writer.delete_document("two")
        raise _Ended
    Tables(engine._connection).flush(["", "documents", "texts", "meta"])
    with engine.catalog.read() as snapshot:
        assert [snapshot.document(name) for name in ("one", "two")] == [
            Document("one", "", "A heron stands."),
            Document("two", "", "An otter sleeps in two.\n\nIt dreams."),
        ]
        assert (len(snapshot.passages_of("one")), len(snapshot.passages_of("two"))) == (0, 2)
    assert sweep(Tables(engine._connection, consistency="Strong"), -1) == 1
    assert (rows(engine, ""), rows(engine, "texts"), rows(engine, "documents")) == (2, 2, 2)


def test_a_writer_whose_rows_were_cleared_away_meanwhile_names_none_of_them(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    check = MilvusWriter._check_note

    def check_late(self: MilvusWriter, note: str) -> None:
        self.tables.flush(["", "texts", "meta"])
        assert sweep(self.tables, -1) == 1
        check(self, note)

    with monkeypatch.context() as patched:
        patched.setattr(MilvusWriter, "_check_note", check_late)
        with pytest.raises(AwayError, match="try again"):
            put(engine, Document("one", "", "A heron stands."))
    assert [one.passage.text for one in search(engine, Query("What does it do?")).results] == ["An otter sleeps."]
    assert (rows(engine, ""), rows(engine, "texts"), rows(engine, "documents")) == (1, 1, 1)
    put(engine, Document("one", "", "A heron stands."))
    assert [one.passage.text for one in search(engine, Query("What does it do?")).results] == ["A heron stands."]


def test_a_writer_that_goes_on_while_its_rows_are_cleared_away_names_none_of_them(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    check, delete = MilvusWriter._check_note, Tables.delete
    told: list[AwayError] = []

    def sweep_and_go_on(self: MilvusWriter, note: str) -> None:
        def delete_and_go_on(tables: Tables, table: str, condition: str) -> None:
            if not told:  # the sweeper has seen what is named, and deletes
                with pytest.raises(AwayError) as raised:
                    check(self, note)
                told.append(raised.value)
            delete(tables, table, condition)

        with monkeypatch.context() as inner:
            inner.setattr(Tables, "delete", delete_and_go_on)
            sweep(self.tables, -1)
        raise told[0]

    with monkeypatch.context() as patched:
        patched.setattr(MilvusWriter, "_check_note", sweep_and_go_on)
        with pytest.raises(AwayError, match="try again"):
            put(engine, Document("one", "", "A heron stands."))
    assert (rows(engine, ""), rows(engine, "texts"), rows(engine, "documents")) == (1, 1, 1)
    assert sweep(Tables(engine._connection, consistency="Strong"), -1) == 0


def test_what_ended_in_the_middle_of_clearing_up_is_cleared_up(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(MilvusWriter, "_check_note", lambda *_: 1 / 0)
        with suppress(ZeroDivisionError):
            put(engine, Document("one", "", "An otter sleeps."))
    tables = Tables(engine._connection, consistency="Strong")
    with monkeypatch.context() as patched:
        patched.setattr(Tables, "delete", lambda *_: 1 / 0)
        with suppress(ZeroDivisionError):
            sweep(tables, -1)
    assert rows(engine, "texts") == 1
    assert sweep(tables, -1) == 1
    assert (rows(engine, "texts"), tables.query("meta", one_of("kind", ["pending", "sweeping"]), ["key"])) == (0, [])


def test_what_is_written_anew_does_not_undo_what_another_writer_did_meanwhile(engine: MilvusCollection) -> None:
    for name in ("changed", "deleted", "left"):
        put(engine, Document(name, "", f"An otter sleeps in {name}."))
    with engine.lock.held(1), engine.catalog.write() as writer:
        read = {name: writer.document(name) for name in ("changed", "deleted", "left")}
        encoded = {name: writer.encoded_of(name) for name in read}
        with closing(MilvusCollection(engine.address, "", encoder=engine.encoder, patience_s=20)) as other:
            put(other, Document("changed", "", "A heron stands."))
            assert remove(other, "deleted")
        for name, document in read.items():
            assert document is not None
            writer.put_document(replace(document, title="Anew"), None, encoded[name])
    with engine.catalog.read() as snapshot:
        assert snapshot.document("changed") == Document("changed", "", "A heron stands.")
        assert snapshot.document("deleted") is None
        assert snapshot.document("left") == Document("left", "Anew", "An otter sleeps in left.")
        assert snapshot.sizes() == (2, 2)
    assert (rows(engine, ""), rows(engine, "texts"), rows(engine, "documents")) == (2, 2, 2)


def test_rows_that_two_writers_of_one_document_left_are_cleared_away(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    check = MilvusWriter._check_note

    def check_after_another(self: MilvusWriter, note: str) -> None:
        with monkeypatch.context() as inner:
            inner.setattr(MilvusWriter, "_check_note", check)
            _put_with(engine, Document("one", "", "A heron stands."))
        check(self, note)

    with monkeypatch.context() as patched:
        patched.setattr(MilvusWriter, "_check_note", check_after_another)
        put(engine, Document("one", "", "A stork flies."))
    tables = Tables(engine._connection, consistency="Strong")
    assert (rows(engine, ""), rows(engine, "texts")) == (2, 2)  # one of them nobody sees
    assert sweep_unnamed(tables) == 0  # it may still be going to be named
    assert sweep_unnamed(tables, -1) == 2
    assert (rows(engine, ""), rows(engine, "texts")) == (1, 1)
    assert [one.passage.text for one in search(engine, Query("What does it do?")).results] == ["A stork flies."]


def _put_with(engine: MilvusCollection, document: Document) -> None:
    """What another process does at the same time."""
    with closing(MilvusCollection(engine.address, "", encoder=engine.encoder, patience_s=20)) as other:
        put(other, document)


def _lose_totals(engine: MilvusCollection, *notes: dict[str, Any], documents: int = 0) -> None:
    """What two writers at the same time do to each other's: of ``documents`` alone it is still told how many there are."""
    tables = Tables(engine._connection, consistency="Strong")
    tables.upsert("meta", [state_row(read_state(tables)._replace(totals=Totals(documents))), *notes])
    tables.flush(["meta"])


def test_totals_that_writers_at_the_same_time_lost_are_counted_again(engine: MilvusCollection, encoder: Encoder) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    _lose_totals(engine)
    engine.check()
    with engine.catalog.read() as snapshot:
        assert engine.counts(snapshot) == (1, 1, 26, 0)


def test_nobody_waits_to_write_while_documents_are_counted(engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    _lose_totals(engine)
    pages, counted = Tables.pages, []

    def pages_and_a_request(self: Tables, table: str, *arguments: Any) -> Any:
        with engine.lock.held(0):
            counted.append(table)
        yield from pages(self, table, *arguments)

    monkeypatch.setattr(Tables, "pages", pages_and_a_request)
    put(engine, Document("two", "", "A heron."))
    with engine.lock.held(0):
        engine.fold()  # as after each commit
    assert counted == []
    engine.check()
    assert counted == ["documents"]
    with engine.catalog.read() as snapshot:
        assert engine.counts(snapshot)[:3] == (2, 2, 34)


def test_documents_are_counted_once_in_vain_while_others_commit_on_and_on(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    _lose_totals(engine)
    pages, counted = Tables.pages, []

    def pages_and_a_commit(self: Tables, table: str, *arguments: Any) -> Any:
        counted.append(table)
        yield from pages(self, table, *arguments)
        _put_with(engine, Document(f"{len(counted)}", "", "A heron."))

    with monkeypatch.context() as patched:
        patched.setattr(Tables, "pages", pages_and_a_commit)
        engine.check()
    assert counted == ["documents"]
    with engine.catalog.read() as snapshot:
        assert engine.counts(snapshot)[:3] == (1, 1, 8)  # what is added up stays
    engine.check()
    with engine.catalog.read() as snapshot:
        assert engine.counts(snapshot)[:3] == (2, 2, 34)


def test_who_counts_again_takes_nothing_from_a_commit_meanwhile(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    pages, texts = Tables.pages, ["A heron.", "A stork flies."]

    def pages_and_a_commit(self: Tables, *arguments: Any) -> Any:
        yield from pages(self, *arguments)
        if texts:
            _put_with(engine, Document(f"{len(texts)}", "", texts.pop()))

    with monkeypatch.context() as patched:
        patched.setattr(Tables, "pages", pages_and_a_commit)
        engine.fold(at_once=True)
    with engine.catalog.read() as snapshot:
        assert engine.counts(snapshot) == (3, 3, 48, 0)


def test_documents_are_not_counted_while_somebody_else_writes(engine: MilvusCollection) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    tables = Tables(engine._connection, consistency="Strong")
    note = pending_row(new_generation(), {})
    _lose_totals(engine, note)
    engine.check()
    with engine.catalog.read() as snapshot:
        assert snapshot.sizes() == (0, 0)
    tables.delete("meta", f'key == "{note["key"]}"')
    tables.flush(["meta"])
    engine.check()
    with engine.catalog.read() as snapshot:
        assert snapshot.sizes() == (1, 1)


def test_what_was_cleared_up_is_counted_once_nobody_writes_also_if_documents_are_as_many(engine: MilvusCollection) -> None:
    put(engine, Document("one", "", "The otter lives in rivers."))
    tables = Tables(engine._connection, consistency="Strong")
    stale, young = pending_row(1, {}), pending_row(new_generation(), {})
    _lose_totals(engine, stale, young, documents=1)
    before = read_state(tables)
    engine.check()
    after = read_state(tables)
    assert (after.totals, after.generation > before.generation) == (Totals(1), True)  # what is kept of the commit is read anew
    tables.delete("meta", f'key == "{young["key"]}"')
    tables.flush(["meta"])
    engine.check()
    assert read_state(tables).totals[:3] == (1, 1, 26)
    last = read_state(tables)
    engine.check()
    assert read_state(tables) == last


def test_who_waits_for_a_collection_writes_nothing_where_another_one_makes_it(server: MilvusServer, encoder: Encoder) -> None:
    address = server.address("being_made")
    with closing(Connection(address, 20)) as connection:
        make_named(connection)
        with pytest.raises(MissingError, match="there is no index at"):
            open_engine(address, encoder=encoder)
        assert Tables(connection, consistency="Strong").count("meta") == 0
        with closing(open_engine(address, create=True, encoder=encoder)), closing(open_engine(address, encoder=encoder)):
            assert read_state(Tables(connection, consistency="Strong")).identity


def test_a_collection_goes_there_and_back_as_it_was(
    server: MilvusServer, engine: MilvusCollection, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [
        Document(f"{number:02}", f"Title {number}", f"This is text {number}.\n\nAnd more of {number}.") for number in range(12)
    ]
    with (
        closing(open_engine(tmp_path / "one", create=True, encoder=encoder)) as local,
        closing(open_engine(tmp_path / "two", create=True, encoder=encoder)) as back,
    ):
        for one in documents:
            put(local, one)
        monkeypatch.setattr("indexer.engines.copying._TOGETHER", 4)

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy(local, engine, stop)
        told: list[tuple[str, int, int]] = []
        there = copy(local, engine, lambda *step: told.append(step))
        assert [one for one in told if one[0] == "copying"][-1] == ("copying", 12, 12)
        assert told[-1] == ("comparing", 24, 24)
        assert 0 < there.written < 12
        assert there.written + there.there == 12
        encodes = monkeypatch.setattr(encoder, "passages", None)  # nothing is encoded again
        assert encodes is None
        again = copy(engine, back)
        assert (again.written, again.content_hash) == (12, there.content_hash)
        assert copy(engine, back).written == 0
        put_other(back)
        with pytest.raises(CopyError, match="holds 1 document that"):
            copy(engine, back)


def put_other(engine: Any) -> None:
    """A document that is nowhere else, without the encoder."""
    with engine.lock.held(5), engine.catalog.write() as writer:
        writer.put_document(Document("other", "", "Other."), None, [])
