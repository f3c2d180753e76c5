"""A document's canonical text to passages: paragraphs with exact offsets, none longer than the model reads.

Invariants: ``text[start:end]`` is the passage, for the whole life of the text; every non-space character of the text is
inside a passage or inside a label (a heading, speaker line or other one-line label) that travels with one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from indexer.documents import Heading
from indexer.sentences import Span, sentences, strip

# Part of the model contract: raise it when the same text would be split otherwise.
SPLITTER_VERSION = 1
# At most this share of what the model reads goes to title and headings, the rest is the passage's own.
CONTEXT_SHARE = 1 / 3

LABEL_CHARS = 80  # a longer line is a paragraph, whatever it ends with
LABEL_RUN = 3  # more one-liners in a row are a list, and a list is a passage
WRAP_CHARS = 120  # no text is hard-wrapped wider than this
PASSAGE_CHARS = 4000  # a bound for text that has hardly any tokens (one word of a megabyte is a single unknown token)

Tokenize = Callable[[str], Sequence[tuple[int, int]]]

_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SENTENCE_END = re.compile(r"[.!?…。！？؟۔।॥։።;][\"'”’»›)\]」』]*$")
_WORD = re.compile(r"\w")


class Passage(NamedTuple):
    """Characters ``start`` to ``end`` of the canonical text, and the labels that travel with it, in reading order."""

    start: int
    end: int
    labels: tuple[Span, ...] = ()

    def heading(self, text: str) -> str:
        """The labels in words, outermost first; "" if there are none (a rule such as ``* * *`` says nothing)."""
        lines = (label.of(text).strip("#").strip() for label in self.labels)  # Markdown's marks are part of the line
        return " › ".join(line for line in lines if _WORD.search(line))


class _Block(NamedTuple):
    span: Span
    level: int  # 1 to 6 for a heading that the reader found, 0 else


def split(text: str, headings: Sequence[Heading], tokenize: Tokenize, limit: int) -> list[Passage]:
    """Passages of ``text`` in reading order. ``limit`` is what the model reads of context and passage together, in tokens.

    A document with any non-space character has at least one passage.
    """
    room = limit - int(limit * CONTEXT_SHARE)
    passages: list[Passage] = []
    path: list[_Block] = []  # the headings of the sections that the current paragraph is in
    labels: list[Span] = []  # labels since the last paragraph
    for block in _blocks(text, headings):
        if block.level or _is_label(text, block.span):
            labels.append(block.span)
            if block.level:
                path = [*(outer for outer in path if outer.level < block.level), block]
            continue
        keep, listed = _settle(text, labels, {outer.span for outer in path}, tokenize, limit - room)
        for span in listed:
            passages += _pieces(text, span, tokenize, room, ())
        travelling = tuple(sorted({*keep, *(outer.span for outer in path)}))
        passages += _pieces(text, block.span, tokenize, room, travelling)
        labels = []
    return _close(text, passages, labels, tokenize, room)


def _close(text: str, passages: list[Passage], labels: list[Span], tokenize: Tokenize, room: int) -> list[Passage]:
    """Labels at the end introduce nothing: they are a passage of their own, or, without a word in them, go with the last."""
    if not labels:
        return passages
    if passages and not any(_WORD.search(span.of(text)) for span in labels):
        last = passages[-1]
        return [*passages[:-1], last._replace(labels=(*last.labels, *labels))]
    return passages + _pieces(text, Span(labels[0].start, labels[-1].end), tokenize, room, ())


def _settle(
    text: str, labels: Sequence[Span], sections: set[Span], tokenize: Tokenize, room: int
) -> tuple[list[Span], list[Span]]:
    """Labels that travel with the next paragraph, and runs of them that are passages (lists) of their own."""
    first = len(labels)
    while first and labels[first - 1] in sections:  # section headings right above the paragraph belong to it
        first -= 1
    run = labels[:first]
    tokens = sum(len(tokenize(span.of(text))) for span in labels)
    if len(run) <= LABEL_RUN and tokens <= room:
        return list(labels), []
    return list(labels[first:]), [Span(run[0].start, run[-1].end)] if run else []


def _is_label(text: str, span: Span) -> bool:
    line = span.of(text)
    return len(line) <= LABEL_CHARS and not _BREAK.search(line) and not _SENTENCE_END.search(line)


def _blocks(text: str, headings: Sequence[Heading]) -> Iterator[_Block]:
    """Paragraphs, labels and headings in reading order."""
    at = {heading.start: heading for heading in headings}
    width = _wrap_width(text)
    for lines in _line_groups(text):
        group: list[Span] = []
        for line in lines:
            heading = next((at[i] for i in range(line.start, line.end) if i in at), None) if at else None
            if heading is None or line.end - line.start > 2 * LABEL_CHARS:
                group.append(line)
                continue
            yield from (_Block(span, 0) for span in _paragraphs(text, group, width))
            group = []
            yield _Block(line, heading.level)
        yield from (_Block(span, 0) for span in _paragraphs(text, group, width))


def _line_groups(text: str) -> Iterator[list[Span]]:
    """Runs of lines without a blank line between them; each line without the white space around it."""
    group: list[Span] = []
    for match in _LINE.finditer(text):
        line = strip(text, match.start(), match.end())
        if line is None:
            continue
        if group and len(_BREAK.findall(text, group[-1].end, line.start)) > 1:
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _paragraphs(text: str, lines: Sequence[Span], width: int) -> Iterator[Span]:
    """A hard-wrapped group is one paragraph; else every line is, but for neighbouring short lines (verse, lists)."""
    if not lines:
        return
    if len(lines) > 1 and all(_forced(text, line, after, width) for line, after in pairwise(lines)):
        yield Span(lines[0].start, lines[-1].end)
        return
    run: list[Span] = []
    for line in lines:
        if run and (_is_long(line) or _is_long(run[-1])):
            yield Span(run[0].start, run[-1].end)
            run = []
        run.append(line)
    yield Span(run[0].start, run[-1].end)


def _is_long(line: Span) -> bool:
    return line.end - line.start > LABEL_CHARS


def _wrap_width(text: str) -> int:
    """The column at which the text was wrapped, in characters; 0 if its longest lines are no hard-wrapped text's."""
    lengths = sorted(line.end - line.start for group in _line_groups(text) for line in group)
    if not lengths:
        return 0
    width = lengths[int(0.98 * (len(lengths) - 1))]  # a long address or a table row does not unwrap the rest
    return width if 40 <= width <= WRAP_CHARS else 0


def _forced(text: str, line: Span, after: Span, width: int) -> bool:
    """Whether the next line's first word would not have fitted on this line."""
    word = after.of(text).split(maxsplit=1)[0]
    return width > 0 and line.end - line.start + 1 + len(word) > width


def _pieces(text: str, span: Span, tokenize: Tokenize, room: int, labels: tuple[Span, ...]) -> list[Passage]:
    """The span whole if it fits in ``room`` tokens, else even pieces cut at sentence borders."""
    return [Passage(piece.start, piece.end, labels) for piece in _cut(text, span, tokenize, room)]


def _cut(text: str, span: Span, tokenize: Tokenize, room: int) -> list[Span]:
    tokens = len(tokenize(span.of(text)))
    if tokens <= room and span.end - span.start <= PASSAGE_CHARS:
        return [span]
    parts = max(2, -(-tokens // room), -(-(span.end - span.start) // PASSAGE_CHARS))
    # Aim for even pieces: a last piece of one clause would be found by nothing.
    middle = span.start + (span.end - span.start) * (parts // 2) // parts
    border = _border(text, span, middle, tokenize)
    halves = (strip(text, span.start, border), strip(text, border, span.end))
    return [piece for half in halves if half for piece in _cut(text, half, tokenize, room)]


def _border(text: str, span: Span, middle: int, tokenize: Tokenize) -> int:
    """Where to cut near ``middle``: between sentences, else at a clause, a space, a token, anywhere."""
    reach = (span.end - span.start) / 4  # a border outside the middle half makes a sliver
    ends = [sentence.end for sentence in sentences(text, span.start, span.end)][:-1]
    clauses = (match.end() for match in re.finditer(r"[,;:，；：、—–]\s*", span.of(text)))
    spaces = (match.end() for match in re.finditer(r"\s+", span.of(text)))
    tokens = (start for start, _ in tokenize(span.of(text)))
    for candidates in (ends, (span.start + i for i in clauses), (span.start + i for i in spaces)):
        near = min(candidates, key=lambda at: abs(at - middle), default=None)
        if near is not None and abs(near - middle) <= reach:
            return near
    inner = (span.start + i for i in tokens if i > 0)
    near = min(inner, key=lambda at: abs(at - middle), default=None)
    return near if near is not None and abs(near - middle) <= reach else middle
