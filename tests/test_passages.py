import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.documents import Heading
from indexer.passages import LABEL_RUN, PASSAGE_CHARS, Passage, split
from indexer.sentences import Span

SEEDS = Path(__file__).parent.parent / "seeds"
LIMIT = 60  # tokens of context and passage together: small, so that short tests are cut


def words(text: str) -> list[tuple[int, int]]:
    """A tokenizer that a reader can count with: words, and every other visible character by itself."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def passages(text: str, headings: tuple[Heading, ...] = (), limit: int = LIMIT) -> list[Passage]:
    return split(text, headings, words, limit)


def texts(text: str, headings: tuple[Heading, ...] = (), limit: int = LIMIT) -> list[str]:
    return [text[one.start : one.end] for one in passages(text, headings, limit)]


def uncovered(text: str, found: list[Passage]) -> str:
    """What of the text is in no passage and no label."""
    inside = [False] * len(text)
    for one in found:
        for start, end in [(one.start, one.end), *one.labels]:
            inside[start:end] = [True] * (end - start)
    return "".join(char for char, is_inside in zip(text, inside, strict=True) if not is_inside and not char.isspace())


# Random text of many scripts, with the characters that splitting turns on made likely.
SCRIPTS = st.text(
    st.one_of(
        st.sampled_from(list("ab c. \n\r\t!?。:;,#*-\u2028\x0c\x85\u200b\u00a0😀")),
        st.characters(min_codepoint=32, max_codepoint=0x2FFFF, exclude_categories=["Cs"]),
    ),
    max_size=600,
)


@given(SCRIPTS)
@settings(max_examples=300, deadline=None)
def test_every_visible_character_is_in_a_passage_or_in_a_label_that_travels_with_one(text: str) -> None:
    assert uncovered(text, passages(text)) == ""


@given(SCRIPTS)
@settings(max_examples=300, deadline=None)
def test_passages_are_in_order_apart_within_the_limit_and_trimmed(text: str) -> None:
    end = 0
    for one in passages(text):
        assert end <= one.start < one.end <= len(text)
        end = one.end
        piece = text[one.start : one.end]
        assert piece == piece.strip()
        assert len(words(piece)) <= LIMIT
        assert len(piece) <= PASSAGE_CHARS


@given(SCRIPTS, st.lists(st.tuples(st.integers(0, 600), st.integers(1, 80), st.integers(1, 6)), max_size=5))
@settings(max_examples=200, deadline=None)
def test_no_headings_of_a_reader_lose_text(text: str, places: list[tuple[int, int, int]]) -> None:
    headings = tuple(Heading(min(at, len(text)), min(at + size, len(text)), level) for at, size, level in sorted(places))
    assert uncovered(text, passages(text, headings)) == ""


def test_the_seed_note_is_its_six_paragraphs() -> None:
    text = (SEEDS / "daesh-small-group.txt").read_text(encoding="utf-8")
    assert texts(text, limit=254) == text.split("\n")


def test_every_seed_question_names_a_passage_and_an_answer_inside_it() -> None:
    text = (SEEDS / "daesh-small-group.txt").read_text(encoding="utf-8")
    questions = [json.loads(line) for line in (SEEDS / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    answered = [one for one in questions if one["paragraph"]]
    assert (len(answered), len(questions) - len(answered)) == (18, 6)
    spans = {(one.start, one.end) for one in passages(text, limit=254)}
    for one in answered:
        answer = one["answer"]
        assert (one["start"], one["end"]) in spans
        assert text[answer["start"] : answer["end"]] == answer["text"]
        assert one["start"] <= answer["start"] < answer["end"] <= one["end"]


def test_a_paragraph_longer_than_the_limit_is_cut_at_sentence_borders_into_even_pieces() -> None:
    sentence = "This sentence has exactly seven words here. "
    pieces = texts((sentence * 20).strip())
    assert len(pieces) > 2
    assert all(piece.startswith("This") and piece.endswith("here.") for piece in pieces)
    sizes = [len(words(piece)) for piece in pieces]
    assert max(sizes) <= 2 * min(sizes)


def test_a_paragraph_that_fits_beside_its_own_title_and_labels_is_whole() -> None:
    text = " ".join(f"word{i}" for i in range(50)) + "."
    assert len(split(text, (), words, LIMIT, "")) == 1
    assert len(split(text, (), words, LIMIT, "a title of six words here")) == 2


def test_a_sentence_longer_than_the_limit_is_cut_at_clauses_or_spaces_never_inside_a_word() -> None:
    text = " ".join(f"word{i}" for i in range(300))
    assert " ".join(texts(text)).split() == text.split()


def test_a_megabyte_without_a_space_is_cut_and_whole() -> None:
    text = "x" * 1_000_000
    assert "".join(texts(text)) == text


def test_a_one_line_label_travels_with_the_paragraph_that_it_introduces() -> None:
    text = "Office of the Spokesperson\n\nThe Secretary met the minister today.\n\nThey agreed."
    first, second = passages(text)
    assert first.heading(text) == "Office of the Spokesperson"
    assert text[first.start : first.end] == "The Secretary met the minister today."
    assert second.labels == ()


def test_more_labels_than_travel_are_a_passage_of_their_own() -> None:
    names = "\n\n".join(f"Member {i} of the board" for i in range(LABEL_RUN + 1))
    assert texts(f"{names}\n\nThey all came to the meeting.") == [names, "They all came to the meeting."]


def test_labels_at_the_end_introduce_nothing_and_are_a_passage() -> None:
    assert texts("The meeting was closed.\n\nForeign minister") == ["The meeting was closed.", "Foreign minister"]


def test_a_rule_at_the_end_is_no_passage_and_no_heading() -> None:
    text = "The meeting was closed.\n\n# # #"
    (only,) = passages(text)
    assert only.labels == (Span(25, 30),)
    assert only.heading(text) == ""


def test_a_section_heading_travels_with_every_paragraph_of_its_section() -> None:
    text = "Guide\n\nIntro sentence.\n\nInstall\n\nFirst step.\n\nSecond step.\n\nUse\n\nRun it."
    headings = tuple(
        Heading(text.index(name), text.index(name) + len(name), level)
        for name, level in [("Guide", 1), ("Install", 2), ("Use", 2)]
    )
    found = {text[one.start : one.end]: one.heading(text) for one in passages(text, headings)}
    assert found == {
        "Intro sentence.": "Guide",
        "First step.": "Guide › Install",
        "Second step.": "Guide › Install",
        "Run it.": "Guide › Use",
    }


def test_hard_wrapped_lines_are_one_paragraph_and_long_lines_are_one_each() -> None:
    wrapped = "The meeting of the group was held in the\ncity yesterday, and partners\nupdated each other on their common work."
    assert texts(wrapped) == [wrapped]
    lines = ["A paragraph of " + "many words " * 10 + f"number {i}." for i in range(3)]
    assert texts("\n".join(lines)) == lines


def test_neighbouring_short_lines_are_one_passage() -> None:
    verse = "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand"
    assert texts(verse + "\n\nA poem by Blake.") == [verse, "A poem by Blake."]


def test_white_space_has_no_passage() -> None:
    assert passages(" \n\t\u3000\n") == []
