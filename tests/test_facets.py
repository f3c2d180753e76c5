"""Facets: what is counted, over what, and that a filter by a value finds as many as the facet said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.facets import HITS, Value, counted
from indexer.filters import FilterError, source_of
from indexer.ingest import put
from indexer.search import Answer, Query, search
from indexer.sync import Sync
from tests.test_http import problem, started

QUESTION = "Which ships reached the harbour?"
KEEPERS = ("Ann", "Ben", "Cara")


def record(number: int) -> dict[str, Any]:
    """A log entry; every tenth repeats the text of the one before it."""
    date = f"{2019 + number % 3}-05-{1 + number % 28:02}"
    text = f"Ship {number - (number % 10 == 9)} reached the harbour in calm weather."
    topics = ["ships", "weather"] if number % 3 == 0 else ["ships"]
    seen = {"keeper": KEEPERS[number % 3], "topics": topics, "watch": number % 2, "calm": number % 2 == 0}
    return {"id": f"log/{number:03}", "title": "Log", "text": text, "date": date, "serial": f"no. {number}", **seen}


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """More passages than are counted: a file of records, files in folders, and documents without a file."""
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "letters" / "1920").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "top.txt").write_text("The harbour took every ship that reached it.")
    (folder / "letters" / "a.txt").write_text("My ship reached your harbour on Monday.")
    (folder / "letters" / "1920" / "b.md").write_text("Which ships have reached you, and which the harbour?")
    lines = [json.dumps(record(number)) for number in range(140)]
    (folder / "logs" / "ships.jsonl").write_text("\n".join(lines))
    with Collection(folder / "index", create=True, encoder=encoder) as collection:
        Sync(collection).run([folder])
        put(collection, Document("web", "Web", "Two ships reached the harbour.", "https://Harbour.example/log?x=1"))
        put(collection, Document("note", "Note", "No ships reached the harbour that day."))
        yield collection


def recounted(answer: Answer, field: str) -> Counter[Value]:
    """A metadata field, counted once more from the results themselves."""
    values = [one.passage.document.metadata.get(field, []) for one in answer.results]
    return Counter(element for value in values for element in (value if isinstance(value, list) else [value]))


@pytest.mark.parametrize("where", [{}, {"keeper": ["Ann", "Ben"]}, {"date": {"prefix": "2020"}}, {"keeper": "Nobody"}])
@pytest.mark.parametrize("page", [{}, {"offset": 60, "limit": 20}, {"group": "document"}])
def test_a_facet_counts_what_the_largest_page_lists(harbour: Collection, where: dict[str, Any], page: dict[str, Any]) -> None:
    fields = ("keeper", "topics", "watch", "date")
    answer = search(harbour, Query(QUESTION, filter=where, facets=fields, **page))
    largest = search(harbour, Query(QUESTION, limit=HITS, filter=where, group=page.get("group")))
    assert answer.facets is not None
    found = {facet.field: Counter(dict(facet.values)) for facet in answer.facets}
    assert list(found) == list(fields)
    for field in fields[:3]:
        assert found[field] == recounted(largest, field)
    assert found["date"] == Counter(
        (one.passage.document.date or "")[:4] for one in largest.results if one.passage.document.date
    )


def test_asking_for_facets_changes_no_result(harbour: Collection) -> None:
    plain, with_facets = (search(harbour, Query(QUESTION, limit=7, offset=3, facets=some)) for some in ((), True))
    assert [one.passage.id for one in with_facets.results] == [one.passage.id for one in plain.results]
    assert (with_facets.verdict, plain.facets) == (plain.verdict, None)


def test_a_filter_by_a_value_finds_as_many_as_were_counted(harbour: Collection) -> None:
    """Of fewer passages than are counted, none with the text of another, so that each is a result whatever the filter."""
    logs = [f"log/{number:03}" for number in range(30) if number % 10 != 9]
    base = {"id": [*logs, "web", "note", "top.txt", "letters/a.txt"]}
    answer = search(harbour, Query(QUESTION, filter=base, facets=True))
    assert answer.facets is not None
    assert [facet.field for facet in answer.facets] == ["date", "source", "topics", "calm", "keeper", "watch"]
    for field, values in answer.facets:
        for value, count in values:
            where = base | {field: {"prefix": value} if field == "date" else value}
            assert len(search(harbour, Query(QUESTION, limit=HITS, filter=where)).results) == count, (field, value)


def test_a_source_is_a_folder_a_file_of_records_or_a_host(harbour: Collection) -> None:
    with harbour.catalog.read() as snapshot:
        (facet,) = counted(snapshot.described(), ["source"])
    assert facet.values == (("logs/ships.jsonl", 140), ("", 2), ("harbour.example", 1), ("letters", 1), ("letters/1920", 1))
    below = search(harbour, Query(QUESTION, filter={"source": {"prefix": "letters"}}))
    assert {one.passage.document.id for one in below.results} == {"letters/a.txt", "letters/1920/b.md"}
    without = search(harbour, Query(QUESTION, filter={"source": {"exists": False}}))
    assert {one.passage.document.id for one in without.results} == {"top.txt", "note"}


@pytest.mark.parametrize(
    ("document", "file", "uri", "source"),
    [
        ("a.txt", "a.txt", None, ""),
        ("x/y/a.txt", "x/y/a.txt", "file:///x/y/a.txt", "x/y"),
        ("17", "x/records.jsonl", "https://example.org", "x/records.jsonl"),
        ("w", None, "https://user@Example.org:8080/a", "example.org"),
        ("w", None, "http://[broken", ""),
        ("w", None, "isbn:123", ""),
        ("w", None, None, ""),
    ],
)
def test_a_source_is_told_from_where_a_document_comes(document: str, file: str | None, uri: str | None, source: str) -> None:
    assert source_of(document, file, uri) == source


def described(**metadata: Any) -> dict[str, Any]:
    return {"date": None, "source": "", "media_type": "text/plain", "metadata": metadata}


def test_true_is_not_one_nor_is_text() -> None:
    (facet,) = counted([described(x=1), described(x=True), described(x="1"), described(x=1.0), described(x=[1, 1])], ["x"])
    assert [(str(value), count) for value, count in facet.values] == [("1", 3), ("True", 1), ("1", 1)]


def test_what_cannot_be_compared_is_not_counted() -> None:
    (facet,) = counted([described(x=None), described(x={"a": 1}), described(x=[[1], 2**63]), described()], ["x"])
    assert facet.values == ()


def test_only_fields_with_a_few_values_that_recur_are_offered() -> None:
    documents = [
        described(serial=number, one="same", by=f"author {number % 4}", long="x" * 70 + str(number % 2), title=str(number % 2))
        for number in range(40)
    ]
    assert [facet.field for facet in counted(documents, True)] == ["by"]
    assert [facet.field for facet in counted(documents, True, ["date", "by", "media_type"])] == ["date", "media_type", "by"]


def test_over_http_facets_come_only_if_they_are_asked_for(tmp_path: Path) -> None:
    for client in started(tmp_path):
        for name, kind in (("a", "map"), ("b", "map"), ("c", "plan")):
            client.put(f"/v1/documents/{name}", json={"text": f"The {kind} {name} of the harbour.", "kind": kind, "year": 1920})
        asked = {"question": "Where is a map of the harbour?", "filter": {"id": ["a", "b", "c"]}}
        assert "facets" not in client.post("/v1/search", json=asked).json()
        answer = client.post("/v1/search", json=asked | {"facets": ["kind", "year", "none"], "limit": 1}).json()
        kinds = [{"value": "map", "count": 2}, {"value": "plan", "count": 1}]
        assert answer["facets"] == [
            {"field": "kind", "values": kinds},
            {"field": "year", "values": [{"value": 1920, "count": 3}]},
            {"field": "none", "values": []},
        ]
        assert client.post("/v1/search", json=asked | {"facets": True}).json()["facets"] == [{"field": "kind", "values": kinds}]
        whole = client.get("/v1/facets", params={"field": ["kind", "source"]}).json()
        assert whole["facets"][0] == {"field": "kind", "values": [kinds[0], {"value": "media note", "count": 1}, kinds[1]]}
        assert whole["facets"][1] == {"field": "source", "values": [{"value": "", "count": 4}]}
        assert whole["generation"] == answer["generation"]
        client.put("/v1/documents/d", json={"text": "A plan of the pier.", "kind": "plan"})
        later = client.get("/v1/facets", params={"field": ["kind", "source"]}).json()
        assert later["facets"][0]["values"] == [kinds[0], {"value": "plan", "count": 2}, {"value": "media note", "count": 1}]
        assert later["generation"] == whole["generation"] + 1
        assert [facet["field"] for facet in client.get("/v1/facets").json()["facets"]] == ["kind"]
        assert "'kind' twice" in problem(client.get("/v1/facets?field=kind&field=kind"), 422)


def test_too_many_fields_are_refused(harbour: Collection) -> None:
    with pytest.raises(FilterError, match="names 21 fields; up to 20"):
        search(harbour, Query(QUESTION, facets=tuple(map(str, range(21)))))


def test_a_result_says_what_its_own_score_means(harbour: Collection) -> None:
    answer = search(harbour, Query("Which ship reached the harbour on Monday?", limit=HITS))
    assert answer.results[0].verdict == answer.verdict
    order = ["answered", "weak", "nothing"]
    ranks = [order.index(one.verdict) for one in answer.results[:50]]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1
