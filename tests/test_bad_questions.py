"""Whatever is typed, the answer is an answer or one of the product's own errors."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.errors import PassagesError
from indexer.question import parse
from indexer.search import Query, encoded, search
from indexer.sync import Sync
from indexer.terms import terms
from service.rendering import rendered
from service.service import SEEDS
from tests.fuzzing import record, tries

JUNK = (
    "' OR 1=1; DROP TABLE passages; --", '"', '""', "-", "--", '-"', '"a" -"b" -', "before:", "after:2022-13", "before:0000",
    "after:9999-99-99", "before:2022 after:2021", "NEAR(a b, 5)", "a AND OR NOT", "title:* ^2 ~", "[a TO z]", "{}", "(((", "\\",
    "%00", "%s%n", "${7*7}", "<script>alert(1)</script>", "\0", "\x1b[2J", "\u202e\u2066", "\ufeff", "\ufffe", "「『「", "„“”",
    "日本語の質問", "한국어", "ไทย", "السؤال؟", "שאלה", "प्रश्न", "\U0001f9d1\u200d\U0001f680", "e\u0301" * 50, "\u0300" * 200,
    "İıſẞ", "\ud800", "a\udfff", "\udc00\ud800", "C:\\x", "../../etc/passwd", "file:///etc/passwd", "\n\r\v\f\x1c\x85\u2028",
)  # fmt: skip
# Half of it is what any program might be sent, half what this one has a syntax for.
QUESTIONS = st.one_of(
    st.text(st.characters(), max_size=60),
    st.lists(st.one_of(st.sampled_from(JUNK), st.text(max_size=8)), min_size=1, max_size=8).map(" ".join),
    st.lists(
        st.sampled_from(['"', "-", "before:", "after:", "2022", " ", "a", "「", "」", "é", "日", "\ud800"]), max_size=40
    ).map("".join),
)
HUGE = ['"' * 1_000_000, "-a " * 333_333, "a" * 1_000_000, "「" * 1_000_000, "before:2022 " * 83_333, "\u0300" * 1_000_000]
RELAXED = {"deadline": None, "suppress_health_check": [*HealthCheck], "database": None, "derandomize": True}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    with Collection(tmp_path_factory.mktemp("seeds"), create=True, encoder=encoder) as collection:
        Sync(collection).run([SEEDS])
        yield collection


def asked(collection: Collection, question: str) -> str:
    """What came: "answered", or the name of the product's own error."""
    try:
        query = Query(question, limit=3, explain=True)
        answer = json.loads(rendered(search(collection, query, encoded(collection, query))).body)
    except PassagesError as error:
        return type(error).__name__
    assert answer["question"] == question
    return "answered"


def test_any_question_is_read_or_refused_with_advice() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=tries(1_000, 10_000), **RELAXED)  # type: ignore[arg-type]
    @given(QUESTIONS)
    def each(question: str) -> None:
        try:
            terms(parse(question).text, "english")
            seen["read"] += 1
        except PassagesError:
            seen["refused"] += 1

    each()
    assert min(seen["read"], seen["refused"]) > 30
    record("questions_read", **seen)


def test_questions_are_answered_or_refused_by_the_whole_search(seeds: Collection) -> None:
    seen: Counter[str] = Counter(asked(seeds, question) for question in JUNK)

    @settings(max_examples=tries(150, 10_000), **RELAXED)  # type: ignore[arg-type]
    @given(QUESTIONS)
    def each(question: str) -> None:
        seen[asked(seeds, question)] += 1

    each()
    assert seen["answered"] > 50
    assert seen["QuestionError"] > 5
    assert set(seen) <= {"answered", "QuestionError", "TooLongError"}
    record("questions_searched", **seen)


@pytest.mark.parametrize("question", HUGE, ids=lambda question: question[:4])
def test_a_question_of_a_megabyte_is_refused_at_once(seeds: Collection, question: str) -> None:
    began = time.process_time()
    assert asked(seeds, question) == "QuestionError"
    assert time.process_time() - began < 5  # of processor time; what is quadratic would take an hour


def test_huge_questions_are_read_in_linear_time() -> None:
    for huge in HUGE:
        question = huge[: tries(100_000, 1_000_000)]
        began = time.process_time()
        with suppress(PassagesError):
            terms(parse(question).text, "english")
        assert time.process_time() - began < 20


def test_results_after_junk_are_those_before_it(seeds: Collection) -> None:
    def texts() -> list[str]:
        return [one.passage.text for one in search(seeds, Query("Who will host the next meeting?")).results]

    before = texts()
    for question in JUNK:
        asked(seeds, question)
    assert texts() == before != []
