"""PDF -> canonical text: the library gives each character's place and size, the rest is told from these.

`printed.py` finds the order of the lines, `typeset.py` their paragraphs and tables.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import pypdfium2
from pypdfium2 import raw

from indexer.errors import UnreadableError
from indexer.formats import Content, Remark, signature, squeeze
from indexer.printed import Line, by_page, reading_order, without_running_heads
from indexer.typeset import LINE_END_HYPHEN, typeset

PDFIUM = threading.Lock()  # the library is not safe for threads
WIDE_GAP = 1.2  # sizes of the text: no space between two words is so wide
SCAN = 0.5  # of the page: a picture that covers so much of a page without text is a scan of one


class _Page(NamedTuple):
    lines: list[Line]
    is_picture: bool


def read_pdf(data: bytes) -> Content:
    """A PDF with a text layer: paragraphs and tables re-joined from lines, without running heads and page numbers.

    Pages that are pictures without text are remarked.
    """
    if b"%PDF-" not in data[:1024]:
        raise UnreadableError(f"is not a PDF{' but ' + signature(data) if signature(data) else ''}; give it its right suffix")
    with PDFIUM:
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                fields = _pdf_fields(pdf)
                read = [_read_page(pdf, number) for number in range(len(pdf))]
        except pypdfium2.PdfiumError as error:
            raise UnreadableError(_pdf_reason(error)) from None
    lines = without_running_heads([line for page in read for line in page.lines], len(read))
    if not lines:
        raise UnreadableError("has no text layer (a scan?); run OCR first, for example: ocrmypdf OLD NEW")
    with_text = {line.page for line in lines}
    scans = [number for number, page in enumerate(read) if page.is_picture and number not in with_text]
    text, pages, headings = typeset([line for page in by_page(lines) for line in reading_order(page)], len(read))
    metadata = {name.lower(): fields[name] for name in ("Author", "Subject", "Keywords") if name in fields}
    return Content(text, fields.get("Title", ""), _pdf_date(fields), metadata, pages, headings, _scan_remarks(scans))


def _scan_remarks(scans: Sequence[int]) -> tuple[Remark, ...]:
    """What to tell of pages, counted from 0, that are pictures."""
    if not scans:
        return ()
    runs = [[number + 1 for _, number in run] for _, run in groupby(enumerate(scans), lambda pair: pair[1] - pair[0])]
    named = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    remark = "no text layer (a scan?), so nothing of it was indexed; run OCR, for example: ocrmypdf --skip-text OLD NEW"
    return (Remark(f"page{'s' * (len(scans) > 1)} {named}", remark),)


def _pdf_reason(error: Exception) -> str:
    if "password" in str(error).lower():
        return "is encrypted; save a copy without a password"
    return f"is damaged: not a whole PDF; copy or download it again [{error}]"


def _read_page(pdf: pypdfium2.PdfDocument, number: int) -> _Page:
    """The lines of a page in the order in which the file draws them; those that run otherwise than most, as a stamp in the
    margin does, come last."""
    page = pdf[number]
    text_page = page.get_textpage()
    printed = list(_page_lines(text_page.raw, text_page.count_chars(), number))
    is_picture = not printed and _is_picture(page)
    text_page.close()
    page.close()
    weights = {turn: sum(len(line.text) for each, line in printed if each == turn) for turn, _ in printed}
    usual = max(weights, key=lambda turn: weights[turn], default=0)
    return _Page([line for _, line in sorted(printed, key=lambda pair: pair[0] != usual)], is_picture)


def _is_picture(page: pypdfium2.PdfPage) -> bool:
    width, height = page.get_size()
    for picture in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,)):
        left, bottom, right, top = picture.get_bounds()
        if (right - left) * (top - bottom) > SCAN * width * height:
            return True
    return False


def _page_lines(text_page: Any, count: int, number: int) -> Iterator[tuple[int, Line]]:
    """Lines as the library tells them apart, cut at wide gaps; each with the quarters that it is turned by."""
    units = [raw.FPDFText_GetUnicode(text_page, i) for i in range(count)]
    start = 0
    for i, unit in enumerate([*units, 10]):
        if unit in (10, 13, ord(LINE_END_HYPHEN)):  # no line end follows the hyphen of a divided word
            inked = [k for k in range(start, i) if units[k] > 32] + [i] * (unit == ord(LINE_END_HYPHEN))
            if inked:
                yield from _lines(text_page, units, inked, number)
            start = i + 1


def _lines(text_page: Any, units: Sequence[int], inked: Sequence[int], number: int) -> Iterator[tuple[int, Line]]:
    """Lines of the page's characters from the first to the last of `inked`: several if there are wide gaps between them."""
    letters = [i for i in inked if chr(units[i]).isalpha()]
    # The first letter speaks for the line: a bullet is often of another font.
    speaker = letters[0] if letters else inked[0]
    turn = round(raw.FPDFText_GetCharAngle(text_page, speaker) / (math.pi / 2)) % 4
    from_right = bool(letters) and _is_from_right(units[letters[0]])
    for part in [inked] if from_right else _parts(text_page, inked, turn, _size(text_page, speaker)):
        yield turn, _line(text_page, units, part, number, turn, from_right)


def _parts(text_page: Any, inked: Sequence[int], turn: int, size: float) -> Iterator[Sequence[int]]:
    start = 0
    for k in range(1, len(inked)):
        # Only where there is a space in between: asking for each character's place takes its time.
        if inked[k] > inked[k - 1] + 1:
            gap = _box(text_page, inked[k], turn)[0] - _box(text_page, inked[k - 1], turn)[1]
            if gap > WIDE_GAP * size:
                yield inked[start:k]
                start = k
    yield inked[start:]


def _line(
    text_page: Any,
    units: Sequence[int],
    inked: Sequence[int],
    number: int,
    turn: int,
    mirrored: bool,
) -> Line:
    """Make a line of the page's characters from the first to the last of `inked`."""
    letters = [i for i in inked if chr(units[i]).isalpha()]
    # A line from right to left is mirrored, so that every line begins at its `left`.
    order = _reading_order(text_page, units, inked) if mirrored else range(inked[0], inked[-1] + 1)
    # Characters past U+FFFF come as two units of UTF-16.
    text = "".join(chr(units[i]) for i in order).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    # Ligatures and the joined forms of Arabic letters are one character in print and plain letters in a question.
    text = re.sub("[\ufb00-\ufdff\ufe70-\ufefc]+", lambda found: unicodedata.normalize("NFKC", found[0]), text)
    first, last = _box(text_page, order[0], turn), _box(text_page, order[-1], turn)
    left, right = (-first[1], -last[0]) if mirrored else (first[0], last[1])
    speaker = letters[0] if letters else inked[0]
    bold = all(_is_bold(text_page, i) for i in (inked[0], inked[-1]))
    size = _size(text_page, speaker)
    return Line(squeeze(text.replace("\0", "")), left, right, _baseline(text_page, speaker, turn), size, number, bold)


def _is_from_right(unit: int) -> bool:
    return unicodedata.bidirectional(chr(unit)) in ("R", "AL")


def _reading_order(text_page: Any, units: Sequence[int], inked: Sequence[int]) -> list[int]:
    """The line's characters, each word from right to left: the library gives words that Chromium printed back to front."""
    order: list[int] = []
    for from_right, word in groupby(range(inked[0], inked[-1] + 1), lambda i: _is_from_right(units[i])):
        indices = list(word)
        ends = [raw.FS_RECTF(), raw.FS_RECTF()]
        for index, box in zip((indices[0], indices[-1]), ends, strict=True):
            raw.FPDFText_GetLooseCharBox(text_page, index, box)
        order += reversed(indices) if from_right and ends[0].left < ends[1].left else indices
    return order


def _box(text_page: Any, index: int, turn: int) -> tuple[float, float]:
    """Where a character begins and ends along its line."""
    box = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text_page, index, box)
    return [(box.left, box.right), (-box.top, -box.bottom), (-box.right, -box.left), (box.bottom, box.top)][turn]


def _baseline(text_page: Any, index: int, turn: int) -> float:
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(text_page, index, x, y)
    return float((y.value, x.value, -y.value, -x.value)[turn])


def _size(text_page: Any, index: int) -> float:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text_page, index, matrix)
    # The size that the file gives is scaled by the matrix; 1 point keeps the arithmetic alive where that says nothing.
    return max(1.0, float(raw.FPDFText_GetFontSize(text_page, index)) * math.hypot(matrix.c, matrix.d))


def _is_bold(text_page: Any, index: int) -> bool:
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text_page, index, name, 128, flags)
    return any(word in name.value.lower() for word in (b"bold", b"black", b"heavy"))


NO_VALUE = frozenset(
    ["", "untitled", "(unspecified)", "(anonymous)", "unspecified", "anonymous"]
)  # what PDF makers write for none


def _pdf_fields(pdf: pypdfium2.PdfDocument) -> dict[str, str]:
    fields = {name: squeeze(value.replace("\0", "")) for name, value in pdf.get_metadata_dict().items()}
    return {name: value for name, value in fields.items() if value.lower() not in NO_VALUE}


def _pdf_date(fields: Mapping[str, str]) -> str | None:
    match = re.match(r"(?:D:)?(\d{4})(\d\d)(\d\d)", fields.get("CreationDate", ""))
    return "-".join(match.groups()) if match else None
