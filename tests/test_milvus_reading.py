"""What is read of a collection on a Milvus server: documents whole, as new as who asks needs them, and nothing else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer
from indexer import Document, Query
from indexer.encoder import Encoder
from indexer.engines.copying import whole_hash
from indexer.engines.milvus import mirror, tables, writer
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import MOST_FOUND, Connection, Tables, _messages
from indexer.engines.milvus.encoding import KEPT, Kept, head_of, key_of
from indexer.engines.milvus.mirror import Mirror, Mirrors
from indexer.engines.milvus.state import meta_row
from indexer.engines.milvus.view import PLACES, Frequencies, MilvusView
from indexer.errors import AwayError, TooManyError, UnreadableError
from indexer.facets import counted
from indexer.filters import FilterError
from indexer.ingest import put, remove
from indexer.records import Source
from indexer.search import search
from indexer.sync import Sync
from indexer.terms import DIVIDER
from service.contract import ExplainResponse
from service.uploads import store_records
from tests.milvus import MilvusServer, emptied, milvus
from tests.test_http import started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def engine(server: MilvusServer, request: pytest.FixtureRequest, encoder: Encoder) -> Iterator[MilvusCollection]:
    """An empty collection, named as the test."""
    with closing(emptied(server, request.node.name, encoder)) as engine:
        yield engine


def test_what_stands_in_an_address_as_the_id_of_a_passage_is_no_condition(engine: MilvusCollection) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    with engine.catalog.read() as snapshot:
        (known,) = snapshot.passages_of("one")
        assert snapshot.passage(known.id) == known
        for asked in ('x"] or id not in ["', 'x" or id != "', "x\\", "x\n", "", f"{known.id}\n"):
            assert snapshot.passage(asked) is None


def test_a_document_of_which_a_part_is_found_is_not_shown(engine: MilvusCollection) -> None:
    put(engine, Document("one", "", "An otter sleeps.\n\nIt dreams."))
    with engine.catalog.read() as snapshot:
        gone = snapshot.passages_of("one")[1].id
    tables = Tables(engine._connection)
    tables.delete("", f'id == "{gone}"')
    tables.flush([""])
    with engine.catalog.read() as snapshot, pytest.raises(AwayError, match="ask again"):
        snapshot.passages_of("one")


def test_who_writes_reads_what_is_there_now_and_the_list_of_documents_too(
    engine: MilvusCollection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    asked: list[tuple[str, str]] = []
    get, pages = Tables.get, Tables.pages

    def noted(verb: Any) -> Any:
        def call(self: Tables, table: str, *arguments: Any) -> Any:
            asked.append((table, self._consistency))
            return verb(self, table, *arguments)

        return call

    bounded = replace(engine.address, consistency="Bounded")
    with closing(MilvusCollection(bounded, "", encoder=encoder, patience_s=20)) as other:
        monkeypatch.setattr(Tables, "get", noted(get))
        monkeypatch.setattr(Tables, "pages", noted(pages))
        with other.catalog.read() as snapshot:
            snapshot.owner("one")
        assert asked == [("documents", "Bounded")]
        asked.clear()
        with other.lock.held(1), other.catalog.read() as snapshot:
            assert snapshot.owner("one") is not None
        assert asked == [("documents", "Strong")]
        asked.clear()
        with other.catalog.read() as snapshot:  # what is kept until the next commit
            snapshot.count_documents("1", [])
        assert sorted(asked) == [("documents", "Strong"), ("meta", "Strong")]


def test_a_list_of_documents_that_takes_long_ends_no_question_late_and_is_there_for_the_next(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    asked, goes_on = [], threading.Event()
    pages = Tables.pages

    def slow(self: Tables, table: str, *arguments: Any) -> Any:
        asked.append(table)
        assert goes_on.wait(20)
        return pages(self, table, *arguments)

    monkeypatch.setattr(Tables, "pages", slow)
    query = Query("What sleeps?", filter={"id": {"prefix": "o"}}, timeout_s=1)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(AwayError, match="list of documents is being read"):
            search(engine, query)
    assert time.monotonic() - began < 5
    assert asked == ["meta"]  # it was begun once
    goes_on.set()
    with engine.catalog.read() as snapshot:
        assert snapshot.count_documents("1", []) == 1
    assert len(search(engine, query).results) == 1
    assert asked == ["meta", "documents"]


@contextmanager
def after_each(verb: str, happens: Iterable[Callable[[], object]], table: str | None = None) -> Iterator[list[Any]]:
    """After each call of this verb of :class:`Tables`, of this table, the next of what ``happens``, which calls nothing of that
    itself; the conditions, keys or counts of all calls."""
    real, rest, calls = getattr(Tables, verb), iter(happens), []
    is_busy = False

    def call(self: Tables, *given: Any) -> Any:
        nonlocal is_busy
        found = real(self, *given)
        if not is_busy and (table is None or given[0] == table):
            calls.append(given)
            is_busy = True
            next(rest, lambda: None)()
            is_busy = False
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Tables, verb, call)
        yield calls


@pytest.fixture
def other(engine: MilvusCollection, encoder: Encoder) -> Iterator[MilvusCollection]:
    """Another process, as it were, over the collection."""
    with closing(MilvusCollection(engine.address, "", encoder=encoder, patience_s=20)) as other:
        yield other


def texts_of(engine: MilvusCollection, query: Query) -> list[str]:
    return [one.passage.text for one in search(engine, query).results]


def test_a_document_that_is_replaced_while_it_is_searched_is_found_old_or_new(
    engine: MilvusCollection, other: MilvusCollection
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    put(engine, Document("two", "", "A heron stands."))
    query = Query("Which animal rests?")  # it shares no word with them, so that only one list of candidates has them
    with after_each("search", [lambda: put(other, Document("one", "", "An otter naps."))]) as searched:
        assert sorted(texts_of(engine, query)) == ["A heron stands.", "An otter naps."]
    assert len(searched) == 3  # by vectors, what was replaced, and by words


def test_a_document_that_is_replaced_while_few_are_compared_is_found_old_or_new(
    engine: MilvusCollection, other: MilvusCollection
) -> None:
    put(engine, Document("one", "", "An otter sleeps.", metadata={"kind": "river"}))
    put(engine, Document("two", "", "A heron stands.", metadata={"kind": "lake"}))
    query = Query("Which animal rests?", filter={"kind": "river"})

    def happens() -> None:
        put(other, Document("one", "", "An otter naps.", metadata={"kind": "river"}))

    with after_each("query", [happens], ""):
        assert texts_of(engine, query) == ["An otter naps."]
    with after_each("query", [lambda: put(other, Document("one", "", "An otter naps."))], ""):
        assert texts_of(engine, query) == []  # it is no more what is asked for


def test_a_document_that_is_replaced_while_it_is_searched_by_words_has_the_score_of_the_new_one(
    engine: MilvusCollection, other: MilvusCollection
) -> None:
    if not engine._connection.server.words:
        pytest.skip("the server does not rank by words itself")
    put(engine, Document("one", "", "An otter sleeps."))
    put(engine, Document("two", "", "An otter stands where no heron fishes."))
    with engine.view() as view:
        keys = view.nearest(np.ones(engine.encoder.contract.dimension, np.float32), 5).keys.tolist()
        shared = set.intersection(*(set(view.snapshot._words[key].tolist()) for key in keys)) - {DIVIDER}
    otters = [[code] for code in shared]

    def matching() -> list[str]:
        with engine.view() as view:
            keys = view.matching(otters, np.ones(1, np.float32), 5).tolist()
            return [view.snapshot.found([key])[key].document.id for key in keys]

    assert matching() == ["one", "two"]
    longer = Document(
        "one", "", "A vole, a badger, a stork, a beaver, a goose, a swan, a frog, a newt and an otter stand there."
    )
    with after_each("search", [lambda: put(other, longer)]) as searched:
        assert matching() == ["two", "one"]
    assert len(searched) == 2


def test_a_document_that_is_replaced_again_while_it_is_looked_for_is_found(
    engine: MilvusCollection, other: MilvusCollection
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    query = Query("Which animal rests?")

    def to(text: str) -> Callable[[], object]:
        return lambda: put(other, Document("one", "", text))

    with after_each("search", [to("An otter naps."), to("An otter dreams.")]) as searched:
        assert texts_of(engine, query) == ["An otter dreams."]
    assert len(searched) == 4
    with (
        after_each("search", [to(f"An otter has {n} fish.") for n in range(99)]),
        pytest.raises(AwayError, match="again and again"),
    ):
        search(engine, query)
    with after_each("search", [to("A vole digs."), lambda: remove(other, "one")]):
        assert texts_of(engine, query) == []


def test_a_document_whose_own_row_is_read_later_than_its_passages_are_found_is_found(
    engine: MilvusCollection, other: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with another consistency than Strong: its own row still names what was deleted already."""
    put(engine, Document("one", "", "An otter sleeps."))
    engine.address = engine._connection.address = replace(engine.address, consistency="Bounded")
    get, keys = Tables.get, [key_of("one")]
    with engine.catalog.read() as snapshot:
        before = get(snapshot.tables, "documents", keys, KEPT)

    def lags(self: Tables, table: str, *given: Any) -> Any:
        return before if table == "documents" and self._consistency == "Bounded" else get(self, table, *given)

    put(other, Document("one", "", "An otter naps."))
    monkeypatch.setattr(Tables, "get", lags)
    assert texts_of(engine, Query("Which animal rests?")) == ["An otter naps."]


def test_a_passage_is_there_by_its_id_while_its_document_is_replaced(engine: MilvusCollection, other: MilvusCollection) -> None:
    put(engine, Document("one", "An otter", "An otter sleeps."))
    with engine.catalog.read() as snapshot:
        (known,) = snapshot.passages_of("one")
    with after_each("query", [lambda: put(other, Document("one", "An otter", "An otter sleeps.", date="2026-01-01"))], ""):
        with engine.catalog.read() as snapshot:
            there = snapshot.passage(known.id)
        assert there is not None
        assert there.document.date == "2026-01-01"


def test_rows_that_a_killed_writer_left_cost_a_question_nothing_after_ten_minutes(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    with monkeypatch.context() as patched, suppress(ZeroDivisionError):
        patched.setattr(writer, "_delete_before", lambda *_: 1 / 0)
        put(engine, Document("one", "", "An otter naps."))
    with monkeypatch.context() as patched, suppress(ZeroDivisionError):
        patched.setattr(writer.MilvusWriter, "_check_note", lambda *_: 1 / 0)
        put(engine, Document("one", "", "An otter dreams."))
    Tables(engine._connection).flush(["", "documents", "texts", "meta"])
    assert Tables(engine._connection).count("") == 3
    query = Query("Which animal rests?")
    with after_each("search", []) as searched, after_each("get", [], "documents") as got:
        assert texts_of(engine, query) == ["An otter naps."]
        assert (len(searched), len(got)) == (3, 3)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 601 * 10**9)
    with after_each("search", []) as searched, after_each("get", [], "documents") as got:
        assert texts_of(engine, query) == ["An otter naps."]
        assert (len(searched), len(got)) == (2, 1)


def test_what_a_writer_that_ended_before_its_commit_had_changed_is_listed_once_it_is_cleared_up(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "Otters", "An otter sleeps."))

    def titles() -> list[str]:
        with engine.catalog.read() as snapshot:
            return [one.title for one in snapshot.listed("true", [], "", 9)]

    assert titles() == ["Otters"]
    with monkeypatch.context() as patched, suppress(ZeroDivisionError):
        patched.setattr(writer, "read_state", lambda _: 1 / 0)  # of the commit itself
        put(engine, Document("one", "Herons", "An otter sleeps."))
    Tables(engine._connection).flush(["", "documents", "texts", "meta"])
    monkeypatch.setattr("indexer.engines.milvus.generations._oldest", lambda _: 1 << 62)
    engine.check()  # as a service that only reads does
    assert titles() == ["Herons"]
    with engine.catalog.read() as snapshot:
        before = snapshot.generation
    engine.fold(at_once=True)
    with engine.catalog.read() as snapshot:
        assert snapshot.generation == before  # nothing had changed


@pytest.mark.parametrize(
    "where",
    [{"length": {"gt": 2.5}}, {"ratio": {"gt": 1}}, {"uri": {"prefix": "https://a.example/1"}}],
    ids=["many values", "fractions", "no tags"],
)
def test_a_filter_that_would_list_more_documents_than_a_condition_can_hold_is_refused(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any]
) -> None:
    monkeypatch.setattr("indexer.engines.milvus.conditions.MOST_LISTED", 2)
    for n in range(6):
        metadata = {"length": n + 0.5, "ratio": n // 3 + 0.5, "odd": n % 2}
        put(engine, Document(f"{n}", "", f"Otter {n} sleeps.", f"https://a.example/{n // 3}", metadata=metadata))
    with pytest.raises(FilterError, match=r"at most 2 documents, or all but so many.*narrow it"):
        search(engine, Query("What sleeps?", filter=where))
    found = search(engine, Query("What sleeps?", filter={**where, "odd": 1})).results
    assert {one.passage.document.id for one in found} == {"3", "5"}


def test_places_of_one_text_are_looked_for_some_at_a_time(engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        put(engine, Document(f"{n}", "", "An otter sleeps.", metadata={"even": n % 2 == 0}))
    asked: list[int] = []
    query = Tables.query

    def noted(self: Tables, table: str, condition: str, fields: Any) -> Any:
        if condition.startswith("row in"):
            asked.append(condition.partition("]")[0].count('"') // 2)
        return query(self, table, condition, fields)

    monkeypatch.setattr(Tables, "query", noted)
    monkeypatch.setattr("indexer.engines.milvus.view.MOST_LISTED", 2)
    (found,) = search(engine, Query("What sleeps?", filter={"even": True})).results
    assert {found.passage.document.id, *(one.document.id for one in found.also_in)} == {"0", "2", "4"}
    assert asked == [2, 2, 1]


def test_a_file_of_which_much_is_told_is_kept_with_the_first_of_it(engine: MilvusCollection) -> None:
    failures = [(f"line {n}", "holds no JSON " + "x" * 90) for n in range(300)]
    remarks = [(f"line {n}", "has a date that is none " + "\u4e00" * 900) for n in range(200)]
    with engine.lock.held(1), engine.catalog.write() as writer:
        writer.put_source("/a", "a", "1", "hash", [*failures, ("", "is damaged")], remarks)
        writer.put_source("/b", "b", "1", "hash", failures, remarks[:1])
    with engine.catalog.read() as snapshot:
        a, b = snapshot.sources()
    assert (a.path, a.hash) == ("/a", "hash")
    assert (a.failures[0], a.failures[-1]) == (("", "is damaged"), ("more", "281 more records could not be read"))
    assert (a.remarks[0].about, a.remarks[-1]) == ("line 0", ("", "180 more remarks"))
    assert (list(b.failures), list(b.remarks)) == (failures, remarks[:1])


def test_failures_are_counted_without_reading_files_that_have_none(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.lock.held(1), engine.catalog.write() as writer:
        for n in range(3):
            writer.put_source(f"/{n}", f"{n}", "1", "hash", (), [("", "has no date")])
        writer.put_source("/broken", "broken", "1", "hash", [("line 1", "is no JSON"), ("line 2", "is no JSON")])
        writer.put_document(Document("one", "", "An otter sleeps."), writer.put_source("/0", "0", "2", "hash", ()), [])
    older = Source(1, "/old/1", "", "", "", ()), Source(2, "/old/2", "", "", "", (("", "is damaged"),))
    # As versions before wrote them.
    Tables(engine._connection).upsert("meta", [meta_row(f"source.{one.key}", "source", one) for one in older])
    Tables(engine._connection).flush(["meta"])
    read: list[str] = []
    pages = Tables.pages

    def noted(self: Tables, *arguments: Any) -> Any:
        for page in pages(self, *arguments):
            read.extend(json.loads(row["value"])[1] for row in page)
            yield page

    monkeypatch.setattr(Tables, "pages", noted)
    with engine.catalog.read() as snapshot:
        assert snapshot.counts().failures == 3
        assert sorted(read) == ["/broken", "/old/1", "/old/2"]
        files = {one.path: len(one.failures) for one in snapshot.sources()}
        assert files == {"/0": 0, "/1": 0, "/2": 0, "/broken": 2, "/old/1": 0, "/old/2": 1}
        assert snapshot.source_of("one") == Source(writer.source_key("/0"), "/0", "0", "2", "hash", ())


def test_a_file_whose_path_a_server_cannot_hold_is_told_of_and_nothing_changes(engine: MilvusCollection) -> None:
    with pytest.raises(UnreadableError, match="path too long"), engine.lock.held(1), engine.catalog.write() as writer:
        writer.put_document(
            Document("one", "", "An otter sleeps."), writer.put_source("/" + "x" * 40_000, "x" * 40_000, "", "", ()), []
        )
    with engine.catalog.read() as snapshot:
        assert (snapshot.document("one"), snapshot.sources()) == (None, [])


def test_messages_are_cut_by_what_is_in_them() -> None:
    rows = [{"row": str(number), "tags": ["x" * 16] * 4000, "vector": np.zeros(1024, np.float32)} for number in range(1000)]
    cut = list(_messages(rows))
    assert sum(map(len, cut)) == 1000
    assert all(len(some) * (4000 * 16 + 4096) < 9_000_000 for some in cut)


def test_a_word_is_counted_once_for_a_commit_and_again_when_all_of_it_is_found() -> None:
    frequencies, now = Frequencies(), int(time.time() * 1000)
    counted = iter(range(9))

    def of(commit: tuple[str, int]) -> int:
        return frequencies.of(commit, ["word"], lambda _: next(counted))[0]

    assert [of(("a", now - 60_000)), of(("a", now - 60_000))] == [0, 0]
    assert [of(("a", now)), of(("a", now))] == [1, 1]
    assert of(("b", now)) == 2

    def met_another_commit(_: str) -> int:
        frequencies.of(("c", now + 1), ["other"], lambda _: 5)
        return 9

    assert frequencies.of(("c", now), ["word"], met_another_commit) == [9]
    assert of(("c", now + 1)) == 3


def test_a_count_that_was_made_just_after_a_commit_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    frequencies, now = Frequencies(), time.time()
    commit = "a", int(now * 1000)
    assert frequencies.of(commit, [""], lambda _: 0) == [0]
    monkeypatch.setattr(time, "time", lambda: now + 31)
    assert frequencies.of(commit, [""], lambda _: 7) == [7]


def test_counts_of_two_commits_are_kept_that_are_asked_of_in_turn() -> None:
    frequencies, counted = Frequencies(), iter(range(99))
    asked = [("a", 1), ("a", 2)] * 3
    assert [frequencies.of(commit, [""], lambda _: next(counted))[0] for commit in asked] == [0, 1] * 3
    for later in range(3, 9):
        frequencies.of(("a", later), [""], lambda _: next(counted))
    assert len(frequencies._known) == 4


def test_a_list_of_documents_serves_every_commit_that_was_asked_of_before_it_was_begun() -> None:
    mirrors, made = Mirrors(), []

    def of(*commit: Any) -> int:
        def make() -> Mirror:
            made.append(commit)
            return Mirror([], {})

        mirrors.of(commit, 20, make)
        return len(made)

    assert [of("a", 1), of("a", 2), of("a", 1), of("a", 2), of("a", 1)] == [1, 2, 2, 2, 2]
    assert of("a", 0) == 3  # a writer whose clock is behind: it may be of later
    assert [of("a", 2), of("a", 0), of("a", 1)] == [3, 3, 3]
    assert [of("b", 1), of("a", 1), of("b", 1)] == [4, 5, 6]  # a collection that was made anew


def test_a_list_of_documents_does_not_serve_a_commit_that_is_asked_of_while_it_is_read() -> None:
    mirrors, made, goes_on = Mirrors(), [], threading.Event()

    def make() -> Mirror:
        made.append(goes_on.wait(20))
        return Mirror([], {})

    with pytest.raises(AwayError):
        mirrors.of(("a", 1), 0, make)
    with pytest.raises(AwayError):
        mirrors.of(("a", 2), 0, make)
    goes_on.set()
    mirrors.of(("a", 2), 20, make)
    mirrors.of(("a", 1), 20, make)
    assert len(made) == 2


def test_a_list_of_more_documents_than_memory_is_for_is_refused_and_searching_goes_on(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(engine, Document(f"{number}", "", f"Otter number {number} sleeps.", metadata={"number": number}))
    query = Query("What sleeps?")
    asks: dict[str, Callable[[Any], Any]] = {
        "listing": lambda snapshot: snapshot.listed("1", [], "", 9),
        "counting": lambda snapshot: snapshot.count_documents("1", []),
        "facets": lambda snapshot: counted(snapshot.described(), ["number"]),
        "filter": lambda _: search(engine, replace(query, filter={"number": {"gte": 2}})),
    }
    monkeypatch.setattr(mirror, "memory_bytes", lambda: 12 * 4 * 627 - 1)
    with engine.catalog.read() as snapshot, after_each("pages", []) as read:
        for ask in asks.values():
            with pytest.raises(TooManyError, match="list of 4 documents would take more than"):
                ask(snapshot)
        assert read == []  # nothing of it
        assert snapshot.document_ids() == ["0", "1", "2", "3"]  # as commands do that go through all of it
        assert len(search(engine, replace(query, filter={"number": 2})).results) == 1
        assert len(search(engine, query).results) == 4
    monkeypatch.setattr(mirror, "memory_bytes", lambda: 2**31)
    with engine.catalog.read() as snapshot:
        for ask in asks.values():
            assert ask(snapshot)


def test_a_service_answers_507_for_a_list_that_memory_is_not_for_and_all_else(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, Document("one", "", "An otter sleeps.", metadata={"number": 1}))
    monkeypatch.setattr(mirror, "memory_bytes", lambda: 12 * 626)
    for client in started(engine.address):
        for path in ("/v1/documents", "/v1/facets?field=number"):
            refused = client.get(path)
            assert (refused.status_code, "give it more" in refused.json()["detail"]) == (507, True)
        question = {"question": "What sleeps?", "filter": {"number": {"gte": 1}}}
        assert client.post("/v1/search", json=question).status_code == 507
        equal = question | {"filter": {"number": 1}}
        assert len(client.post("/v1/search", json=equal).json()["results"]) == 1
        assert client.get("/v1/documents/one").status_code == 200
        assert client.get("/v1/status").json()["documents"] == 1


def test_a_list_that_grows_beyond_its_bound_while_it_is_read_is_refused_and_not_read_again(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        put(engine, Document(f"{number}", "", "An otter sleeps.", metadata={"note": "x" * 50_000}))
    monkeypatch.setattr(mirror, "memory_bytes", lambda: 12 * 100_000)
    with engine.catalog.read() as snapshot, after_each("pages", [], "documents") as read:
        for _ in range(3):
            with pytest.raises(TooManyError, match="list of documents would take more than the 0 MiB"):
                snapshot.document_ids(limit=9)
        assert len(read) == 1


def test_what_filters_know_is_read_page_by_page_of_every_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_PAGE", 2)
    described: dict[str, Any] = {"title": "", "uri": None, "date": None, "media_type": "text/plain", "metadata": {}}
    documents = [Kept(f"{n}", 1, "", None, 0, 0, 0, 0, 0, {"id": f"d{n}", **described}) for n in range(5)]
    listed = mirror.Mirror([*documents, documents[0]], {})
    assert sorted(one["id"] for one in listed.described()) == [f"d{n}" for n in range(5)]


def test_the_memory_of_a_container_is_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(mirror, "_LIMITS", (tmp_path / "none", limit))
    limit.write_text("max\n")
    whole = mirror.memory_bytes()
    limit.write_text("2147483648\n")
    assert mirror.memory_bytes() == min(whole, 2**31)
    limit.write_text(f"{2**62}\n")
    assert mirror.memory_bytes() == whole > 0


def test_the_words_of_a_question_are_counted_at_the_same_time() -> None:
    frequencies, all_of_them = Frequencies(), threading.Barrier(4)

    def count(condition: str) -> int:
        all_of_them.wait(10)
        return len(condition)

    asked = ["a", "bb", "ccc", "dddd", "bb"]
    assert frequencies.of(("x", 0), asked, count) == [1, 2, 3, 4, 2]
    assert frequencies.of(("x", 0), asked, lambda _: -1) == [1, 2, 3, 4, 2]


def test_a_count_is_kept_without_its_condition_which_may_be_long() -> None:
    frequencies = Frequencies()
    assert frequencies.of(("x", 0), ["y" * 300_000], lambda _: 1) == [1]
    assert [len(kept) for counts in frequencies._known.values() for kept in counts] == [32]


def test_the_rows_of_an_answer_are_met_once(engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        put(engine, Document(f"{n}", "", f"Otter number {n} sleeps."))
    read: list[str] = []

    def noted(row: Any) -> Any:
        read.append(row["row"])
        return head_of(row)

    monkeypatch.setattr("indexer.engines.milvus.reader.head_of", noted)
    with engine.view() as view:
        assert len(view.nearest(engine.encoder.question("otter").pooled[0], 5).keys) == 3
        assert len(read) == 3
        codes = [[int(code)] for code in view.snapshot._words[0][1:]]
        found = view.matching(codes, np.array(view.rarities(codes), np.float32), 5)
        assert len(read) == 3 + len(found)


def test_no_more_is_put_in_sight_than_a_server_finds_at_once(engine: MilvusCollection) -> None:
    put(engine, Document("one", "", "An otter sleeps."))
    with after_each("search", []) as searched, engine.view() as view:
        assert len(view.nearest(engine.encoder.question("otter").pooled[0], 1_000_000).keys) == 1
    ((_, _, limit, _, _, params),) = searched
    assert (limit, params["params"]["ef"]) == (MOST_FOUND, 2 * MOST_FOUND)


def test_an_explanation_looks_at_the_first_places_of_each_list_alone(
    engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        put(engine, Document(f"{n}", "", f"{'An otter sleeps. ' * n}A heron stands."))
    query = Query("Where does an otter sleep?", limit=4)
    passages = [one.passage.id for one in search(engine, query).results]
    with monkeypatch.context() as patched:
        patched.setattr(MilvusView, "passages", 1_000_000)
        with after_each("search", []) as searched:
            whole = [indexer.explain(engine, query, one) for one in passages]
        assert max(limit for _, _, limit, *_ in searched) < 1.1 * PLACES
        patched.setattr(MilvusView, "places", 2)
        first = [indexer.explain(engine, query, one) for one in passages]
    assert sorted(one.ranks.vector for one in whole if one and one.ranks.vector) == [1, 2, 3, 4]
    assert [one and (one.step, one.rank, one.score) for one in first] == [
        one and (one.step, one.rank, one.score) for one in whole
    ]
    for told, all_told in zip(first, whole, strict=True):
        assert told
        assert all_told
        assert told.ranks == tuple(rank if rank is not None and rank <= 2 else None for rank in all_told.ranks)


def test_how_far_down_a_place_is_told_is_written_where_it_is_read() -> None:
    docs = Path(__file__).parent.parent / "docs"
    described = ExplainResponse.model_fields["ranks"].description or ""
    for text in (described, *((docs / f"{name}.md").read_text("utf-8") for name in ("http", "cluster", "guarantees"))):
        assert f"first {PLACES:,}" in text


def test_a_row_that_is_there_twice_counts_once(engine: MilvusCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may send an insert again whose answer was lost. The small server drops the second row, others keep it."""
    put(engine, Document("one", "", "An otter sleeps.\n\nIt dreams of fish."))
    query = Query("What does the otter dream of?")
    with engine.catalog.read() as snapshot:
        passages, before = snapshot.passages_of("one"), search(engine, query).results
    for verb in ("query", "search"):
        real = getattr(Tables, verb)
        monkeypatch.setattr(Tables, verb, lambda *given, real=real: [row for row in real(*given) for _ in range(2)])
    pages = Tables.pages
    monkeypatch.setattr(Tables, "pages", lambda *given: ([row for row in page for _ in range(2)] for page in pages(*given)))
    with engine.catalog.read() as snapshot:
        assert snapshot.passages_of("one") == passages
        assert snapshot.passage(passages[0].id) == passages[0]
        assert snapshot.document_ids() == snapshot.document_ids(limit=9) == ["one"]
    assert search(engine, query).results == before
    with engine.view() as view:
        assert len(view.nearest(engine.encoder.question("otter").pooled[0], 5).keys) == 2


def test_who_reads_all_of_a_collection_keeps_nothing_of_it(engine: MilvusCollection) -> None:
    for number in range(3):
        put(engine, Document(f"{number}", "", f"This is text {number}.\n\nAnd more of it."))
    with engine.catalog.read() as snapshot:
        assert whole_hash(snapshot)
        assert (snapshot._heads, snapshot._words, snapshot._kept, snapshot._documents) == ([], {}, {}, {})


def test_a_collection_that_an_older_server_made_is_searched_as_there(
    engine: MilvusCollection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not engine._connection.server.words:
        pytest.skip("the server does not rank by words itself")
    monkeypatch.setattr(engine._connection, "_server", engine._connection.server._replace(words=False))
    put(engine, Document("one", "", "An otter sleeps."))
    with closing(MilvusCollection(engine.address, "", encoder=encoder, patience_s=20)) as later:
        assert later.readings == ("vector", "tokens")
        assert "passages copy moves it" in later.notes[0]
        assert len(search(later, Query("What sleeps?")).results) == 1


def test_a_table_whose_maker_ended_before_it_had_indexes_gets_them(server: MilvusServer, encoder: Encoder) -> None:
    def begun(client: Any, left: float) -> None:
        schema, _ = tables._meta(client)
        client.create_collection("begun_meta", schema=schema, timeout=left)

    connection = Connection(server.address("begun"), 20)
    connection.call(begun)
    assert connection.call(lambda client, _: client.list_indexes("begun_meta")) == []
    with closing(MilvusCollection(server.address("begun"), "", create=True, encoder=encoder, patience_s=20)) as engine:
        put(engine, Document("one", "", "An otter sleeps."))
        assert len(search(engine, Query("What sleeps?")).results) == 1
    assert connection.call(lambda client, _: client.list_indexes("begun_meta")) == ["nothing"]
    connection.close()


def test_documents_with_fields_that_a_server_cannot_hold_are_told_of_and_the_others_are_kept(
    engine: MilvusCollection, tmp_path: Path
) -> None:
    many = {"_id": "many", "text": "A heron stands.", "fields": [f"value {n}" for n in range(4_001)]}
    long = {"_id": "long", "text": "A stork flies.", "note": "\u4e00" * 30_000}
    records = [{"_id": "one", "text": "An otter sleeps."}, many, long, {"_id": "two", "text": "A beaver builds."}]
    file = tmp_path / "animals.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    for _ in range(2):  # the second time nothing of it is read again
        summary = Sync(engine).run([tmp_path])
        told = {one.record: one.reason for one in summary.failed}
        assert told.keys() == {'"many"', '"long"'}
        assert "4002 fields and values" in told['"many"']
        assert "of 90" in told['"long"']
        with engine.catalog.read() as snapshot:
            assert snapshot.document_ids() == ["one", "two"]
    assert (summary.unchanged, summary.added) == (2, 0)
    outcome = store_records(engine, json.dumps([many, {"_id": "three", "text": "A vole digs."}]).encode())
    assert [(one.id, one.state) for one in outcome.stored] == [("three", "added")]
    assert [(one.record, "values" in one.reason) for one in outcome.refused] == [("many", True)]
