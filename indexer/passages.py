"""A document's canonical text to passages: paragraphs with exact offsets, none longer than the model reads.

Invariants: ``text[start:end]`` is the passage, for the whole life of the text; every non-space character of the text is
inside a passage or inside a label (a heading, speaker line or other one-line label) that travels with one.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from indexer.documents import Heading
from indexer.sentences import Span, ends, ends_within, strip

# Part of the model contract: raise it when the same text would be split otherwise.
SPLITTER_VERSION = 1
# At most this share of what the model reads goes to title and headings, the rest is the passage's own.
CONTEXT_SHARE = 1 / 3

# Tokens that a tokenizer may spend on joining title, headings and passage: line breaks, and the signs between headings.
CONTEXT_MARGIN = 8

LABEL_CHARS = 80  # a longer line is a paragraph, whatever it ends with
LABEL_RUN = 3  # more one-liners in a row are a list, and a list is a passage
WRAP_CHARS = 160  # no text is hard-wrapped wider than this
BLOCK_CHARS = 50_000  # are tokenised at once: tokens as Python objects take twenty times the memory of their text
PASSAGE_CHARS = 4000  # a bound for text that has hardly any tokens (one word of a megabyte is a single unknown token)

Tokenize = Callable[[str], Sequence[tuple[int, int]]]

_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SENTENCE_END = re.compile(r"[.!?…。！？؟۔।॥։።;][\"'”’»›)\]」』]*$")
_WORD = re.compile(r"\w")
_CLAUSE = re.compile(r"[,;:，；：、—–]\s*")
_SPACES = re.compile(r"\s+")


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


def split(text: str, headings: Sequence[Heading], tokenize: Tokenize, limit: int, title: str = "") -> list[Passage]:
    """Passages of ``text`` in reading order. ``limit`` is what the model reads of context and passage together, in tokens.

    A paragraph is cut only if it does not fit beside its own context, of which ``title`` is the first line.
    A document with any non-space character has at least one passage.
    """
    splitter = _Splitter(text, tokenize, limit, len(tokenize(title)))
    for block in _blocks(text, headings):
        splitter.add(block)
    return splitter.finish()


class _Splitter:
    """Collects labels until the paragraph that they introduce."""

    def __init__(self, text: str, tokenize: Tokenize, limit: int, title_tokens: int) -> None:
        self._text, self._tokenize, self._limit, self._title_tokens = text, tokenize, limit, title_tokens
        self._context_limit = int(limit * CONTEXT_SHARE)
        self._passages: list[Passage] = []
        self._path: list[_Block] = []  # the headings of the sections that the current paragraph is in
        self._labels: list[Span] = []  # labels since the last paragraph

    def add(self, block: _Block) -> None:
        """The next paragraph, label or heading."""
        if block.level and self._tokens(block.span) > self._context_limit // LABEL_RUN:
            block = block._replace(level=0)  # too long to travel whole, so it is a paragraph
        elif block.level or _is_label(self._text, block.span):
            self._labels.append(block.span)
            if block.level:
                self._path = [*(outer for outer in self._path if outer.level < block.level), block]
            return
        sections = {outer.span for outer in self._path}
        travelling, listed = self._settle(sections)
        if listed:
            self._cut(listed, ())
        self._cut(block.span, tuple(sorted({*travelling, *sections})))
        self._labels = []

    def finish(self) -> list[Passage]:
        """Labels at the end introduce nothing: a passage of their own, or, without a word in them, they go with the last."""
        labels, passages = self._labels, self._passages
        if passages and labels and not any(_WORD.search(span.of(self._text)) for span in labels):
            passages[-1] = passages[-1]._replace(labels=(*passages[-1].labels, *labels))
        elif labels:
            self._cut(Span(labels[0].start, labels[-1].end), ())
        return passages

    def _settle(self, sections: set[Span]) -> tuple[list[Span], Span | None]:
        """Labels that travel with the next paragraph, and a run of them that is a passage (a list) of its own."""
        first = len(self._labels)
        while first and self._labels[first - 1] in sections:  # section headings right above the paragraph belong to it
            first -= 1
        run = self._labels[:first]
        if len(run) <= LABEL_RUN and sum(map(self._tokens, self._labels)) <= self._context_limit:
            return self._labels, None
        return self._labels[first:], Span(run[0].start, run[-1].end) if run else None

    def _cut(self, span: Span, labels: tuple[Span, ...]) -> None:
        """The span whole if it fits beside its context, else even pieces cut at sentence borders."""
        context = self._title_tokens + sum(map(self._tokens, labels)) + CONTEXT_MARGIN
        room = self._limit - min(context, self._context_limit)
        pieces = _cut(self._text, span, self._tokenize, room)
        self._passages += [Passage(piece.start, piece.end, labels) for piece in pieces]

    def _tokens(self, span: Span) -> int:
        return len(self._tokenize(span.of(self._text)))


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
    runs_on = not all(_SENTENCE_END.search(line.of(text)) for line in lines[:-1])
    if runs_on and all(_forced(text, line, after, width) for line, after in pairwise(lines)):
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


def _cut(text: str, span: Span, tokenize: Tokenize, room: int) -> list[Span]:
    """Each part of the text is tokenised twice, however long the whole is: here, and once its piece seems to fit."""
    if span.end - span.start <= PASSAGE_CHARS and len(tokenize(span.of(text))) <= room:
        return [span]
    starts = _token_starts(text, span, tokenize)
    pieces = list(_pieces(text, span, starts, room, array("q", ends(text, *span))))
    if pieces == [span]:
        return pieces
    # Beside a cut, tokens can be others than they were in the whole: what does not fit by itself is cut again.
    return [piece for part in pieces for piece in _cut(text, part, tokenize, room)]


def _pieces(text: str, span: Span, starts: Sequence[int], room: int, known: Sequence[int]) -> Iterator[Span]:
    """Even pieces that seem to fit; ``starts`` are where tokens of the whole begin, ``known`` where its sentences end."""
    tokens = bisect_left(starts, span.end) - bisect_left(starts, span.start)
    if tokens <= room and span.end - span.start <= PASSAGE_CHARS:
        yield span
        return
    parts = max(2, -(-tokens // room), -(-(span.end - span.start) // PASSAGE_CHARS))
    # Aim for even pieces: a last piece of one clause would be found by nothing.
    middle = span.start + (span.end - span.start) * (parts // 2) // parts
    known = array("q", ends_within(text, known, *span))
    border = _border(text, span, middle, starts, known)
    for half in (strip(text, span.start, border), strip(text, border, span.end)):
        if half:
            yield from _pieces(text, half, starts, room, known)


def _token_starts(text: str, span: Span, tokenize: Tokenize) -> array[int]:
    """Where the tokens of the span begin in ``text``, in order."""
    starts = array("q")
    at = span.start
    while at < span.end:
        end = min(at + BLOCK_CHARS, span.end)
        if end < span.end:  # between words, if there is a place
            end = next((i for i in range(end, end - BLOCK_CHARS // 2, -1) if text[i].isspace()), end)
        starts.extend(at + start for start, _ in tokenize(text[at:end]))
        at = end
    return starts


def _border(text: str, span: Span, middle: int, starts: Sequence[int], known: Sequence[int]) -> int:
    """Where to cut near ``middle``: between sentences, which end at ``known``, else at a clause, a space, a token, anywhere."""
    reach = (span.end - span.start) / 4  # a border outside the middle half makes a sliver
    sentence_ends = _sentence_ends(text, span, middle, known)
    for near in (
        _nearest(sentence_ends, middle),
        *(_nearest_match(pattern, text, span, middle, reach) for pattern in (_CLAUSE, _SPACES)),
        _nearest(_beside(starts, span, middle), middle),
    ):
        if near is not None and abs(near - middle) <= reach:
            return near
    return middle


def _sentence_ends(text: str, span: Span, middle: int, known: Sequence[int]) -> Iterator[int]:
    """The last visible characters of the sentences around ``middle``, in order; not of the span's last one."""
    at = first = bisect_right(known, middle)
    while at > 0:  # the last one before, that is not white space alone
        at -= 1
        if sentence := strip(text, known[at - 1] if at else span.start, known[at]):
            yield sentence.end
            break
    for at in range(first, len(known)):
        sentence = strip(text, known[at - 1] if at else span.start, known[at])
        if sentence and sentence.end < span.end:
            yield sentence.end
            if sentence.end >= middle:
                return


def _nearest_match(pattern: re.Pattern[str], text: str, span: Span, middle: int, reach: float) -> int | None:
    """Where the match ends that ends nearest to ``middle``; looked for ever farther from it, up to ``reach``."""
    width = 256
    while True:
        start = max(span.start, middle - width)
        while start > span.start and text[start - 1 : start + 1].isspace():  # a match that begins before may end here
            start -= 1
        found = (match.end() for match in pattern.finditer(text, max(span.start, start - 1), span.end))
        near = _nearest(takewhile((middle + width).__ge__, found), middle)
        if width > reach or (near is not None and abs(near - middle) <= width):
            return near
        width *= 4


def _beside(starts: Sequence[int], span: Span, middle: int) -> Sequence[int]:
    """The tokens that begin before and after ``middle`` within the span, not at its start."""
    first, last = bisect_right(starts, span.start), bisect_left(starts, span.end)
    at = bisect_left(starts, middle, first, max(first, last))
    return starts[max(first, at - 1) : min(last, at + 1)]


def _nearest(candidates: Iterable[int], middle: int) -> int | None:
    return min(candidates, key=lambda at: abs(at - middle), default=None)
