"""What every engine does alike: one body of tests over the index folder and over a Milvus server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer
from indexer import READINGS, Document, Query, listing
from indexer.contents import content_hash
from indexer.documents import Heading
from indexer.encoder import Encoder
from indexer.engines.contract import Engine
from indexer.engines.opening import open_engine
from indexer.facets import counted
from indexer.ingest import Ingest, put, reindex, remove
from indexer.search import Answer, search
from indexer.sync import Sync
from tests.milvus import MilvusServer, milvus

Opened = Callable[[], Engine]
_numbers = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


def other(kind: str, server: MilvusServer, folder: Path, encoder: Encoder) -> Engine:
    where = folder / f"index{next(_numbers)}" if kind == "local" else server.address(f"engine{next(_numbers)}")
    return open_engine(where, create=True, encoder=encoder, patience_s=20)


@pytest.fixture(params=["local", "milvus"])
def engine(request: pytest.FixtureRequest, server: MilvusServer, tmp_path: Path, encoder: Encoder) -> Iterator[Engine]:
    """An empty collection of each kind."""
    with closing(other(request.param, server, tmp_path, encoder)) as engine:
        yield engine


OTTER = Document(
    "nature/otter.txt",
    "Otters",
    "Rivers\n\nThe otter lives in rivers and lakes.\n\nIt eats fish and crabs. Its holt is near the bank.",
    "file:///papers/otter.txt",
    "2022-05-11",
    {"tags": ["river", "mammal"], "year": 2022, "checked": True, "none": None},
    headings=(Heading(0, 6, 1),),
)
HERON = Document(
    'a "quoted" name\\%_ü',
    "Herons",
    "The heron stands still in shallow water.\n\nIt eats fish and crabs. Its holt is near the bank.",
    date="2021",
    metadata={"tags": "bird", "year": 2021.0, "length": 98.5},
)
SHIP = Document(
    "ship", "", "The ship sank off the coast in 1911, with all hands.", "https://example.net/ship", None, {"year": "1911"}
)
ALL = (OTTER, HERON, SHIP)


def stored(engine: Engine, *documents: Document) -> None:
    with engine.lock.held(5), Ingest(engine) as ingest:
        for one in documents:
            ingest.document(one)
        ingest.flush()


def alike(pair: Sequence[Engine]) -> None:
    """Answers are the same where all readings are."""
    if pair[1].readings != READINGS:
        pytest.skip(pair[1].notes[0])


def shown(answer: Answer) -> list[Any]:
    """All that a person sees of an answer."""
    return [
        (
            one.passage.id, one.passage.document, one.passage.text, one.passage.heading, one.score, one.evidence, one.matches,
            [copy.id for copy in one.also_in], one.verdict, one.others,
        )
        for one in answer.results
    ]  # fmt: skip


def ids(engine: Engine, where: dict[str, Any]) -> set[str]:
    """The documents that a filter leaves."""
    return {one.passage.document.id for one in search(engine, Query("the", limit=50, filter=where)).results}


@pytest.fixture(scope="module")
def pair(server: MilvusServer, tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[list[Engine]]:
    """Both kinds, with the same documents; nothing is written to them."""
    folder = tmp_path_factory.mktemp("pair")
    engines = [other(kind, server, folder, encoder) for kind in ("local", "milvus")]
    for one in engines:
        stored(one, *ALL)
    yield engines
    for one in engines:
        one.close()


@pytest.mark.parametrize(
    "query",
    [
        Query("What does the otter eat?"),
        Query("What does the otter eat?", group="document"),
        Query('"fish and crabs" bank'),
        Query("fish -crabs"),
        Query("water before:2022"),
        Query("fish after:2021", filter={"tags": "river"}),
        Query("When did the ship sink?", readings=("words",)),
        Query("swimming animals", readings=("vector",)),
        Query("swimming animals", readings=("tokens",)),
        Query("zzz"),
    ],
    ids=lambda query: query.question,
)
def test_answers_are_the_same_whatever_keeps_the_collection(pair: Sequence[Engine], query: Query) -> None:
    alike(pair)
    first, second = (search(one, query) for one in pair)
    assert shown(first) == shown(second)
    assert first.verdict == second.verdict


def test_explanations_are_the_same_whatever_keeps_the_collection(pair: Sequence[Engine]) -> None:
    alike(pair)
    query = Query("What does the otter eat?", filter={"tags": "river"}, explain=True)
    passages = [one.passage.id for one in search(pair[0], Query("fish water ship")).results]
    assert len(passages) == 4
    for passage in passages:
        first, second = (indexer.explain(one, query, passage) for one in pair)
        assert first is not None
        assert second is not None
        assert (first.step, first.rank, first.ranks, first.score, first.terms) == (
            second.step, second.rank, second.ranks, second.score, second.terms,
        )  # fmt: skip


def test_similar_passages_are_the_same_whatever_keeps_the_collection(pair: Sequence[Engine]) -> None:
    passage = search(pair[0], Query("otter rivers")).results[0].passage.id
    found = [indexer.similar(one, passage, 5) for one in pair]
    first, second = ([(one.id, cosine) for one, cosine in some or []] for some in found)
    assert len(first) == 3  # the text that is there twice counts once
    assert first == second


@pytest.mark.parametrize(
    "where",
    [
        {"tags": "river"}, {"tags": ["bird", "mammal"]}, {"tags": []}, {"year": 2021}, {"year": 2022.0}, {"year": "1911"},
        {"year": True}, {"checked": True}, {"checked": 1}, {"checked": {"exists": False}}, {"none": {"exists": True}},
        {"date": {"gte": "2021", "lt": "2022-05-11"}}, {"date": {"exists": False}}, {"date": {"not": {"gt": "2021"}}},
        {"date": {"prefix": "2022-05"}}, {"date": "2021"}, {"date": {"gte": "\x00"}},
        {"date": {"lte": "2021\n"}}, {"id": HERON.id}, {"id": [OTTER.id, "ship"]},
        {"id": {"not": "ship"}},
        {"id": {"prefix": "nature/"}}, {"title": "Otters"}, {"title": {"exists": False}}, {"title": {"prefix": "He"}},
        {"uri": "file:///papers/otter.txt"}, {"uri": {"exists": True}}, {"uri": {"not": {"exists": True}}},
        {"media_type": "text/plain"}, {"source": "example.net"}, {"source": ""}, {"source": {"exists": True}},
        {"length": {"gt": 98, "lt": 99}}, {"year": {"gte": 2022}}, {"year": {"lt": "2"}}, {"tags": {"prefix": "r"}},
        {"tags": {"not": {"prefix": "r"}}}, {"tags": {"not": ["bird", "river"]}}, {"unknown": {"not": "x"}}, {"unknown": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_filters_mean_the_same_whatever_keeps_the_collection(pair: Sequence[Engine], where: dict[str, Any]) -> None:
    local, there = (ids(one, where) for one in pair)
    assert local == there


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ({"year": {"gte": 2}}, "5678"),  # by the values 2 and 3
        ({"year": {"not": {"gte": 2}}}, "012349"),
        ({"year": {"gt": 0}, "price": {"gt": 6.5}}, "78"),  # both together leave few
        ({"price": {"gt": 1.5, "lt": 2.5}}, "2"),
        ({"price": {"gt": 0.5}}, "12345678"),  # all but few
        ({"flags": {"gte": False}}, "0123"),
        ({"flags": {"prefix": "f"}}, "4567"),
        ({"title": {"prefix": "Sa"}}, "012"),
        ({"source": {"gte": "b.example"}}, "5678"),
        ({"uri": {"prefix": "https://b"}, "year": 3}, "78"),
    ],
    ids=str,
)
def test_ranges_that_leave_many_documents_are_answered_alike(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any], left: str
) -> None:
    monkeypatch.setattr("indexer.engines.milvus.conditions.MOST_LISTED", 2)
    flags = [True, False, [True, False], [False, "x"], "f", "fa", ["f", "g"], "fa", None]
    stored(engine, *(
        Document(
            f"{n}", f"{'Salt' if n < 3 else 'Iron'}", f"The text number {n}.", f"https://{'ab'[n > 4]}.example/{n}",
            metadata={"year": 1 + (n > 4) + (n > 6), "price": float(n), "flags": flags[n]},
        )
        for n in range(9)
    ), Document("9", "", "The text without anything."))  # fmt: skip
    assert ids(engine, where) == set(left)


def test_few_passages_that_meet_a_filter_are_all_found_among_many(engine: Engine) -> None:
    things = "harbour ledger violin orchard glacier lantern tunnel saddle compass kettle".split()
    stored(engine, *(
        Document(f"d{n}", "", f"The {things[n % 10]} of room {n} was {things[n // 10 % 10]}.", metadata={"rare": n % 90 == 0})
        for n in range(540)
    ))  # fmt: skip
    for question in ("violin", "what is in the room with the kettle", "glacier and compass", "seven saddles"):
        found = search(engine, Query(question, filter={"rare": True}, readings=("vector",))).results
        assert {one.passage.document.id for one in found} == {f"d{n}" for n in range(0, 540, 90)}


def test_all_that_is_kept_is_the_same_whatever_keeps_the_collection(pair: Sequence[Engine]) -> None:
    hashes, lists, facets = [], [], []
    for one in pair:
        with one.catalog.read() as snapshot:
            hashes.append(content_hash(snapshot))
            lists.append([listing.listed(snapshot, listing.Wanted(words)) for words in ("", "ERON", "na otters")])
            facets.append(counted(snapshot.described(), ["tags", "year", "source", "date"]))
            assert [snapshot.document(document.id) for document in ALL] == list(ALL)
            assert snapshot.document("otter.txt") is None
            assert snapshot.sizes() == (3, 5)
            assert one.counts(snapshot)[:3] == (3, 5, sum(len(document.text) for document in ALL))
            assert listing.count(snapshot, listing.Wanted(source="example.net")) == 1
    assert hashes[0] == hashes[1]
    assert lists[0] == lists[1]
    assert facets[0] == facets[1]


def test_a_document_that_was_put_is_found_and_one_that_was_deleted_is_not(engine: Engine) -> None:
    assert search(engine, Query("otter")).results == ()
    assert put(engine, OTTER) == 2
    assert [one.passage.document for one in search(engine, Query("otter")).results] == [OTTER, OTTER]
    assert remove(engine, OTTER.id)
    assert not remove(engine, OTTER.id)
    assert search(engine, Query("otter")).results == ()
    with engine.catalog.read() as snapshot:
        assert snapshot.sizes() == (0, 0)
        assert snapshot.passages_of(OTTER.id) == []


def test_a_document_that_is_replaced_is_found_as_it_is_now_alone(engine: Engine) -> None:
    put(engine, OTTER)
    with engine.catalog.read() as snapshot:
        before, generation = [one.id for one in snapshot.passages_of(OTTER.id)], snapshot.generation
    text = "The otter lives in rivers and lakes.\n\nIt sleeps all day."
    put(engine, Document(OTTER.id, "Otters", text))
    found = search(engine, Query("What does the otter do all day?", limit=20)).results
    assert sorted(one.passage.text for one in found) == ["It sleeps all day.", "The otter lives in rivers and lakes."]
    with engine.catalog.read() as snapshot:
        after = [one.id for one in snapshot.passages_of(OTTER.id)]
        assert snapshot.generation > generation
        assert snapshot.sizes() == (1, 2)
        assert snapshot.passage(before[1]) is None
    assert after[0] == before[0]  # whose text is unchanged


def test_a_text_longer_than_any_string_of_a_server_is_kept_whole(engine: Engine) -> None:
    paragraphs = [f"Paragraph {number} tells of 東京, of ünïcödé and 😀, at some length." for number in range(2500)]
    long = Document("long", "Long", "\n\n".join(paragraphs))
    assert len(long.text.encode()) > 2 * 65_535
    with engine.lock.held(5), engine.catalog.write() as writer:  # without the encoder, whose part this is not
        writer.set_contract(engine.encoder.contract)
        writer.put_document(long, None, [])
    with engine.catalog.read() as snapshot:
        assert snapshot.document("long") == long


def test_passages_that_were_encoded_before_are_not_encoded_again(engine: Engine) -> None:
    put(engine, OTTER)
    with engine.lock.held(5), Ingest(engine) as ingest:
        ingest.document(Document("copy", OTTER.title, OTTER.text, headings=OTTER.headings))
        ingest.flush()
    assert (ingest.effort.encoded, ingest.effort.reused) == (0, 2)
    (first, *_) = search(engine, Query("What does the otter eat?")).results
    assert len(first.also_in) == 1


def test_a_folder_is_synced(engine: Engine, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    for name in ("one", "two", "three"):
        (papers / f"{name}.txt").write_text(f"This is the paper {name}.", encoding="utf-8")
    (papers / "broken.pdf").write_bytes(b"no pdf")
    summary = Sync(engine).run([papers])
    assert (summary.added, len(summary.failed)) == (3, 1)
    (papers / "two.txt").write_text("This is another paper.", encoding="utf-8")
    (papers / "three.txt").rename(papers / "moved.txt")
    (papers / "one.txt").unlink()
    summary = Sync(engine).run([papers])
    assert (summary.added, summary.changed, summary.moved, summary.deleted, summary.unchanged) == (0, 1, 1, 1, 0)
    with engine.catalog.read() as snapshot:
        assert snapshot.document_ids() == ["three.txt", "two.txt"]
        moved = snapshot.document("three.txt")
        assert moved is not None
        assert moved.uri == (papers / "moved.txt").as_uri()
        assert snapshot.counts().failures == 1
    assert ids(engine, {"uri": (papers / "moved.txt").as_uri()}) == {"three.txt"}
    summary = Sync(engine).run([papers])
    assert (summary.unchanged, summary.passages_encoded) == (2, 0)


def test_a_record_that_went_from_a_file_that_is_gone_to_another_one_stays(engine: Engine, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    record = {"_id": "otter", "text": "The otter sleeps."}
    (papers / "one.jsonl").write_text(json.dumps(record) + '\n{"_id": "ship", "text": "The ship sank."}\n', encoding="utf-8")
    Sync(engine).run([papers])
    (papers / "one.jsonl").unlink()
    (papers / "two.jsonl").write_text(json.dumps(record | {"text": "The otter eats."}) + "\n", encoding="utf-8")
    summary = Sync(engine).run([papers])
    with engine.catalog.read() as snapshot:
        assert snapshot.document_ids() == ["otter"]
        source = snapshot.source_of("otter")
        assert source is not None
        assert source.name == "two.jsonl"
    assert (summary.added, summary.deleted) == (1, 1)
    assert Sync(engine).run([papers]).unchanged == 1


def test_a_document_of_a_file_that_was_moved_is_not_taken_by_another_file(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.ingest.FIRST_PASSAGES", 1)
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "one.jsonl").write_text('{"_id": "otter", "text": "The otter sleeps."}\n', encoding="utf-8")
    Sync(engine).run([papers])
    (papers / "one.jsonl").rename(papers / "a.jsonl")
    for name in ("b", "c", "d"):  # commits between
        (papers / f"{name}.txt").write_text(f"This is the paper {name}.", encoding="utf-8")
    (papers / "e.jsonl").write_text('{"_id": "otter", "text": "The otter eats."}\n', encoding="utf-8")
    summary = Sync(engine).run([papers])
    assert summary.moved == 1
    assert [(Path(one.path).name, one.record) for one in summary.failed] == [("e.jsonl", "document otter")]
    with engine.catalog.read() as snapshot:
        document = snapshot.document("otter")
        assert document is not None
        assert document.text == "The otter sleeps."


def test_what_raises_in_the_middle_changes_nothing(engine: Engine) -> None:
    put(engine, OTTER)
    with engine.catalog.read() as snapshot:
        before = content_hash(snapshot)

    def fail() -> None:
        with engine.catalog.write() as writer:
            writer.delete_document(OTTER.id)
            writer.put_document(SHIP, None, [])
            raise ZeroDivisionError

    with engine.lock.held(5), pytest.raises(ZeroDivisionError):
        fail()
    with engine.catalog.read() as snapshot:
        assert content_hash(snapshot) == before


def test_everything_can_be_encoded_again(engine: Engine) -> None:
    stored(engine, *ALL)
    with engine.catalog.read() as snapshot:
        before = content_hash(snapshot)
    reindex(engine)
    with engine.catalog.read() as snapshot:
        assert content_hash(snapshot) == before
    assert len(search(engine, Query("fish", limit=50)).results) == 4


def test_a_page_of_results_never_overlaps_the_next(engine: Engine) -> None:
    stored(engine, *(Document(f"{number:03}", "", f"The lamp number {number} burns.") for number in range(130)))
    pages = [search(engine, Query("lamp burns", 20, offset)) for offset in range(0, 140, 20)]
    found = [one.passage.id for page in pages for one in page.results]
    assert len(found) == len(set(found)) == 130


def test_a_part_of_a_view_is_told_from_the_whole(engine: Engine) -> None:
    put(engine, OTTER)
    with engine.catalog.read() as snapshot:
        contract = snapshot.contract
    assert contract == engine.encoder.contract
    vector = engine.encoder.question("otter").pooled[0]
    with engine.view() as view:
        near = view.nearest(vector, 5)
        assert np.allclose(view.cosines(vector, near.keys), near.cosines)
        assert view.within(near.keys.tolist()) == set(near.keys.tolist())
        assert view.narrowed([{"id": "ship"}], []).within(near.keys.tolist()) == set()
