"""Where sentences end, as character offsets. Every non-space character is inside exactly one sentence."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Characters ``start`` to ``end`` (exclusive) of a text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The slice of ``text``."""
        return text[self.start : self.end]


# Scripts that write no space between sentences end one at the mark itself; the others need white space behind it.
_END = re.compile(
    r"[。！？｡]+[」』”’）)]*|(?<![.!?…؟۔।॥։።])[.!?…؟۔।॥։።]++[\"'”’»›)\]]*+(?=\s|$)|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+"
)
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_LAST_WORD = re.compile(r"[\w.]+$")
_NEXT_WORD = re.compile(r"[\"'“‘«(\[]*(\w+)")
_ACRONYM = re.compile(r"(?:\w\.)+\w?")
_ABBREVIATIONS = frozenset(
    "adm al approx art brig ca capt cf ch cmdr co col corp cpl dept dr ed eds eq esq est etc fig figs gen gov hon inc jr lt "
    "ltd maj messrs mr mrs ms mt no nos op pp pres prof rep rev sec sen sgt sr st supt vol vs i.e e.g "
    "bzw ca dgl evtl ggf nr sog str usw vgl z.b d.h u.a o.ä sra srta avda núm pág".split()
)
# After an acronym with dots ("U.S. Army", "the U.S. The talks") only a word like these begins a sentence.
_OPENERS = frozenset(
    "the a an in on at it he she they we you i this that these those there but and for as if when while after before "
    "our his her their its however both".split()
)

_LOOK_AHEAD = 64  # characters behind a mark that decide whether a sentence ends there
_SHORT_LINE = 100  # characters; a longer line was not hard-wrapped


def sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Sentences of ``text[start:end]`` in order, without the white space around them; offsets are those of ``text``."""
    end = len(text) if end is None else end
    found: list[Span] = []
    begin = start
    for at in ends(text, start, end):
        _append(found, text, begin, at)
        begin = at
    _append(found, text, begin, end)
    return found


def ends(text: str, start: int, end: int) -> Iterator[int]:
    """Where sentences of ``text[start:end]`` end, but for the last one, each right behind its mark."""
    begin = start
    for mark in _END.finditer(text, start, end):
        if _ends(text, mark, begin, end):
            begin = mark.end()
            yield begin


def ends_within(text: str, known: Sequence[int], start: int, end: int) -> Sequence[int]:
    """What :func:`ends` yields, given the ``known`` ones of a span that holds this one: only its edges are read again.

    Behind an end that both have, all that follows is the same, up to where the sentences of the shorter span see its end.
    """
    head: list[int] = []
    last = bisect_right(known, end - _LOOK_AHEAD - 1) - 1
    for at in ends(text, start, end):
        head.append(at)
        same = bisect_left(known, at)
        if same < last and known[same] == at:
            return [*head, *known[same + 1 : last + 1], *ends(text, known[last], end)]
    return head


def strip(text: str, start: int, end: int) -> Span | None:
    """The span without white space at its ends; None if nothing else is in it."""
    part = text[start:end]
    body = part.strip()
    if not body:
        return None
    lead = len(part) - len(part.lstrip())
    return Span(start + lead, start + lead + len(body))


def _append(found: list[Span], text: str, start: int, end: int) -> None:
    if span := strip(text, start, end):
        found.append(span)


def _ends(text: str, mark: re.Match[str], begin: int, end: int) -> bool:
    if mark[0][0] in _LINE_BREAKS:
        return _line_break_ends(text, mark, begin, end)
    if mark[0] != ".":
        return not mark[0].startswith("…") and not _continues(text, mark.end(), end)
    last = _LAST_WORD.search(text, max(begin, mark.start() - 24), mark.start())
    word = last[0].lower() if last else ""
    following = _NEXT_WORD.search(text[mark.end() : min(end, mark.end() + _LOOK_AHEAD)].lstrip())
    # "J. Blinken" and "No. 7": an initial or an abbreviation, not an end.
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return following is None
    if _ACRONYM.fullmatch(word + ".") and "." in word:
        return following is None or following[1].lower() in _OPENERS
    return not _continues(text, mark.end(), end)


def _line_break_ends(text: str, mark: re.Match[str], begin: int, end: int) -> bool:
    """A blank line ends a sentence; a single break does unless the text runs on over it, as in hard-wrapped text."""
    if len(mark[0].replace("\r\n", "\n")) > 1:
        return True
    begin = max(begin, mark.start() - _SHORT_LINE - 1)  # far enough to see that a line is long
    line_start = max(text.rfind(char, begin, mark.start()) for char in "\n\r") + 1
    return mark.start() - max(line_start, begin) > _SHORT_LINE or not _continues(text, mark.end(), end)


def _continues(text: str, at: int, end: int) -> bool:
    """Whether what follows begins in lower case, as a sentence that runs on does."""
    following = text[at : min(end, at + _LOOK_AHEAD)].lstrip()[:1]
    return following.islower()
