"""PDF -> canonical text: the library gives each character's place and size, lines and paragraphs are told from these.

Lines are joined unless their size, distance or indent changes, a bullet begins, or the next word would still have
fitted; over a page border only when the sentence goes on.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import pypdfium2
from pypdfium2 import raw

from indexer.errors import UnreadableError
from indexer.formats import Block, Content, Heading, assemble, signature, squeeze

PDFIUM = threading.Lock()  # the library is not safe for threads
LINE_END_HYPHEN = 2  # what it gives for the hyphen of a word that two lines share


class _Line(NamedTuple):
    """A line on a page, in points; y grows upwards; `size` is that of its font."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    page: int
    bold: bool


def read_pdf(data: bytes) -> Content:
    """A PDF with a text layer: paragraphs re-joined from lines, without running heads and page numbers."""
    if b"%PDF-" not in data[:1024]:
        raise UnreadableError(f"is not a PDF{' but ' + signature(data) if signature(data) else ''}; give it its right suffix")
    with PDFIUM:
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                fields, count = _pdf_fields(pdf), len(pdf)
                lines = [line for number in range(count) for line in _page_lines(pdf, number)]
        except pypdfium2.PdfiumError as error:
            raise UnreadableError(_pdf_reason(error)) from None
    if not lines:
        raise UnreadableError("has no text layer (a scan?); run OCR first, for example: ocrmypdf OLD NEW")
    text, pages, headings = _join_paragraphs(_without_running_heads(lines, count), count)
    metadata = {name.lower(): fields[name] for name in ("Author", "Subject", "Keywords") if name in fields}
    return Content(text, fields.get("Title", ""), _pdf_date(fields), metadata, pages, headings)


def _pdf_reason(error: Exception) -> str:
    if "password" in str(error).lower():
        return "is encrypted; save a copy without a password"
    return f"is damaged: not a whole PDF; copy or download it again [{error}]"


def _page_lines(pdf: pypdfium2.PdfDocument, number: int) -> Iterator[_Line]:
    """The lines of a page in the order in which the file draws them, as the library tells them apart."""
    page = pdf[number]
    text_page = page.get_textpage()
    units = [raw.FPDFText_GetUnicode(text_page, i) for i in range(text_page.count_chars())]
    start = 0
    for i, unit in enumerate([*units, 10]):
        if unit in (10, 13, LINE_END_HYPHEN):  # no line end follows the hyphen of a divided word
            inked = [k for k in range(start, i) if units[k] > 32] + [i] * (unit == LINE_END_HYPHEN)
            if inked:
                yield _line(text_page, units, inked, number)
            start = i + 1
    text_page.close()
    page.close()


def _line(text_page: pypdfium2.PdfTextPage, units: Sequence[int], inked: Sequence[int], number: int) -> _Line:
    """Make a line of the page's characters from the first to the last of `inked`."""
    letters = [i for i in inked if chr(units[i]).isalpha()]
    # A line from right to left is mirrored, so that every line begins at its `left`.
    mirrored = bool(letters) and _is_from_right(units[letters[0]])
    order = _reading_order(text_page, units, inked) if mirrored else range(inked[0], inked[-1] + 1)
    # Characters past U+FFFF come as two units of UTF-16.
    text = "".join(chr(units[i]) for i in order).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    # Ligatures and the joined forms of Arabic letters are one character in print and plain letters in a question.
    text = re.sub("[\ufb00-\ufdff\ufe70-\ufefc]+", lambda found: unicodedata.normalize("NFKC", found[0]), text)
    first, last = raw.FS_RECTF(), raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text_page, order[0], first)
    raw.FPDFText_GetLooseCharBox(text_page, order[-1], last)
    left, right = (-first.right, -last.left) if mirrored else (first.left, last.right)
    # The first letter speaks for the line: a bullet is often of another font.
    baseline, size = _baseline_and_size(text_page, letters[0] if letters else inked[0])
    bold = all(_is_bold(text_page, i) for i in (inked[0], inked[-1]))
    return _Line(squeeze(text.replace("\0", "")), left, right, baseline, size, number, bold)


def _is_from_right(unit: int) -> bool:
    return unicodedata.bidirectional(chr(unit)) in ("R", "AL")


def _reading_order(text_page: pypdfium2.PdfTextPage, units: Sequence[int], inked: Sequence[int]) -> list[int]:
    """The line's characters, each word from right to left: the library gives words that Chromium printed back to front."""
    order: list[int] = []
    for from_right, word in groupby(range(inked[0], inked[-1] + 1), lambda i: _is_from_right(units[i])):
        indices = list(word)
        ends = [raw.FS_RECTF(), raw.FS_RECTF()]
        for index, box in zip((indices[0], indices[-1]), ends, strict=True):
            raw.FPDFText_GetLooseCharBox(text_page, index, box)
        order += reversed(indices) if from_right and ends[0].left < ends[1].left else indices
    return order


def _baseline_and_size(text_page: pypdfium2.PdfTextPage, index: int) -> tuple[float, float]:
    x, y, matrix = ctypes.c_double(), ctypes.c_double(), raw.FS_MATRIX()
    raw.FPDFText_GetCharOrigin(text_page, index, x, y)
    raw.FPDFText_GetMatrix(text_page, index, matrix)
    # The size that the file gives is scaled by the matrix; 1 point keeps the arithmetic alive where that says nothing.
    return y.value, max(1.0, raw.FPDFText_GetFontSize(text_page, index) * math.hypot(matrix.c, matrix.d))


def _is_bold(text_page: pypdfium2.PdfTextPage, index: int) -> bool:
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text_page, index, name, 128, flags)
    return any(word in name.value.lower() for word in (b"bold", b"black", b"heavy"))


def _without_running_heads(lines: Sequence[_Line], count: int) -> list[_Line]:
    """Leave out what stands at the top or bottom of most pages, the numbers in it aside. Two pages are too few to tell."""
    if count < 3:
        return list(lines)
    outer = {line for _, page in groupby(lines, lambda line: line.page) for line in _outermost(list(page))}
    seen = Counter(mask for _, mask in {(line.page, _mask(line)) for line in outer})
    return [line for line in lines if line not in outer or seen[_mask(line)] * 2 <= count]


def _outermost(lines: Sequence[_Line]) -> list[_Line]:
    """The lines on the two topmost and two bottommost heights of a page."""
    heights = sorted({round(line.baseline) for line in lines})
    return [line for line in lines if round(line.baseline) in (*heights[:2], *heights[-2:])]


def _mask(line: _Line) -> tuple[str, float]:
    # With the size, so that a title page is not taken for the running head that repeats it.
    return re.sub(r"\d+", "#", line.text), _rounded(line)


def _paragraphs(lines: Sequence[_Line]) -> list[list[_Line]]:
    # The first quarter of the distances is that between lines of one paragraph, also where most paragraphs are short.
    pitches = sorted(
        (a.baseline - b.baseline) / a.size for a, b in pairwise(lines) if 0.5 * a.size < a.baseline - b.baseline < 3 * a.size
    )
    pitch = pitches[len(pitches) // 4] if pitches else 1.2
    pages = {number: list(page) for number, page in groupby(lines, lambda line: line.page)}
    paragraphs: list[list[_Line]] = []
    for line in lines:
        if paragraphs and _continues(paragraphs[-1], line, pitch, pages[paragraphs[-1][-1].page]):
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    return paragraphs


BULLET = re.compile(r"[•◦▪‣●○■□–—*·-]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]\s")
SENTENCE_END = re.compile(r"[.!?:;…。！？؟۔।][\"'”’»)\]]*$")


def _continues(paragraph: Sequence[_Line], line: _Line, pitch: float, page: Sequence[_Line]) -> bool:
    """Whether a line goes on with the paragraph. `pitch`: usual distance of lines over their size; `page`: lines beside."""
    last = paragraph[-1]
    drop = last.baseline - line.baseline
    if line.page == last.page and abs(drop) < 0.4 * last.size and line.left >= last.left:
        return True
    if abs(line.size - last.size) > 0.1 * last.size or (all(p.bold for p in paragraph) and not line.bold):
        return False
    if BULLET.match(line.text):
        return False
    if line.page != last.page or drop < 0:  # over a border of pages or columns only words can tell
        return not SENTENCE_END.search(last.text) and not line.text[0].isupper() and line.text[0].isalpha()
    shifted = len(paragraph) > 1 and abs(line.left - last.left) > 0.8 * last.size
    return drop <= 1.25 * pitch * last.size and not shifted and not _fits(last, line, page)


def _fits(last: _Line, line: _Line, page: Sequence[_Line]) -> bool:
    """Whether the first word of `line` would have fitted behind `last`: then that line was ended on purpose."""
    rights = sorted(other.right for other in page if other.left < last.right and other.right > last.left)
    margin = rights[int(0.9 * len(rights))]
    letter = (line.right - line.left) / len(line.text)
    word = len(line.text.split(" ", 1)[0])
    return last.right + 1.3 * (word + 1) * letter < margin


def _join_lines(lines: Sequence[_Line]) -> tuple[str, list[int]]:
    """Lines -> one line, and where in it each begins. A hyphen at a line's end, which the library marks, is undone."""
    text = ""
    starts = []
    for line in lines:
        if text.endswith(chr(LINE_END_HYPHEN)):
            text = text[:-1] + ("" if line.text[0].islower() else "-")
        elif text and not (_is_wide(text[-1]) and _is_wide(line.text[0])):
            text += " "
        starts.append(len(text))
        text += line.text
    return text.removesuffix(chr(LINE_END_HYPHEN)) + "-" * text.endswith(chr(LINE_END_HYPHEN)), starts


def _is_wide(character: str) -> bool:
    """Chinese, Japanese: written without spaces."""
    return unicodedata.east_asian_width(character) in ("W", "F") and not "\uac00" <= character <= "\ud7a3"


def _join_paragraphs(lines: Sequence[_Line], count: int) -> tuple[str, tuple[int, ...], tuple[Heading, ...]]:
    """Return the text, the offset of each page, the headings. A page border may lie inside a paragraph that runs over it."""
    paragraphs = _paragraphs(lines)
    weights: Counter[float] = Counter()
    for line in lines:
        weights[_rounded(line)] += len(line.text)
    body = weights.most_common(1)[0][0]
    sizes = sorted({_rounded(p[0]) for p in paragraphs if _rounded(p[0]) > body and _is_heading(p, body)}, reverse=True)
    blocks: list[Block] = []
    page_starts: dict[int, int] = {}
    length = 0
    for paragraph in paragraphs:
        text, starts = _join_lines(paragraph)
        for line, start in zip(paragraph, starts, strict=True):
            page_starts.setdefault(line.page, length + start)
        level = 1 + sum(size > _rounded(paragraph[0]) for size in sizes) if _is_heading(paragraph, body) else 0
        blocks.append(Block([text], level))
        length += len(text) + 2
    text, headings = assemble(blocks)
    pages = [len(text)] * count
    for number in reversed(range(count)):  # a page without text begins where the next does
        pages[number] = page_starts.get(number, pages[min(number + 1, count - 1)])
    return text, (0, *pages[1:]), headings


def _rounded(line: _Line) -> float:
    return round(2 * line.size) / 2


def _is_heading(paragraph: Sequence[_Line], body: float) -> bool:
    """Larger than the text, or a bold line of its own: printed pages do not say what is a heading."""
    text = " ".join(line.text for line in paragraph)
    if len(text) > 200 or sum(c.isalpha() for c in text) < 2 or re.search(r"^[•◦▪‣●○■□]|\. ?\. ?\.", text):
        return False
    larger = paragraph[0].size > 1.15 * body
    return larger or (len(paragraph) == 1 and paragraph[0].bold and text[-1] not in ".,;")


NO_VALUE = frozenset(
    ["", "untitled", "(unspecified)", "(anonymous)", "unspecified", "anonymous"]
)  # what PDF makers write for none


def _pdf_fields(pdf: pypdfium2.PdfDocument) -> dict[str, str]:
    fields = {name: squeeze(value.replace("\0", "")) for name, value in pdf.get_metadata_dict().items()}
    return {name: value for name, value in fields.items() if value.lower() not in NO_VALUE}


def _pdf_date(fields: Mapping[str, str]) -> str | None:
    match = re.match(r"(?:D:)?(\d{4})(\d\d)(\d\d)", fields.get("CreationDate", ""))
    return "-".join(match.groups()) if match else None
