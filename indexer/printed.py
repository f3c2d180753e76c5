"""Lines printed on pages -> the lines of the text in reading order: without running heads, column after column.

A line is as wide as the library draws it, cut where a gap is wider than any space: at the gutter of two columns, between the
cells of a table. What stays together on one height is joined again later.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

NARROW = 0.6  # of the width of a page's text: what is wider runs over the columns
GUTTER = 0.8  # sizes of the text: the least room between two columns
ALONE = 1.6  # sizes of the text: a running head stands at least so far from the text
PAGE_NUMBER = re.compile(r"\W*(?:page|seite|p\.|s\.|стр\.)?\W*(\d+)(?:\s*(?:of|/|von|из|de)\s*\d+)?\W*", re.IGNORECASE)


class Line(NamedTuple):
    """A line on a page, in points; y grows upwards; `size` is that of its font."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    page: int
    bold: bool
    region: int = 0  # of the page: a column, or what runs over all of them


def rounded(line: Line) -> float:
    """The size of its font as sizes are compared."""
    return round(2 * line.size) / 2


def body_size(lines: Sequence[Line]) -> float:
    """The size that most characters have."""
    weights: Counter[float] = Counter()
    for line in lines:
        weights[rounded(line)] += len(line.text)
    return weights.most_common(1)[0][0]


def by_page(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines of each page that has some."""
    for _, page in groupby(lines, lambda line: line.page):
        yield list(page)


def by_region(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines of each region of each page."""
    for _, region in groupby(lines, lambda line: (line.page, line.region)):
        yield list(region)


def without_running_heads(lines: Sequence[Line], count: int) -> list[Line]:
    """Leave out page numbers, and what stands at the top or bottom of several pages, the numbers in it aside.

    Half of the pages will do wherever it stands there; at one and the same height also three of them in a row of chapters or of
    left and right pages, and both of two.
    """
    outer = {line for page in by_page(lines) for line in _outermost(page)}
    body = body_size(lines) if lines else 0
    # What is larger than the text is a heading: "Chapter 3" may begin every page.
    lonely = {line for page in by_page(lines) for line in _alone(page) if line.size < 1.15 * body}
    seen = Counter(mask for _, mask in {(line.page, _mask(line)) for line in outer})
    placed = Counter(place for _, place in {(line.page, _place(line)) for line in lonely})

    def is_running(line: Line) -> bool:
        number = PAGE_NUMBER.fullmatch(line.text)
        return bool(number and int(number[1]) == line.page + 1) or placed[_place(line)] >= min(3, max(2, count))

    # What stands beside a page number is a running head too, also that of a short chapter.
    heights = {(line.page, round(line.baseline)) for line in lonely if is_running(line)}
    left_out = {line for line in lonely if (line.page, round(line.baseline)) in heights}
    left_out |= {line for line in outer if count > 2 and seen[_mask(line)] * 2 > count}
    return [line for line in lines if line not in left_out]


def _outermost(lines: Sequence[Line]) -> list[Line]:
    """The lines on the two topmost and two bottommost heights of a page."""
    heights = sorted({round(line.baseline) for line in lines})
    return [line for line in lines if round(line.baseline) in (*heights[:2], *heights[-2:])]


def _alone(lines: Sequence[Line]) -> list[Line]:
    """The lines on the topmost and on the bottommost height of a page that stand apart from its text."""
    heights = sorted({round(line.baseline) for line in lines})
    found = []
    for end, beside in ((heights[0], heights[1:2]), (heights[-1], heights[-2:-1])):
        ending = [line for line in lines if round(line.baseline) == end]
        if beside and abs(end - beside[0]) > ALONE * max(line.size for line in ending):
            found += ending
    return found


def _mask(line: Line) -> tuple[str, float]:
    # With the size, so that a title page is not taken for the running head that repeats it.
    return re.sub(r"\d+", "#", line.text), rounded(line)


def _place(line: Line) -> tuple[str, float, int]:
    """The line without a number before or after it, its size and height."""
    return re.sub(r"^[\d\s|·–-]+(?=\D)|(?<=\D)[\d\s|·–-]+$|^\d+$", "", line.text), rounded(line), round(line.baseline)


def reading_order(lines: Sequence[Line]) -> list[Line]:
    """The lines of a page, column after column where it has columns of prose; else as they are drawn.

    What runs over the columns (a title, a wide table) divides them: all columns above it are read before it.
    """
    gutters = _gutters(lines)
    if not gutters:
        return list(lines)
    wide = [line for line in lines if any(line.left < gutter.left and line.right > gutter.right for gutter in gutters)]
    heights = sorted({-line.baseline for line in wide})

    def region(line: Line) -> int:
        above = bisect_left(heights, -line.baseline)
        if line in wide:
            return (above + 1) * (len(gutters) + 2) - 1
        middle = (line.left + line.right) / 2
        return above * (len(gutters) + 2) + sum(middle > gutter.left for gutter in gutters)

    return sorted((line._replace(region=region(line)) for line in lines), key=lambda line: line.region)


class _Gutter(NamedTuple):
    left: float
    right: float


def _gutters(lines: Sequence[Line]) -> list[_Gutter]:
    """The room between the columns of a page, none if it has no columns of prose."""
    if len(lines) < 8:
        return []
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    narrow = [line for line in lines if line.right - line.left < NARROW * (right - left)]
    gutters = list(_free(narrow, GUTTER * body_size(lines)))
    borders = [left, *((gutter.left + gutter.right) / 2 for gutter in gutters), right]
    columns = [[line for line in narrow if a <= line.left and line.right <= b] for a, b in pairwise(borders)]
    return gutters if gutters and all(map(_is_prose, columns)) else []


def _free(lines: Sequence[Line], least: float) -> Iterator[_Gutter]:
    """Ranges of x at least so wide that hardly a line runs over."""
    # Where lines begin and end, not every point: one that is drawn far outside of the page is as long as it likes.
    steps: Counter[int] = Counter()
    for line in lines:
        steps[int(line.left)] += 1
        steps[int(line.right) + 1] -= 1
    most = max(2, len(lines) // 10)
    inked, covering = None, 0  # the last point with ink, and how many lines lie over the next
    for x in sorted(steps):
        if covering > most:
            inked = x - 1
        covering += steps[x]
        if covering > most and inked is not None and x - inked > max(1, least):
            yield _Gutter(inked, x)


def _is_prose(column: Sequence[Line]) -> bool:
    """Whether most of its lines fill it, as those of paragraphs do and the cells of a table do not."""
    if len(column) < 4:
        return False
    left, right = min(line.left for line in column), max(line.right for line in column)
    full = sum(line.right > left + 0.7 * (right - left) for line in column)
    return 2 * full > len(column) and sum(len(line.text) for line in column) > 18 * len(column)
