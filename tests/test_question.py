"""Questions: what reads as an operator and what stays text, what is refused, and where a phrase stands in a text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.question import (
    MAX_EXCLUDED,
    MAX_OPERATORS,
    MAX_PHRASE_CHARS,
    MAX_PHRASES,
    Asked,
    QuestionError,
    occurs,
    parse,
)

OPERATORS = '"“”„‟«»＂「」『』-−–:'
FRAGMENTS = [
    *OPERATORS,
    "-a",
    '-"',
    "before:",
    "After:2022",
    "2022-05",
    "5",
    " ",
    "\n",
    ".",
    "\ud800",
    "\x00",
    "会",
    "a",
    "word",
]
anything = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))

# Letters whose folding is not one to one, marks, borders of all kinds, and one of each variant.
letters = st.text(st.sampled_from("aAsßſﬁfiİI\u0307e\u0301é'’-–\"“_ \n\t会가각ก1."), max_size=9)


def asked(
    text: str,
    phrases: tuple[str, ...] = (),
    excluded: tuple[str, ...] = (),
    after: str | None = None,
    before: str | None = None,
) -> Asked:
    return Asked(text, phrases, excluded, after, before)


def read_or_refused(question: str) -> Asked | str:
    try:
        return parse(question)
    except QuestionError as error:
        return str(error)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ('who said "we agree" there?', asked("who said we agree there?", ("we agree",))),
        ("„er sagte“ »sie« ”hän” «il» “he”", asked("er sagte sie hän il he", ("er sagte", "sie", "hän", "il", "he"))),
        ('“mixed" ＂full width＂', asked("mixed full width", ("mixed", "full width"))),
        ("谁说「会议」了", asked("谁说会议了", ("会议",))),
        ("「彼は『はい』と言った」", asked("彼は『はい』と言った", ("彼は『はい』と言った",))),
        ('"彼は「はい」と" 誰', asked("彼は「はい」と 誰", ("彼は「はい」と",))),
        ('said " we agree " there', asked("said we agree there", ("we agree",))),
        ('said"we agree"there', asked("said we agree there", ("we agree",))),
        ('"a""b"', asked("a b", ("a", "b"))),
        ('iPhone15"发布会"如何', asked("iPhone15发布会如何", ("发布会",))),
        ("who said 'we agree'", asked("who said 'we agree'")),
    ],
)
def test_a_quoted_phrase_must_occur_and_stays_in_the_text(question: str, expected: Asked) -> None:
    assert parse(question) == expected


@pytest.mark.parametrize(
    "question", ['"', 'who said "we agree', 'x -"we agree', "「会議", "「会議』", "会議」", '「会議"', "」x「"]
)
def test_a_quote_without_a_partner_is_text(question: str) -> None:
    assert parse(question) == asked(question)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ('5" pipe', asked('5" pipe')),
        ('5" pipe and 6" pipe', asked('5" pipe and 6" pipe')),
        ('3"x5" photo', asked('3"x5" photo')),
        ('a 5" pipe" here', asked('a 5" pipe" here')),
        ('19" rack "mount kit"', asked('19" rack mount kit', ("mount kit",))),
    ],
)
def test_an_inch_mark_opens_no_phrase(question: str, expected: Asked) -> None:
    assert parse(question) == expected


@pytest.mark.parametrize(
    ("question", "text"),
    [('who "" met', "who met"), ('who " \n " met', "who met"), ('who "?!" met', "who ?! met"), ('who -"..." met', "who met")],
)
def test_a_phrase_without_a_word_is_ignored(question: str, text: str) -> None:
    assert parse(question) == asked(text)


@pytest.mark.parametrize(
    ("question", "text", "excluded"),
    [
        ("oil -iraq", "oil", ("iraq",)),
        ("oil −iraq –iran", "oil", ("iraq", "iran")),
        ("-iraq oil", "oil", ("iraq",)),
        ("oil -iraq, and gas", "oil and gas", ("iraq",)),
        ("oil  -iraq\n -iran  gas", "oil gas", ("iraq", "iran")),
        ("who -al-Qaeda", "who", ("al-Qaeda",)),
        ("who -l'Oréal -U.S.", "who", ("l'Oréal", "U.S")),
        ("who -C# -C++", "who", ("C#", "C++")),
        ('who -"bin Laden" -«Al Jazeera». spoke', "who spoke", ("bin Laden", "Al Jazeera")),
        ("谁 -「会议」 -伊拉克，来", "谁 来", ("会议", "伊拉克")),
    ],
)
def test_a_minus_that_begins_a_word_or_a_phrase_excludes_it(question: str, text: str, excluded: tuple[str, ...]) -> None:
    assert parse(question) == asked(text, (), excluded)


@pytest.mark.parametrize(
    "question",
    [
        "al-Qaeda",
        "a - b",
        "git --flag",
        "-",
        "below -5 degrees",
        "from −40 to –20",
        "(-iraq)",
        "pre-\nwar",
        "—iraq",
        "-'tis",
        "-_x",
    ],
)
def test_any_other_minus_is_text(question: str) -> None:
    assert parse(question) == asked(question)


@pytest.mark.parametrize(
    ("question", "after", "before"),
    [
        ("x after:2022", "2022-12-31", None),
        ("x after:2022-05", "2022-05-31", None),
        ("x after:2024-02", "2024-02-29", None),
        ("x after:2022-05-01", "2022-05-01", None),
        ("x after:9999", "9999-12-31", None),
        ("x before:2022", None, "2022-01-01"),
        ("x before:2022-05", None, "2022-05-01"),
        ("x before:2022/05/07", None, "2022-05-07"),
        ("Before:2022, x", None, "2022-01-01"),
        ("AFTER:2021/05 x bEFORE:2022?", "2021-05-31", "2022-01-01"),
        ("x after:2020 after:2021-03 after:2019", "2021-03-31", None),
        ("x before:2022 before:2021-03 before:2023", None, "2021-03-01"),
    ],
)
def test_dates_lie_strictly_after_the_end_and_before_the_beginning(
    question: str, after: str | None, before: str | None
) -> None:
    assert parse(question) == asked("x", (), (), after, before)


@pytest.mark.parametrize(
    "question",
    [
        "What happened before: the war",
        "before:",
        "after:\u3000x",
        "what came before:?",
        "thebefore:2022",
        "day_after:2022",
        "after 2022",
    ],
)
def test_before_and_after_without_a_date_behind_them_or_within_a_word_are_text(question: str) -> None:
    assert parse(question) == asked(question)


@pytest.mark.parametrize(
    "operator",
    [
        "before:christmas",
        "after:2022-13-40",
        "after:2022-00",
        "after:2023-02-29",
        "after:0000",
        "after:22",
        "after:2022-5",
        "after:2022/05-01",
        "after:2022-05-01T10:00",
        "after:(2022)",
        'after:"2022"',
        "after:\ud800",
        "AFTER:x",
        "after:٢٠٢٢",
    ],
)
def test_what_is_no_date_is_refused_with_what_to_write(operator: str) -> None:
    kind = operator.partition(":")[0].lower()
    with pytest.raises(QuestionError, match=f"names no date; write {kind}:2022, {kind}:2022-05 or {kind}:2022-05-01") as raised:
        parse(f"who met {operator}")
    assert str(raised.value).encode()  # the message is text, whatever was typed


def test_operators_are_read_once_each() -> None:
    assert parse('"-iraq before:2022" x') == asked("-iraq before:2022 x", ("-iraq before:2022",))
    assert parse('x -"after:2022 -iran"') == asked("x", (), ("after:2022 -iran",))


@pytest.mark.parametrize(
    "question", ["-iraq", "-iraq.", '-"bin Laden"', "after:2022", "-iraq ? before:2022", '"" -iraq', "- -iraq"]
)
def test_a_question_of_nothing_but_exclusions_and_dates_is_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="only exclusions and dates; ask something too"):
        parse(question)


@pytest.mark.parametrize("question", ["", " \n\u2003", '""', '-""', "「 」"])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="the question is empty; ask something, such as: who spoke at the meeting"):
        parse(question)


def test_the_most_phrases_and_exclusions_are_taken_and_one_more_is_refused() -> None:
    phrases, excluded = '"a b" ' * MAX_PHRASES, " -b" * MAX_EXCLUDED
    longest = "a" * MAX_PHRASE_CHARS
    assert parse(f"{phrases}{excluded}")[1:3] == (("a b",) * MAX_PHRASES, ("b",) * MAX_EXCLUDED)
    assert parse(f'x "{longest}" -{longest}')[1:3] == ((longest,), (longest,))
    for question, message in (
        (f'{phrases} "c"', "17 quoted phrases or words; it can have up to 16"),
        (f"x {excluded} -c", "65 excluded phrases or words; it can have up to 64"),
        (f'x "{longest}a"', "quoted phrase that begins with 'a{20}' has 301 characters; it can have up to 300"),
        (f"x -{longest}a", "excluded phrase that begins with 'a{20}' has 301 characters; it can have up to 300"),
        ("x" + ' ""' * (MAX_OPERATORS + 1), "more than 1000 quotes, exclusions and dates"),
    ):
        with pytest.raises(QuestionError, match=message):
            parse(question)


@given(anything)
@example('5"')
@example("-")
@example("after:")
@example('-"\ud800"\x00')
def test_whatever_is_typed_is_read_or_refused(question: str) -> None:
    read = read_or_refused(question)
    if isinstance(read, str):
        assert read.encode()
    else:
        assert read.text.strip()
        assert all(occurs(phrase, read.text) for phrase in read.phrases)


@given(st.text(st.characters(exclude_characters=OPERATORS), min_size=1).filter(str.strip))
def test_a_question_without_operators_is_asked_as_typed(question: str) -> None:
    assert parse(question) == asked(question)


@pytest.mark.parametrize(
    "unit",
    [
        '"',
        "„",
        "「",
        "「『",
        "-「",
        '1"',
        '1" ',
        "-",
        "-a",
        " -a",
        '-"',
        '"" ',
        "before:",
        "before:.",
        " after:2022",
        "-a.",
        " ",
        "\ud800",
    ],
)
def test_a_megabyte_is_read_in_linear_time(unit: str) -> None:
    question = "x" + unit * (1_000_000 // len(unit))
    began = time.perf_counter()
    read_or_refused(question)
    # One or two seconds at most, on a machine that others use too; quadratic time is minutes.
    assert time.perf_counter() - began < 15


@pytest.mark.parametrize("word", ["-a" + "." * 1_000_000 + "b", "before:" + "." * 1_000_000, "x -a" + "." * 1_000_000 + " y"])
def test_a_megabyte_of_punctuation_is_read_in_linear_time(word: str) -> None:
    began = time.perf_counter()
    read_or_refused(word)
    assert time.perf_counter() - began < 15


@pytest.mark.parametrize(
    ("phrase", "text", "places"),
    [
        ("we agree", "We  AGREE; we\nagree.", ["We  AGREE", "we\nagree"]),
        (" we agree ", "we agree", ["we agree"]),
        ("don't -x", "don’t –x, donʼt —x", ["don’t –x", "donʼt —x"]),
        ('the "list"', "the “list” the «list»", ["the “list”", "the «list»"]),
        ("al-Qaeda", "al‑Qaeda", ["al‑Qaeda"]),
        ("U.S", "U.S. Army", ["U.S"]),
        ("strasse", "die STRAẞE, Straße", ["STRAẞE", "Straße"]),
        ("Office", "the oﬃce", ["oﬃce"]),
        ("İstanbul", "istanbul İSTANBUL İstanbul", ["istanbul", "İSTANBUL", "İstanbul"]),
        ("istanbul", "ßß İstanbul, I\u0307stanbul!", ["İstanbul", "I\u0307stanbul"]),
        ("ΣΟΦΌΣ", "ο σοφός", ["σοφός"]),
        ("café", "CAFE\u0301", ["CAFE\u0301"]),
        ("that that", "that that that", ["that that", "that that"]),
        ("a.c", "abc a.c", ["a.c"]),
        ("\ud800", "a \ud800", ["\ud800"]),
    ],
)
def test_case_white_space_typography_and_composition_do_not_matter(phrase: str, text: str, places: list[str]) -> None:
    assert [text[start:end] for start, end in occurs(phrase, text)] == places


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("art", "party artful smart art_1"),
        ("cafe", "café cafe\u0301"),
        ("s", "ß"),
        ("f", "ﬁ"),
        ("가", "각 \u1100\u1161\u11a8"),
        ("か", "が か\u3099"),
        ("202", "2022"),
        ("we agree", "weagree we, agree"),
        ("", "a"),
        (" \n", "a b"),
        ("a", ""),
    ],
)
def test_part_of_a_word_or_of_a_letter_is_no_place(phrase: str, text: str) -> None:
    assert occurs(phrase, text) == []


@pytest.mark.parametrize(
    ("phrase", "text", "places"),
    [
        ("会议", "国会议事堂", [(1, 3)]),
        ("2022", "在2022年", [(1, 5)]),
        ("ケーキ", "チーズケーキを", [(3, 6)]),
        ("コーヒー", "コーヒーABC", [(0, 4)]),
        ("ประชุม", "การประชุมครั้ง", [(3, 9)]),
        ("서울", "서울에서", [(0, 2)]),
        ("哈哈", "哈哈哈", [(0, 2), (1, 3)]),
    ],
)
def test_scripts_without_spaces_have_no_borders(phrase: str, text: str, places: list[tuple[int, int]]) -> None:
    assert occurs(phrase, text) == places


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8), st.data())
def test_a_phrase_quoted_from_a_text_occurs_there(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    before, phrase = " ".join([*words[:first], ""]), " ".join(words[first:last])
    text = before + phrase + " ".join(["", *words[last:]])
    if phrase.strip():
        start = len(before) + len(phrase) - len(phrase.lstrip())
        assert (start, start + len(phrase.strip())) in occurs(phrase, text)


@given(letters, letters)
@example("İ", "xİ İ")
@example("s", "ß s")
@example("i\u0307\u0307", "I\u0307\u0307")
def test_the_places_are_those_that_comparing_every_slice_finds(phrase: str, text: str) -> None:
    slices = [(start, end) for start in range(len(text)) for end in range(start + 1, len(text) + 1)]
    expected = [(start, end) for start, end in slices if _is_place(phrase, text, start, end)]
    assert occurs(phrase, text) == expected


def _is_place(phrase: str, text: str, start: int, end: int) -> bool:
    found = text[start:end]
    bordered = not any(_one_word(text[at - 1], text[at]) for at in (start, end) if 0 < at < len(text))
    return found == found.strip() != "" and bordered and _folded(found) == _folded(phrase)


def _folded(text: str) -> str:
    plain = text.casefold().translate(str.maketrans("’–“", "'-\""))
    return " ".join(unicodedata.normalize("NFD", plain).replace("i\u0307", "i").split())


def _one_word(left: str, right: str) -> bool:
    word = [char.isalnum() or char in "_\u0301\u0307" for char in (left, right)]
    return all(word) and (right in "\u0301\u0307" or not {left, right} & set("会가각ก"))
