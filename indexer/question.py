"""What a person typed -> what is asked: the text to search for, quoted phrases, excluded words, and dates.

What does not read as an operator (an unclosed quote, an inch mark, a hyphen, a number below zero) is text, as typed. The words
of a phrase are text too, in their place; an excluded word and a date are taken out with the punctuation directly behind them.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import Literal, NamedTuple

import regex

from indexer.errors import PassagesError

MAX_PHRASES = 16
MAX_EXCLUDED = 64
MAX_PHRASE_CHARS = 300
MAX_OPERATORS = 1000  # with empty phrases and repeated dates, which nobody means: reading stops here

# Each closes any other, because keyboards, editors and languages mix them: „Berlin“ »Berlin« "Berlin” ”Berlin”.
_QUOTES = '"“”„‟«»＂'
# These come in pairs only, so that one kind may stand within the other, or within plain quotes.
_CORNERS = {"「": "」", "『": "』"}
_OPENING = _QUOTES + "".join(_CORNERS)
_CLOSING = regex.compile(f"[{_QUOTES}]")
_INCH = '"”＂'
# Where a word ends without white space: unspaced scripts write none behind their punctuation, nobody does around a long dash.
_BREAKS = rf"\s{_OPENING}」』—，。、；：！？（）"

_OPERATOR = regex.compile(
    rf"(?<!\S)(?P<minus>[-−–])(?=[\p{{L}}{_OPENING}])"
    rf"|(?<!\w)(?P<date>(?i:before|after)):(?=\S)"
    rf"|(?P<quote>[{_OPENING}])"
)
# The punctuation at a word's end is not the word's, but C# and 50% are written with theirs.
_WORD = regex.compile(rf"[^{_BREAKS}]*(?:[^{_BREAKS}\p{{P}}]|[#%])")
_PUNCTUATION = regex.compile(rf"[\p{{P}}--[\p{{Ps}}{_OPENING}]]*+", regex.V1)
# Many put their sentence's punctuation inside the quotes: called "the Methodists?" asks for the words alone.
_SENTENCE_MARKS = " \t\n.,;:!?…。，、；：！？؟،"
_SPACES = regex.compile(r"\s*+")
_CONTENT = regex.compile(r"[^\p{P}\s\p{Cc}\p{Cf}]")
_DATE = regex.compile(r"([0-9]{4})(?:([-/])([0-9]{2})(?:\2([0-9]{2}))?)?")

# Scripts that write no space between words, or glue particles to them: a word there may begin and end anywhere.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ーｰ]"
# A mark, or the rest of a Hangul syllable that is spelled out, makes another letter of the one before it in any script.
_ONE_WORD = regex.compile(rf"[\w--{_UNSPACED}]{{2}}|\w[\p{{M}}\u1160-\u11ff]", regex.V1)

_VARIANTS = {ord(char): "-" for char in "‐‑‒–—―−⁃־﹘﹣－"}
_VARIANTS |= {ord(char): "'" for char in "‘’‚‛‹›′‵ʹʻʼ`´＇"}
_VARIANTS |= {ord(char): '"' for char in "“”„‟«»＂″‶〝〞〟「」『』"}


class QuestionError(PassagesError):
    """The question cannot be asked like this."""


class Asked(NamedTuple):
    """A question, read.

    ``text`` is what is encoded and what the words are taken from: the question without its operators, the words of phrases
    included. Each of ``phrases`` must occur in the sense of :func:`occurs`, none of ``excluded`` may. A document's date must
    be greater than ``after`` and less than ``before``, both YYYY-MM-DD.
    """

    text: str
    phrases: tuple[str, ...]
    excluded: tuple[str, ...]
    after: str | None
    before: str | None


class _Part(NamedTuple):
    """An operator: characters ``start`` to ``end`` of the question; ``value`` is a phrase, or a date YYYY-MM-DD."""

    kind: Literal["phrase", "excluded", "after", "before"]
    start: int
    end: int
    value: str


def parse(question: str) -> Asked:
    """Read a question, in time linear in its length.

    ``"a phrase"`` must occur, ``-word`` and ``-"a phrase"`` must not; ``after:2022``, ``before:2022-05`` and
    ``before:2022-05-01`` bound the document's date: after its end, before its beginning. Of several dates the tightest holds.
    Raises :class:`QuestionError`, whose message says what to write instead.
    """
    if not question.strip():
        raise _empty()
    parts = list(islice(_parts(question), MAX_OPERATORS + 1))
    if len(parts) > MAX_OPERATORS:
        raise QuestionError(f"the question has more than {MAX_OPERATORS} quotes, exclusions and dates; ask it with a few")
    asked = Asked(
        text=_without(question, [span for part in parts for span in _removed(part)]),
        phrases=_contents(parts, "phrase"),
        excluded=_contents(parts, "excluded"),
        after=max((part.value for part in parts if part.kind == "after"), default=None),
        before=min((part.value for part in parts if part.kind == "before"), default=None),
    )
    _check(asked)
    return asked


def occurs(phrase: str, text: str) -> list[tuple[int, int]]:
    """Every place where the phrase stands verbatim in the text: start and end (exclusive) in characters of ``text``, in order.

    Letter case, the length of white space, typographic variants of quotes, apostrophes and dashes, and whether accents are
    composed do not matter. Words do: "art" is not in "party"; scripts without spaces between words have no such borders.
    Places may overlap ("that that" in "that that that"). A phrase of white space alone is nowhere.
    """
    if not phrase.strip():
        return []
    pattern = _pattern(phrase)
    folded, starts = _folded(text)
    places = []
    match = pattern.search(folded)
    while match:
        start, end = (_unfolded(at, starts) for at in match.span())
        if start is not None and end is not None and not _splits_a_word(text, start, end):
            places.append((start, end))
        match = pattern.search(folded, match.start() + 1)
    return places


def _parts(question: str) -> Iterator[_Part]:
    # Once for the whole question: looking for its end from each of a million unclosed marks would take minutes.
    last = {opening: question.rfind(closing) for opening, closing in _CORNERS.items()}
    at = 0
    while operator := _OPERATOR.search(question, at):
        if operator["date"]:
            part = _dated(question, operator.start(), operator.end())
        elif operator["quote"] or question[operator.end()] in _OPENING:
            part = _quoted(question, operator.start(), last)
        else:
            part = _excluded_word(question, operator.start())
        if part:
            yield part
        at = part.end if part else operator.end()


def _quoted(question: str, start: int, last: dict[str, int]) -> _Part | None:
    """The phrase, or excluded phrase, that begins at ``start``; None if its quote is only text."""
    excluded = question[start] not in _OPENING
    opening = start + excluded
    closing = _closing(question, opening, last)
    if closing is None:
        return None
    phrase = question[opening + 1 : closing].rstrip(_SENTENCE_MARKS).strip()
    if excluded:
        return _Part("excluded", start, _past_punctuation(question, closing + 1), phrase)
    return _Part("phrase", start, closing + 1, phrase)


def _closing(question: str, opening: int, last: dict[str, int]) -> int | None:
    """Where the mark stands that closes the one at ``opening``; None if that one is text."""
    if corner := _CORNERS.get(question[opening]):
        return question.find(corner, opening) if last[question[opening]] > opening else None
    closing = _CLOSING.search(question, opening + 1)
    if closing is None or _is_inch(question, opening, closing.start()):
        return None
    return closing.start()


def _is_inch(question: str, opening: int, closing: int) -> bool:
    """Whether a mark behind a digit is a unit. What it would enclose then does not look quoted: 5" pipe and 6" pipe, 3"x5"."""
    if question[opening] not in _INCH or not question[max(opening - 1, 0)].isdecimal():
        return False
    first, last = question[opening + 1], question[closing - 1]
    return first.isspace() or last.isspace() or last.isdecimal()


def _excluded_word(question: str, start: int) -> _Part | None:
    word = _WORD.match(question, start + 1)
    return word and _Part("excluded", start, _past_punctuation(question, word.end()), word[0])


def _dated(question: str, start: int, colon: int) -> _Part | None:
    """The date that is named behind the colon; None if nothing but punctuation is."""
    word = _WORD.match(question, colon)
    if word is None and question[colon] not in _OPENING:
        return None
    named = word[0] if word else ""
    days = _days(named)
    kind: Literal["after", "before"] = "before" if question[start] in "bB" else "after"
    if days is None:
        raise QuestionError(
            f"{(question[start:colon] + named)[:40]!r} names no date; write {kind}:2022, {kind}:2022-05 or {kind}:2022-05-01, "
            "or leave a space behind the colon where it is part of the question"
        )
    end = _past_punctuation(question, colon + len(named))
    return _Part(kind, start, end, days[0] if kind == "before" else days[1])


def _days(named: str) -> tuple[str, str] | None:
    """The first and the last day, YYYY-MM-DD, of a year, a month or a day; None if it is none."""
    match = _DATE.fullmatch(named)
    if match is None:
        return None
    year, month, day = match.group(1, 3, 4)
    try:
        first = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    until = int(month or 12)
    last = date(first.year, until, int(day or monthrange(first.year, until)[1]))
    return first.isoformat(), last.isoformat()


def _past_punctuation(question: str, at: int) -> int:
    match = _PUNCTUATION.match(question, at)
    return match.end() if match else at


def _removed(part: _Part) -> list[tuple[int, int]]:
    """What of an operator is not text: of a phrase the quotes, of the others all."""
    if part.kind == "phrase":
        return [(part.start, part.start + 1), (part.end - 1, part.end)]
    return [(part.start, part.end)]


def _without(question: str, removed: list[tuple[int, int]]) -> str:
    """The question without these parts. The white space around one becomes a single space, or none at either end."""
    kept, at = [], 0
    for start, end in _with_spaces(question, removed):
        kept += [question[at:start], _gap(question, start, end)]
        at = end
    return "".join(kept) + question[at:]


def _with_spaces(question: str, removed: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts with the white space around them; parts that touch then are one."""
    regions: list[tuple[int, int]] = []
    at = 0
    for part_start, part_end in removed:
        start = at + len(question[at:part_start].rstrip())
        spaces = _SPACES.match(question, part_end)
        at = spaces.end() if spaces else part_end
        regions.append((regions.pop()[0] if regions and regions[-1][1] == start else start, at))
    return regions


def _gap(question: str, start: int, end: int) -> str:
    """What stands for a removed region: a space if it held one, or to keep two words from becoming one."""
    if start == 0 or end == len(question):
        return ""
    spaced = any(char.isspace() for char in question[start:end]) or _ONE_WORD.fullmatch(question[start - 1] + question[end])
    return " " if spaced else ""


def _contents(parts: list[_Part], kind: str) -> tuple[str, ...]:
    return tuple(part.value for part in parts if part.kind == kind and _CONTENT.search(part.value))


def _check(asked: Asked) -> None:
    for name, values, most in (("quoted", asked.phrases, MAX_PHRASES), ("excluded", asked.excluded, MAX_EXCLUDED)):
        if len(values) > most:
            raise QuestionError(f"the question has {len(values)} {name} phrases or words; it can have up to {most}")
        for value in values:
            if len(value) > MAX_PHRASE_CHARS:
                raise QuestionError(
                    f"the {name} phrase that begins with {value[:20]!r} has {len(value)} characters; "
                    f"it can have up to {MAX_PHRASE_CHARS}, of which a few words are mostly enough"
                )
    if (asked.excluded or asked.after or asked.before) and not _CONTENT.search(asked.text):
        raise QuestionError(
            "the question has only exclusions and dates; ask something too, such as: who met whom after:2022 -iraq"
        )
    if not asked.text.strip():
        raise _empty()


def _empty() -> QuestionError:
    return QuestionError("the question is empty; ask something, such as: who spoke at the meeting?")


@cache  # at most as many as there are characters
def _folded_char(char: str) -> str:
    """What a character is compared as: one or more characters. Folding a text is folding each of its characters."""
    if char.isspace():
        return " "
    return unicodedata.normalize("NFD", char.casefold()).translate(_VARIANTS)


@lru_cache(maxsize=4)  # a question's phrases are looked for in the same text one after another
def _folded(text: str) -> tuple[str, list[int] | None]:
    """The folded text, and where in it each character of ``text`` starts, and the end; None if all keep their places."""
    chars = [_folded_char(char) for char in text]
    folded = "".join(chars)
    return folded, None if len(folded) == len(text) else list(accumulate(map(len, chars), initial=0))


def _unfolded(at: int, starts: list[int] | None) -> int | None:
    """The character of the raw text that starts at ``at`` of the folded one; None within what one character became."""
    if starts is None:
        return at
    char = bisect_left(starts, at)
    return char if starts[char] == at else None


@lru_cache(maxsize=256)
def _pattern(phrase: str) -> regex.Pattern[str]:
    """Matches the phrase in a folded text. The dot of a capital İ is no difference: its small letter is i."""
    words = _folded(phrase)[0].replace("i\u0307", "i").split()
    return regex.compile(" ++".join(regex.escape(word).replace("i", "i\u0307?+") for word in words))


def _splits_a_word(text: str, start: int, end: int) -> bool:
    return any(_ONE_WORD.fullmatch(text[at - 1] + text[at]) for at in (start, end) if 0 < at < len(text))
