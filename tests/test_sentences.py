import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.sentences import Span, ends, ends_within, sentences, strip


def parts(text: str) -> list[str]:
    return [span.of(text) for span in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Political Director Mr. Marcel de Vink updated partners.",
        "Secretary Antony J. Blinken spoke for the U.S. Army in Europe.",
        "See No. 7 and fig. 3 for details, i.e. the table.",
        "It grew by 3.5 percent to $1.2 billion…and then fell.",
        "They asked “What now?” and left.",
    ],
)
def test_an_abbreviation_an_initial_or_a_number_ends_no_sentence(text: str) -> None:
    assert parts(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They met. They parted!", ["They met.", "They parted!"]),
        ("He left the U.S. The talks went on.", ["He left the U.S.", "The talks went on."]),
        ("“It ended.” Nobody knew why.", ["“It ended.”", "Nobody knew why."]),
        ("会议开始了。大家都来了！为什么？", ["会议开始了。", "大家都来了！", "为什么？"]),
        ("هل انتهى؟ نعم.", ["هل انتهى؟", "نعم."]),
        ("यह अंत है। नया आरंभ।", ["यह अंत है।", "नया आरंभ।"]),
        ("First point\nSecond point", ["First point", "Second point"]),
        ("One paragraph\n\nanother", ["One paragraph", "another"]),
    ],
)
def test_sentences_end_where_their_script_ends_them(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_hard_wrapped_line_that_runs_on_is_one_sentence() -> None:
    text = "The meeting was held in the city and\nwas attended by all. Then it closed."
    assert parts(text) == ["The meeting was held in the city and\nwas attended by all.", "Then it closed."]


def test_offsets_are_those_of_the_whole_text() -> None:
    text = "Before. 😀 Inside one. Inside two. After."
    inner = sentences(text, 8, 33)
    assert [span.of(text) for span in inner] == ["😀 Inside one.", "Inside two."]


def test_strip_gives_nothing_for_white_space() -> None:
    assert strip(" \t\n\u3000", 0, 4) is None
    assert strip("  a b ", 0, 6) == Span(2, 5)


def test_a_megabyte_of_dots_takes_no_time() -> None:
    assert len(sentences("." * 1_000_000 + "x")) == 1  # with backtracking it would take hours, which the time limit ends


PARTS = ["a", "Word ", " ", "\n", "\r\n", ". ", "! ", "e.g. ", "U.S. ", "…", "。", '"', ", ", "x" * 60]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=120).map("".join), st.integers(0, 3000), st.integers(0, 3000))
def test_ends_within_a_longer_span_are_those_of_the_span_alone(text: str, start: int, end: int) -> None:
    start, end = sorted((start % (len(text) + 1), end % (len(text) + 1)))
    known = list(ends(text, 0, len(text)))
    assert list(ends_within(text, known, start, end)) == list(ends(text, start, end))
