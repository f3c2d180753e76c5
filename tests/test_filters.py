"""Filters: what each operator means, that names and values are only data, and what is refused."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.catalog import Catalog, EncodedPassage
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.filters import MAX_FIELDS, MAX_VALUES, FilterError, condition
from indexer.ingest import Ingest
from indexer.passages import Passage
from indexer.search import Query, search

HOSTILE = [
    "'",
    '"',
    "a' OR '1'='1",
    'a") OR 1 --',
    "f.key",
    "d.text",
    "'); DROP TABLE document; --",
    "?",
    "$.a",
    "[0]",
    "%",
    "",
]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path)
    yield catalog
    catalog.close()


def put(catalog: Catalog, document: Document) -> None:
    passage = EncodedPassage(Passage(0, len(document.text)), document.id.encode(), np.array([1], np.float16))
    with catalog.write() as writer:
        writer.put_document(document, None, [passage])


def found(catalog: Catalog, where: Mapping[str, Any]) -> str:
    """The ids of the documents that meet the filter, in order, as one word."""
    with catalog.read() as snapshot:
        keys = snapshot.keys_where(*condition(where))
        assert keys.tolist() == sorted(keys.tolist())
        return "".join(sorted(one.document.id for one in snapshot.passages(keys.tolist()).values()))


@pytest.fixture
def books(catalog: Catalog) -> Catalog:
    records: list[tuple[str, str, str | None, dict[str, Any]]] = [
        ("a", "Alpha", "2021-12-31", {"tags": ["isis", "iraq"], "pages": 9, "draft": True, "by": "Ann"}),
        ("b", "Beta", "2022-01-01", {"tags": "isis", "pages": 10, "draft": False, "by": None}),
        ("c", "", None, {"tags": [], "pages": 10.5, "by": "10", "deep": {"tags": "isis"}}),
        ("d", "Delta", "2022-05-11", {"tags": ["peace", 10, True], "pages": "10"}),
    ]
    for name, title, date, metadata in records:
        put(catalog, Document(name, title, "text", None, date, metadata))
    return catalog


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcd"),
        ({"id": "a"}, "a"),
        ({"title": "Beta"}, "b"),
        ({"media_type": "text/plain", "date": "2022-05-11"}, "d"),
        # equals, and a list is or
        ({"tags": "isis"}, "ab"),
        ({"tags": ["isis", "peace"]}, "abd"),
        ({"tags": ["isis", 10, True]}, "abd"),
        ({"tags": []}, ""),
        ({"id": ["a", "d", "x"]}, "ad"),
        ({"tags": "isis", "by": "Ann"}, "a"),
        ({"deep": "isis"}, ""),
        # comparisons
        ({"date": {"gte": "2022-01-01"}}, "bd"),
        ({"date": {"gt": "2022-01-01"}}, "d"),
        ({"date": {"gte": "2021-12-31", "lt": "2022-05-11"}}, "ab"),
        ({"date": {"lte": "2021-12-31"}}, "a"),
        ({"pages": {"gt": 9}}, "bc"),
        ({"pages": {"lte": 10}}, "ab"),
        # a number is no string, a boolean neither
        ({"pages": 10}, "b"),
        ({"pages": "10"}, "d"),
        ({"pages": 10.0}, "b"),
        ({"pages": {"lt": "9"}}, "d"),
        ({"tags": 10}, "d"),
        ({"draft": True}, "a"),
        ({"draft": False}, "b"),
        ({"draft": 1}, ""),
        ({"tags": True}, "d"),
        # prefix: of strings, verbatim
        ({"date": {"prefix": "2022"}}, "bd"),
        ({"title": {"prefix": "Al"}}, "a"),
        ({"title": {"prefix": "al"}}, ""),
        ({"title": {"prefix": "_lpha"}}, ""),
        ({"title": {"prefix": ""}}, "abcd"),
        ({"tags": {"prefix": "is"}}, "ab"),
        ({"tags": {"prefix": "1"}}, ""),
        ({"pages": {"prefix": "1"}}, "d"),
        ({"tags": {"not": {"prefix": "i"}}}, "cd"),
        # exists: null is absent, also for a column
        ({"by": {"exists": True}}, "ac"),
        ({"by": {"exists": False}}, "bd"),
        ({"date": {"exists": False}}, "c"),
        ({"title": {"exists": True}}, "abd"),
        ({"uri": {"exists": True}}, ""),
        # not: also what lacks the field
        ({"by": {"not": "Ann"}}, "bcd"),
        ({"date": {"not": {"gte": "2022-01-01"}}}, "ac"),
        ({"tags": {"not": ["isis", "peace"]}}, "c"),
        ({"tags": {"not": []}}, "abcd"),
        ({"by": {"exists": True, "not": "Ann"}}, "c"),
        ({"by": {"not": {"not": "Ann"}}}, "a"),
    ],
)  # fmt: skip
def test_a_filter_finds_what_its_operator_says(books: Catalog, where: dict[str, Any], expected: str) -> None:
    assert found(books, where) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"date": {"since": "2022"}},
            r"'date' has an unknown operator 'since'; known are gte, lte, gt, lt, prefix, exists, not",
        ),
        ({"date": {}}, r"'date' is empty; give a value, a list, or one of gte"),
        ({"date": {"exists": 1}}, r"exists takes true or false"),
        ({"date": {"prefix": 2022}}, r"prefix takes a string"),
        ({"tags": {"prefix": "\ud800"}}, r"'tags' holds half of a surrogate pair"),
        ({"date": None}, r"for absence use exists"),
        ({"tags": ["a", None]}, r"for absence use exists"),
        ({"tags": [["a"]]}, r"compare with a string, a number or a boolean"),
        ({"pages": {"gte": [1, 2]}}, r"compare with a string, a number or a boolean"),
        ({"pages": 2**63}, r"more than 64 bits"),
        ({"pages": {"gte": float("nan")}}, "NaN and Infinity are not compared"),
        ({"pages": [1, float("-inf")]}, "NaN and Infinity are not compared"),
        ({"tags": "\ud800"}, r"'tags' holds half of a surrogate pair"),
        ({"\ud800": "a"}, r"holds half of a surrogate pair"),
        ({"\ud800": {"exists": True}}, r"holds half of a surrogate pair"),
        ({str(i): i for i in range(MAX_FIELDS + 1)}, rf"names 101 fields; it can name up to {MAX_FIELDS}"),
        ({"id": [str(i) for i in range(MAX_VALUES + 1)]}, rf"30001 values; it can with up to {MAX_VALUES}"),
    ],
)
def test_what_is_not_a_filter_is_refused_with_what_would_be(where: dict[str, Any], message: str) -> None:
    with pytest.raises(FilterError, match=message):
        condition(where)


def test_a_filter_that_is_nested_without_end_is_refused() -> None:
    where: Any = "a"
    for _ in range(5000):
        where = {"not": where}
    with pytest.raises(FilterError, match="is nested too deeply"):
        condition({"tags": where})


def test_the_largest_filters_that_are_taken_are_answered(books: Catalog) -> None:
    """SQLite bounds the depth of an expression and the values of a statement; a filter within ours meets neither."""
    assert found(books, {"id": ["a", *map(str, range(MAX_VALUES - 1))]}) == "a"
    assert found(books, {"tags": ["peace", *map(str, range(MAX_VALUES // 2 - 2))]}) == "d"
    nested: Any = "Ann"
    for _ in range(10):
        nested = {"not": nested}
    every = {"gte": "", "gt": "", "lte": "~", "lt": "~", "exists": True}
    assert found(books, {f"x{i}": {"exists": False, "not": every} for i in range(MAX_FIELDS - 1)} | {"by": nested}) == "a"


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_values_are_only_data(books: Catalog, text: str) -> None:
    assert found(books, {"by": text}) == ""
    assert found(books, {"title": text}) == ("c" if text == "" else "")
    assert found(books, {text: "x"}) == ""
    assert found(books, {text: {"exists": False, "not": ["x", 1, True]}}) == "abcd"
    put(books, Document("h", "", "text", metadata={text: text}))
    assert found(books, {text: text}) == "h"
    assert found(books, {text: {"exists": True}}) == "h"
    assert found(books, {text: {"prefix": text}}) == "h"
    assert found(books, {}) == "abcdh"


# --- filters in a search ------------------------------------------------------------------------------------------

SIGNS = {"gte": operator.ge, "lte": operator.le, "gt": operator.gt, "lt": operator.lt}
WORDS = "river mountain harbour engine letter garden winter music".split()


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    with Collection(tmp_path_factory.mktemp("filters"), create=True, encoder=encoder) as collection:
        ingest = Ingest(collection)
        for number in range(48):
            word, other = WORDS[number % 8], WORDS[number // 8]
            metadata = {"number": number, "words": [word, other], "even": number % 2 == 0}
            ingest.document(Document(f"{number:02}", "", f"The {word} is near the {other}.", metadata=metadata))
        ingest.flush()
        yield collection


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "words": st.sampled_from(WORDS) | st.lists(st.sampled_from(WORDS), max_size=3),
        "even": st.booleans() | st.fixed_dictionaries({"not": st.booleans()}),
        "number": st.dictionaries(st.sampled_from(sorted(SIGNS)), st.integers(-1, 49), min_size=1, max_size=2),
        "id": st.fixed_dictionaries({"not": st.lists(st.sampled_from([f"{i:02}" for i in range(48)]), max_size=9)}),
    },
)


def meets(metadata: Mapping[str, Any], document_id: str, where: Mapping[str, Any]) -> bool:
    """The filters above, written once more in Python."""
    words, even = where.get("words", WORDS), where.get("even")
    return (
        bool({words} & {*metadata["words"]} if isinstance(words, str) else {*words} & {*metadata["words"]})
        and (even is None or metadata["even"] == (not even["not"] if isinstance(even, dict) else even))
        and all(SIGNS[sign](metadata["number"], value) for sign, value in where.get("number", {}).items())
        and document_id not in where.get("id", {"not": []})["not"]
    )


@given(FILTERS, st.sampled_from(WORDS))
@settings(max_examples=60, deadline=None)
def test_adding_a_filter_never_finds_a_closer_passage(collection: Collection, where: dict[str, Any], word: str) -> None:
    """It finds what an unfiltered search finds, in the same order, without what the filter excludes: all of the rest."""
    question = f"What is near the {word}?"
    free = search(collection, Query(question, limit=48)).results
    assert len(free) == 48
    expected = [one for one in free if meets(one.passage.document.metadata, one.passage.document.id, where)]
    filtered = search(collection, Query(question, limit=10, filter=where)).results
    assert [one.passage.id for one in filtered] == [one.passage.id for one in expected[:10]]
    assert all(mine.score <= any_.score + 1e-6 for mine, any_ in zip(filtered, free, strict=False))
