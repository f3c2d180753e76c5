"""Lines in reading order -> paragraphs, tables, headings.

Lines are joined unless their size, distance or indent changes, a bullet begins, or the next word would still have
fitted; over the border of a page or column only when the sentence goes on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from indexer.formats import Block, Heading, assemble
from indexer.printed import Line, body_size, by_region, rounded

LINE_END_HYPHEN = "\x02"  # what the library gives for the hyphen of a word that two lines share
BULLET = re.compile(r"[•◦▪‣●○■□–—*·-]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]\s")
LONE_BULLET = re.compile(r"[•◦▪‣●○■□–—*·-]|\[?\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)\]]*")
SENTENCE_END = re.compile(r"[.!?:;…。！？؟۔।][\"'”’»)\]]*$")
NOTE_MARK = re.compile(r"[\[(]?(\d{1,3}|[*†‡§]{1,3})[\])]?[.:]?\s*[^\W\d].{8}")
WORD = re.compile(r"\w+(?:-\w+)*")
CONJUNCTIONS = frozenset("and or to und oder bis et ou y o e en of и или".split())

Cell = list[Line]


class Piece(NamedTuple):
    """A paragraph, one cell of one row, or a table: rows of cells, each of lines."""

    rows: list[list[Cell]]

    @property
    def first(self) -> Line:
        """The line that it begins with."""
        return self.rows[0][0][0]

    @property
    def last_page(self) -> int:
        """The page that it ends on."""
        return self.rows[-1][-1][-1].page

    @property
    def is_table(self) -> bool:
        """Whether it has several cells."""
        return len(self.rows) > 1 or len(self.rows[0]) > 1


def typeset(lines: Sequence[Line], count: int) -> tuple[str, tuple[int, ...], tuple[Heading, ...]]:
    """Return the text, the offset of each of ``count`` pages, the headings. A page may begin inside a paragraph that runs on
    from the page before it; the notes of that page stand before the paragraph."""
    body = body_size(lines)
    text_rows, note_rows = _without_notes(lines, body)
    pieces = _with_notes(_pieces(text_rows), _pieces(note_rows))
    words = frozenset(WORD.findall("\n".join(line.text for line in lines).lower()))
    sizes = sorted({rounded(p.first) for p in pieces if rounded(p.first) > body and _is_heading(p, body)}, reverse=True)
    blocks: list[Block] = []
    page_starts: dict[int, int] = {}
    length = 0
    for piece in pieces:
        rows = []
        for row in piece.rows:
            text, starts = _join_cells(row, words)
            for line, start in zip((line for cell in row for line in cell), starts, strict=True):
                page_starts.setdefault(line.page, length + start)
            rows.append(text)
            length += len(text) + 1
        level = 1 + sum(size > rounded(piece.first) for size in sizes) if _is_heading(piece, body) else 0
        blocks.append(Block(rows, level))
        length += 1
    text, headings = assemble(blocks)
    pages = [len(text)] * count
    for number in reversed(range(count)):  # a page without text begins where the next does
        pages[number] = page_starts.get(number, pages[min(number + 1, count - 1)])
    return text, (0, *pages[1:]), headings


def _without_notes(lines: Sequence[Line], body: float) -> tuple[list[list[Line]], list[list[Line]]]:
    """Rows of the text, and of footnotes: smaller rows at the foot of a column, the first with a mark that the text has."""
    text: list[list[Line]] = []
    notes: list[list[Line]] = []
    for region in by_region(lines):
        rows = list(_rows(region))
        first = len(rows)
        while first and rows[first - 1][0].size < 0.93 * body:
            first -= 1
        above = " ".join(line.text for row in rows[:first] for line in row)
        while first < len(rows) and not _is_note(rows[first], above):
            first += 1
        text += rows[:first]
        notes += rows[first:]
    return text, notes


def _is_note(row: Sequence[Line], above: str) -> bool:
    """Whether a note begins, whose mark stands in the text ``above``, behind a word."""
    mark = NOTE_MARK.match(" ".join(line.text for line in row))
    return bool(mark and re.search(rf"[^\W\d][.,;:)\"”’»]*\s?{re.escape(mark[1])}(?!\d)", above))


def _with_notes(pieces: Sequence[Piece], notes: Sequence[Piece]) -> list[Piece]:
    """Each note after what ends on its page or before."""
    merged: list[Piece] = []
    waiting = list(notes)
    for piece in pieces:
        while waiting and waiting[0].first.page < piece.last_page:
            merged.append(waiting.pop(0))
        merged.append(piece)
    return merged + waiting


def _pieces(rows: Sequence[list[Line]]) -> list[Piece]:
    """Tables, and the paragraphs between them."""
    pieces: list[Piece] = []
    between: list[Line] = []
    at = 0
    while at < len(rows):
        table, end = _table(rows, at)
        if table:
            pieces += [Piece([[paragraph]]) for paragraph in _paragraphs(between)]
            pieces.append(Piece(table))
            between = []
        else:
            between.append(_merged(rows[at]))
        at = end
    return pieces + [Piece([[paragraph]]) for paragraph in _paragraphs(between)]


def _merged(row: Sequence[Line]) -> Line:
    """The lines of one height as one."""
    text = " ".join(line.text for line in row)
    return row[0]._replace(text=text, right=row[-1].right, bold=row[0].bold and row[-1].bold)


def _rows(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Lines on one height, one right of the other."""
    row: list[Line] = []
    for line in lines:
        if row and not _is_beside(row[-1], line):
            yield row
            row = []
        row.append(line)
    if row:
        yield row


def _is_beside(last: Line, line: Line) -> bool:
    return (
        (line.page, line.region) == (last.page, last.region)
        and abs(last.baseline - line.baseline) < 0.4 * last.size
        and line.left >= last.left
    )


def _table(rows: Sequence[list[Line]], at: int) -> tuple[list[list[Cell]], int]:
    """The table that begins with a row, none if none does, and where in ``rows`` what follows begins."""
    table: list[list[Cell]] = []
    end = at
    while end < len(rows) and _is_row(rows[end]) and (not table or _is_aligned(rows[end - 1], rows[end], rows[at])):
        table.append([[line] for line in rows[end]])
        end += 1
        while end < len(rows) and _goes_on(table[-1], rows[end]):
            for line in rows[end]:
                next(cell for cell in table[-1] if _starts_as(cell[0], line)).append(line)
            end += 1
            if end < len(rows) and _is_row(rows[end]) and not _is_aligned([c[0] for c in table[-1]], rows[end], rows[at]):
                break
    # Two lines of justified text may have wide spaces at one place.
    beside = [*rows[max(0, at - 1) : at], *rows[end : end + 1]]
    if len(table) < 2 or (len(table) == 2 and any(_is_as_wide(row, one) for row in rows[at:end] for one in beside)):
        return [], at + 1
    return table, end


def _is_row(row: Sequence[Line]) -> bool:
    """Whether it has cells: the gap behind the mark of a list's item makes none."""
    return len(row) > 1 and not LONE_BULLET.fullmatch(row[0].text) and row[0].left > 0


def _is_as_wide(row: Sequence[Line], other: Sequence[Line]) -> bool:
    return abs(row[0].left - other[0].left) < 0.3 * row[0].size and abs(row[-1].right - other[-1].right) < 0.3 * row[0].size


def _is_aligned(before: Sequence[Line], row: Sequence[Line], first: Sequence[Line]) -> bool:
    """Whether the row's cells stand under those of the row before, or of the table's first, and follow closely."""
    if before[0].page != row[0].page or before[0].baseline - row[0].baseline > 4 * row[0].size:
        return False
    return any(2 * sum(any(_is_under(a, b) for a in above) for b in row) > len(row) for above in (before, first))


def _is_under(a: Line, b: Line) -> bool:
    near = 0.6 * b.size
    return _starts_as(a, b) or abs(a.right - b.right) < near or abs((a.left + a.right) - (b.left + b.right)) < 2 * near


def _starts_as(a: Line, b: Line) -> bool:
    return abs(a.left - b.left) < 0.6 * b.size


def _goes_on(row: Sequence[Cell], below: Sequence[Line]) -> bool:
    """Whether lines below go on with cells of the row, not with its first."""
    last = max((cell[-1] for cell in row), key=lambda line: -line.baseline)
    drop = last.baseline - below[0].baseline
    return (
        below[0].page == last.page
        and 0 < drop <= 1.4 * last.size
        and all(any(_starts_as(cell[0], line) for cell in row[1:]) for line in below)
    )


def _paragraphs(lines: Sequence[Line]) -> list[list[Line]]:
    # The first quarter of the distances is that between lines of one paragraph, also where most paragraphs are short.
    pitches = sorted(
        (a.baseline - b.baseline) / a.size for a, b in pairwise(lines) if 0.5 * a.size < a.baseline - b.baseline < 3 * a.size
    )
    pitch = pitches[len(pitches) // 4] if pitches else 1.2
    regions = {(region[0].page, region[0].region): region for region in by_region(lines)}
    paragraphs: list[list[Line]] = []
    for line in lines:
        if paragraphs and _continues(paragraphs[-1], line, pitch, regions[paragraphs[-1][-1].page, paragraphs[-1][-1].region]):
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    return paragraphs


def _continues(paragraph: Sequence[Line], line: Line, pitch: float, region: Sequence[Line]) -> bool:
    """Whether a line goes on with the paragraph. `pitch`: usual distance of lines over their size; `region`: lines beside."""
    last = paragraph[-1]
    drop = last.baseline - line.baseline
    if abs(line.size - last.size) > 0.1 * last.size or (all(p.bold for p in paragraph) and not line.bold):
        return False
    if BULLET.match(line.text):
        return False
    if (line.page, line.region) != (
        last.page,
        last.region,
    ) or drop < 0:  # over a border of pages or columns only words can tell
        if last.text.endswith(LINE_END_HYPHEN):
            return line.text[0].isalpha()
        ended = SENTENCE_END.search(last.text) or _is_short(last, region)
        return not ended and line.text[0].isalpha() and not line.text[0].isupper()
    shifted = len(paragraph) > 1 and abs(line.left - last.left) > 0.8 * last.size
    divided = last.text.endswith((LINE_END_HYPHEN, "-"))
    return drop <= 1.25 * pitch * last.size and not shifted and (divided or not _fits(last, line, region))


def _is_short(last: Line, region: Sequence[Line]) -> bool:
    """Whether it is a heading, or a paragraph's last line, rather than one of a page's full lines."""
    left, right = min(line.left for line in region), max(line.right for line in region)
    return last.right < left + 0.5 * (right - left)


def _fits(last: Line, line: Line, region: Sequence[Line]) -> bool:
    """Whether the first word of `line` would have fitted behind `last`: then that line was ended on purpose."""
    rights = sorted(other.right for other in region if other.left < last.right and other.right > last.left)
    margin = rights[int(0.9 * len(rights))]
    letter = (line.right - line.left) / len(line.text)
    word = len(line.text.split(" ", 1)[0])
    return last.right + 1.3 * (word + 1) * letter < margin


def _join_cells(row: Sequence[Cell], words: frozenset[str]) -> tuple[str, list[int]]:
    """A row -> one line, and where in it each of its lines begins."""
    text = ""
    starts: list[int] = []
    for cell in row:
        text += "; " if text else ""
        joined, places = _join_lines(cell, words)
        starts += [len(text) + place for place in places]
        text += joined
    return text, starts


def _join_lines(lines: Sequence[Line], words: frozenset[str]) -> tuple[str, list[int]]:
    """Lines -> one line, and where in it each begins. ``words``: those of the whole file, in small letters."""
    text = ""
    starts = []
    for line in lines:
        if text.endswith((LINE_END_HYPHEN, "-")) and text[-2:-1].isalnum() and line.text[0].isalnum():
            text = text[:-1] + _hyphen(text[:-1], line.text, words)
        elif text and not (_is_wide(text[-1]) and _is_wide(line.text[0])):
            text += " "
        starts.append(len(text))
        text += line.text
    return text.replace(LINE_END_HYPHEN, "-"), starts


def _hyphen(before: str, after: str, words: frozenset[str]) -> str:
    """The hyphen between two lines, "" where it only divides a word: as the word is written elsewhere in the file."""
    if not after[0].islower():
        return "-"
    head, tail = WORD.findall(before.lower())[-1], WORD.findall(after.lower())[0]
    if tail in CONJUNCTIONS:  # pre- and post-war
        return "- "
    return "-" if f"{head}-{tail}" in words and head + tail not in words else ""


def _is_wide(character: str) -> bool:
    """Chinese, Japanese: written without spaces."""
    return unicodedata.east_asian_width(character) in ("W", "F") and not "\uac00" <= character <= "\ud7a3"


def _is_heading(piece: Piece, body: float) -> bool:
    """Larger than the text, or a bold line of its own: printed pages do not say what is a heading."""
    if piece.is_table:
        return False
    [[lines]] = piece.rows
    text = " ".join(line.text for line in lines)
    if len(text) > 200 or sum(c.isalpha() for c in text) < 2 or re.search(r"^[•◦▪‣●○■□]|\. ?\. ?\.", text):
        return False
    larger = lines[0].size > 1.15 * body
    return larger or (len(lines) == 1 and lines[0].bold and text[-1] not in ".,;")
