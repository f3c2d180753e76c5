"""File formats -> canonical text.

Each reader takes a file's bytes and returns its `Content`. In the text every paragraph, list item and table row is
one line, and a blank line separates blocks (a paragraph, a whole list, a whole table); plain text and Markdown are
kept as they are written.
"""

from __future__ import annotations

import codecs
import csv
import ctypes
import io
import json
import math
import posixpath
import re
import threading
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import groupby, pairwise
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from indexer.errors import UnreadableError


class Heading(NamedTuple):
    """A heading line inside the canonical text: `text[start:end]` is its text, `level` 1..6."""

    start: int
    end: int
    level: int


class Content(NamedTuple):
    """What a reader found. `title` is "" and `date` None where the file has none; `date` is as the file writes it."""

    text: str
    title: str = ""
    date: str | None = None
    metadata: Mapping[str, Any] = {}
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()


class Block(NamedTuple):
    """Lines that belong together; a heading if `level` is not 0."""

    lines: Sequence[str]
    level: int = 0


class Format(NamedTuple):
    """A media type and what reads it. The reader raises `UnreadableError`, or whatever a library raises for damaged bytes."""

    media_type: str
    read: Callable[[bytes], Content]


def squeeze(text: str) -> str:
    """Return the text on one line, runs of white space as one space, without soft hyphens (they show only at line ends)."""
    return " ".join(text.replace("\xad", "").split())


def assemble(blocks: Iterable[Block]) -> tuple[str, tuple[Heading, ...]]:
    """Join blocks to the canonical text and the places of its headings; empty lines and blocks leave no trace."""
    parts: list[str] = []
    headings: list[Heading] = []
    length = 0
    for block in blocks:
        part = "\n".join(line for line in block.lines if line)
        if not part:
            continue
        length += 2 if parts else 0
        if block.level:
            headings.append(Heading(length, length + len(part), min(block.level, 6)))
        parts.append(part)
        length += len(part)
    return "\n\n".join(parts), tuple(headings)


# --- plain text, Markdown, tables of text ----------------------------------------------------------------------------

# UTF-32's mark begins with that of UTF-16, so it comes first.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip container (such as docx, xlsx or epub)"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"{\\rtf", "an RTF text"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)


def decode(data: bytes, fallback: str | None = None) -> str:
    """Return the bytes as text: by their byte order mark, else as UTF-8, else as `fallback`. Line ends become LF.

    Raises `UnreadableError` for another encoding and for binary content.
    """
    mark, encoding = next(((m, e) for m, e in BYTE_ORDER_MARKS if data.startswith(m)), (b"", "utf-8"))
    if not mark and b"\0" in data:
        raise UnreadableError(_binary_reason(data))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if mark or fallback is None:
            raise UnreadableError(_encoding_reason(data, encoding, error.start + len(mark))) from None
        text = _decode_as(data, fallback)
    if "\0" in text or len(re.findall(r"[\x01-\x08\x0e-\x1f\x7f]", text)) * 4 > len(text):
        raise UnreadableError(_binary_reason(data))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise UnreadableError(f'declares an encoding that nobody knows, "{encoding}"; save it as UTF-8') from None
    except UnicodeDecodeError as error:
        raise UnreadableError(_encoding_reason(data, encoding, error.start)) from None


def _encoding_reason(data: bytes, encoding: str, offset: int) -> str:
    kind = signature(data)
    if kind:
        return f"is not text but {kind}; give it its right suffix"
    return (
        f"is not {encoding.upper()} (byte 0x{data[offset]:02x} at offset {offset}); convert it, for example: "
        "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
    )


def _binary_reason(data: bytes) -> str:
    kind = signature(data)
    if kind:
        return f"is not text but {kind}; give it its right suffix"
    return "looks binary, not text; if it is UTF-16 without a byte order mark: iconv -f UTF-16LE -t UTF-8 OLD > NEW"


def signature(data: bytes) -> str:
    """Return in words what the first bytes say that the file is, "" if they say nothing."""
    head = data.lstrip()[:16].lower()
    return next((name for start, name in SIGNATURES if head.startswith(start.lower())), "")


def read_text(data: bytes) -> Content:
    """Plain text, verbatim."""
    return Content(decode(data))


def read_markdown(data: bytes) -> Content:
    """Markdown, verbatim, with its headings; YAML front matter becomes metadata and leaves the text."""
    from markdown_it import MarkdownIt

    front, text = _front_matter(decode(data))
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    headings = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map and inline.content:
            start = text.find(inline.content, starts[token.map[0]], starts[token.map[1]])
            if start >= 0:
                headings.append(Heading(start, start + len(inline.content), int(token.tag[1])))
    first = next((squeeze(text[h.start : h.end]) for h in headings if h.level == 1), "")
    title, date = front.pop("title", None), front.get("date")
    return Content(text, str(title or first), date if isinstance(date, str) else None, front, headings=tuple(headings))


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return the YAML front matter's fields and the text after it; no fields and all of the text if it is broken."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    match = re.match(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if not match:
        return {}, text
    try:
        # An alias can stand for a text of any length; nobody writes one in front matter.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(match[1])):
            return {}, text
        fields = yaml.safe_load(match[1])
        fields = json.loads(json.dumps(fields, default=str, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}, text
    return (fields, text[match.end() :]) if isinstance(fields, dict) else ({}, text)


def read_csv(data: bytes) -> Content:
    """Comma, semicolon or tab separated values: one line a row."""
    text = decode(data)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    return Content("\n".join(row_lines([[squeeze(cell) for cell in row] for row in rows])))


def _delimiter(text: str) -> str:
    """The one of comma, semicolon and tab that cuts most of the first rows into the same number of cells, more than one."""

    def agreement(delimiter: str) -> tuple[int, int]:
        sample = csv.reader(io.StringIO(text[:65536], newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row, _ in zip(sample, range(50), strict=False) if len(row) > 1)
        return max(((count, width) for width, count in widths.items()), default=(0, 0))

    return max(",;\t", key=agreement)


def row_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row: "column: value; column: value" if the first row is a header, else the cells; empty cells are left out."""
    filled = [row for row in rows if any(row)]
    if not _has_header(filled):
        return ["; ".join(cell for cell in row if cell) for row in filled]
    names = filled[0]
    return [
        "; ".join(f"{names[i]}: {cell}" if i < len(names) and names[i] else cell for i, cell in enumerate(row) if cell)
        for row in filled[1:]
    ]


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """A header names at least two columns, each once, in words (a number or date is a value) and has a row below it."""
    names = [name for name in rows[0] if name] if rows else []
    width = max((i + 1 for row in rows[1:] for i, cell in enumerate(row) if cell), default=0)
    return (
        len(rows) > 1
        and len(names) > 1
        and len(set(names)) == len(names) >= width
        and all(len(name) <= 100 and any(c.isalpha() for c in name) for name in names)
    )


# --- web pages -------------------------------------------------------------------------------------------------------

ENDS_BLOCK = frozenset(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form header hgroup hr html legend main menu nav ol option p pre section summary ul".split()
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
LISTS = frozenset(["ul", "ol", "dl", "menu", "dir"])
NEVER_TEXT = frozenset(
    ["script", "style", "template", "svg", "noscript", "iframe", "object", "select", "textarea", "canvas", "audio", "video"]
)
BESIDE_TEXT = frozenset(["nav", "footer"])
DATE_NAMES = (
    "article:published_time",
    "datepublished",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "dc.date.created",
    "date",
)


class _Page(HTMLParser):
    """Collects the blocks of a web page. Its state is flat, so that unclosed and stray tags cost at most one wrong break."""

    def __init__(self, skipped: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.meta: dict[str, str] = {}
        self.title: str | None = None
        self.language = ""
        self.skipping = ""  # the element whose content is left out
        self._skip_depth = 0
        self._skipped = skipped
        self._text: list[str] = []
        self._group: list[str] = []  # lines of the list or table that is open
        self._lists = 0
        self._tables: list[list[list[str]]] = []  # for each open table the cells of its row, each a list of lines
        self._heading = 0
        self._verbatim = False
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.skipping:
            self._skip_depth += tag == self.skipping
        elif tag in self._skipped:
            self._end_line()
            self.skipping, self._skip_depth = tag, 1
        elif tag == "br":
            self._text.append("\n")
        elif tag == "title":
            self._in_title, self.title = self.title is None, self.title or ""
        elif tag == "meta":
            fields = {name: value or "" for name, value in attrs}
            key = fields.get("name") or fields.get("property") or fields.get("itemprop") or ""
            self.meta.setdefault(key.lower(), fields.get("content", "").strip())
        else:
            if tag == "html":
                self.language = dict(attrs).get("lang") or ""
            self._open(tag)

    def _open(self, tag: str) -> None:
        if tag in ENDS_BLOCK or tag in HEADINGS or tag in ("li", "table", "tr", "td", "th"):
            self._end_line()
        if tag in LISTS:
            if not self._lists and not self._tables:
                self._end_group()
            self._lists += 1
        elif tag in HEADINGS or tag == "table":
            self._end_tables()
            self._heading = HEADINGS.get(tag, 0)
            if tag == "table":
                self._tables.append([])
        elif tag == "tr":
            self._end_row()
        elif tag in ("td", "th") and self._tables:
            self._tables[-1].append([])
        elif tag == "pre":
            self._verbatim = True

    def handle_endtag(self, tag: str) -> None:
        if self.skipping:
            self._skip_depth -= tag == self.skipping
            self.skipping = self.skipping if self._skip_depth else ""
        elif tag == "title":
            self._in_title = False
        elif tag in ENDS_BLOCK or tag in HEADINGS or tag in ("li", "table", "tr", "td", "th"):
            self._end_line()
            self._close(tag)

    def _close(self, tag: str) -> None:
        if tag in LISTS:
            self._lists = max(0, self._lists - 1)
            if not self._lists and not self._tables:
                self._end_group()
        elif tag in HEADINGS:
            self._heading = 0
        elif tag == "tr":
            self._end_row()
        elif tag == "table" and self._tables:
            self._end_row()
            self._tables.pop()
            self._end_group()
        elif tag == "pre":
            self._verbatim = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = (self.title or "") + data
        elif not self.skipping:
            self._text.append(data if self._verbatim else re.sub(r"\s+", " ", data))

    def close(self) -> None:
        super().close()
        self._end_line()
        self._end_tables()

    def _end_line(self) -> None:
        """Close the line that is open. Two line breaks with nothing between them are how old pages end a paragraph."""
        text, self._text = "".join(self._text), []
        pieces = text.split("\n") if self._verbatim else re.split(r"\n *\n", text)
        lines = [line for line in (squeeze(piece) for piece in pieces) if line]
        if self._heading:
            self.blocks.append(Block([" ".join(lines)], self._heading))
        elif self._tables and self._tables[-1]:
            self._tables[-1][-1].extend(lines)
        elif self._lists:
            self._group.extend(lines)
        elif lines:
            self._end_group()
            self.blocks.extend([Block(lines)] if self._verbatim else [Block([line]) for line in lines])

    def _end_row(self) -> None:
        if not self._tables:
            return
        cells = [cell for cell in self._tables[-1] if cell]
        # The only cell of a row frames text rather than tabulating it: its paragraphs stay apart.
        self._group.extend(cells[0] if len(cells) == 1 else ["; ".join(" ".join(cell) for cell in cells)])
        self._tables[-1] = []

    def _end_tables(self) -> None:
        """A heading or a table inside a cell: the outer table only places things on the page, so what it holds is no row."""
        row = self._tables[-1] if self._tables else []  # those around it were emptied when this one began
        for cell in row:
            self._end_group()
            self.blocks.extend(Block([line]) for line in cell)
        row.clear()
        self._end_group()

    def _end_group(self) -> None:
        self.blocks.append(Block(self._group))
        self._group = []


def read_html(data: bytes) -> Content:
    """A web page: its text without navigation, footer and scripts; title, date and author of its head."""
    page = _parse_page(decode(data, _declared_encoding(data)))
    text, headings = assemble(page.blocks)
    date = next((page.meta[name] for name in DATE_NAMES if page.meta.get(name)), None)
    found = {name: page.meta.get(name, "") for name in ("author", "description", "keywords")}
    metadata = {name: value for name, value in {**found, "language": page.language}.items() if value}
    return Content(text, squeeze(page.title or ""), date, metadata, headings=headings)


def _parse_page(source: str) -> _Page:
    page = _Page(NEVER_TEXT | BESIDE_TEXT)
    page.feed(source)
    page.close()
    # A page that never closes its <nav>, or is nothing else, is read whole.
    if page.skipping in BESIDE_TEXT or not any(any(block.lines) for block in page.blocks):
        page = _Page(NEVER_TEXT)
        page.feed(source)
        page.close()
    return page


def _declared_encoding(data: bytes) -> str | None:
    match = re.search(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", data[:2048], re.IGNORECASE)
    name = match[1].decode("ascii", "replace").lower() if match else None
    # What browsers do with these labels (https://encoding.spec.whatwg.org/#names-and-labels).
    return {"iso-8859-1": "windows-1252", "latin1": "windows-1252", "us-ascii": "windows-1252", "gb2312": "gb18030"}.get(
        name or "", name
    )


# --- zip containers: docx, pptx, xlsx, epub --------------------------------------------------------------------------

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DC = "{http://purl.org/dc/elements/1.1/}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # repeats what its sibling says
LARGEST_PART = 1 << 29  # bytes unpacked; a part of a real document is far smaller, a zip bomb is not

PARTS = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "xlsx",
    "META-INF/container.xml": "epub",
}


class _Container(zipfile.ZipFile):
    """A zip file that holds the part which makes it a docx, pptx, xlsx or epub."""

    def __init__(self, data: bytes, main: str) -> None:
        kind = PARTS[main]
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            raise UnreadableError(_compound_reason(data, kind))
        try:
            super().__init__(io.BytesIO(data))
        except zipfile.BadZipFile:
            what = signature(data)
            if data.startswith(b"PK") or not what:
                raise UnreadableError(f"is damaged: not a whole {kind} file; copy or download it again") from None
            raise UnreadableError(f"is not a {kind} file but {what}; give it its right suffix") from None
        names = set(self.namelist())
        if main not in names:
            other = next((f"a {kind} file" for part, kind in PARTS.items() if part in names), "another zip container")
            raise UnreadableError(f"is not a {kind} file but {other}; give it its right suffix")

    def part(self, name: str) -> bytes:
        try:
            info = self.getinfo(name)
            if info.file_size > LARGEST_PART:
                raise UnreadableError(f"holds a part of {info.file_size >> 20} MiB ({name}), too large to be read")
            return self.read(info)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UnreadableError(f"is damaged: its part {name} cannot be read; copy or download it again [{error}]") from None
        except RuntimeError:
            raise UnreadableError("is encrypted; save a copy without a password") from None

    def tree(self, name: str) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(self.part(name))  # noqa: S314 - expat stops entity bombs and reads no external entity
        except ElementTree.ParseError as error:
            raise UnreadableError(f"is damaged: its part {name} is not XML; copy or download it again [{error}]") from None

    def tree_or_empty(self, name: str) -> ElementTree.Element:
        return self.tree(name) if name in self.namelist() else ElementTree.Element("none")

    def related(self, name: str) -> dict[str, str]:
        """Relationship id -> the part that it points to, of a part of an Office file."""
        folder, file = posixpath.split(name)
        relations = self.tree_or_empty(f"{folder}/_rels/{file}.rels")
        return {
            r.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, r.get("Target", ""))).lstrip("/") for r in relations
        }


def _compound_reason(data: bytes, kind: str) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "is encrypted; save a copy without a password"
    return f"is an Office file of the old binary kind; save it as {kind}"


def _office(container: _Container, blocks: Iterable[Block]) -> Content:
    """Blocks and the file's core properties -> content."""
    core = {e.tag.rpartition("}")[2]: squeeze(e.text or "") for e in container.tree_or_empty("docProps/core.xml")}
    text, headings = assemble(blocks)
    names = {"creator": "author", "subject": "subject", "keywords": "keywords", "language": "language"}
    metadata = {names[name]: value for name, value in core.items() if name in names and value}
    return Content(text, core.get("title", ""), core.get("created"), metadata, headings=headings)


def read_docx(data: bytes) -> Content:
    """A Word document: paragraphs, lists, tables, text boxes, notes; not deleted text, page headers and footers."""
    with _Container(data, "word/document.xml") as container:
        styles = _Styles(container.tree_or_empty("word/styles.xml"))
        parts = [container.tree("word/document.xml")]
        parts += [container.tree_or_empty(f"word/{name}.xml") for name in ("footnotes", "endnotes")]
        return _office(container, (block for part in parts for block in _merge_lists(_word_blocks(part, styles))))


class _Styles:
    """The heading level of each paragraph style, and whether it is a list's."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._styles = {style.get(f"{W}styleId"): style for style in root.iter(f"{W}style")}

    def level(self, paragraph: ElementTree.Element) -> int:
        properties = paragraph.find(f"{W}pPr")
        return next((level for level in map(_outline_level, self._chain(properties)) if level is not None), 0)

    def is_list(self, paragraph: ElementTree.Element) -> bool:
        properties = paragraph.find(f"{W}pPr")
        return any(source.find(f".//{W}numPr") is not None for source in self._chain(properties))

    def _chain(self, properties: ElementTree.Element | None) -> Iterator[ElementTree.Element]:
        """The paragraph's own properties, then its style, then the style that it is based on ... each once."""
        if properties is None:
            return
        yield properties
        seen: set[str | None] = set()
        link = properties.find(f"{W}pStyle")
        while link is not None and (name := link.get(f"{W}val")) not in seen and name in self._styles:
            seen.add(name)
            yield self._styles[name]
            link = self._styles[name].find(f"{W}basedOn")


def _outline_level(source: ElementTree.Element) -> int | None:
    outline = source.find(f".//{W}outlineLvl")
    if outline is not None and outline.get(f"{W}val", "").isdigit():
        level = int(outline.get(f"{W}val", "")) + 1
        return level if level <= 6 else 0
    named = source.find(f"{W}name")
    name = named.get(f"{W}val", "").lower() if named is not None else ""
    if match := re.fullmatch(r"heading ([1-6])", name):
        return int(match[1])
    return 1 if name == "title" else None


class _Item(Block):
    """A list item, before the items of one list are brought together."""


def _word_blocks(container: ElementTree.Element, styles: _Styles) -> Iterator[Block]:
    for child in container:
        if child.tag == f"{W}p":
            line, level = squeeze("".join(_word_text(child))), styles.level(child)
            yield _Item([line]) if not level and styles.is_list(child) else Block([line], level)
            for box in _text_boxes(child):
                yield from _word_blocks(box, styles)
        elif child.tag == f"{W}tbl":
            yield Block([_word_row(row) for row in child.iter(f"{W}tr")])
        # A note with a type is the line that separates notes from text.
        elif child.tag not in (f"{W}del", f"{W}moveFrom", FALLBACK, f"{W}sectPr") and not child.get(f"{W}type"):
            yield from _word_blocks(child, styles)


def _merge_lists(blocks: Iterable[Block]) -> Iterator[Block]:
    items: list[str] = []
    for block in blocks:
        if isinstance(block, _Item):
            items.extend(block.lines)
        elif any(block.lines):
            yield Block(items)
            items = []
            yield block
    yield Block(items)


WORD_MARKS = {f"{W}tab": " ", f"{W}br": " ", f"{W}cr": " ", f"{W}noBreakHyphen": "-"}
WORD_ASIDE = frozenset([f"{W}del", f"{W}moveFrom", f"{W}pPr", f"{W}rPr", f"{W}txbxContent", FALLBACK])


def _word_text(node: ElementTree.Element) -> Iterator[str]:
    for child in node:
        if child.tag == f"{W}t":
            yield child.text or ""
        elif child.tag in WORD_MARKS:
            yield WORD_MARKS[child.tag]
        elif child.tag not in WORD_ASIDE:
            yield from _word_text(child)


def _text_boxes(node: ElementTree.Element) -> Iterator[ElementTree.Element]:
    for child in node:
        if child.tag == f"{W}txbxContent":
            yield child
        elif child.tag != FALLBACK:
            yield from _text_boxes(child)


def _word_row(row: ElementTree.Element) -> str:
    cells = (squeeze(" ".join("".join(_word_text(p)) for p in cell.iter(f"{W}p"))) for cell in row.findall(f"{W}tc"))
    return "; ".join(cell for cell in cells if cell)


def read_pptx(data: bytes) -> Content:
    """A presentation: on each slide its title (a heading), text, tables, then the speaker's notes."""
    with _Container(data, "ppt/presentation.xml") as container:
        main = "ppt/presentation.xml"
        related = container.related(main)
        slides = [related.get(s.get(f"{R}id", ""), "") for s in container.tree(main).iter(f"{P}sldId")]
        return _office(container, [block for slide in slides for block in _slide_blocks(container, slide)])


def _slide_blocks(container: _Container, slide: str) -> list[Block]:
    blocks = list(_shape_blocks(container.tree(slide)))
    blocks.sort(key=lambda block: block.level == 0)  # the title first, wherever the file has it
    for target in container.related(slide).values():
        if "/notesSlides/" in target:
            blocks += [block for block in _shape_blocks(container.tree(target), only="body") if not block.level]
    return blocks


def _shape_blocks(node: ElementTree.Element, only: str = "") -> Iterator[Block]:
    for child in node:
        if child.tag == f"{P}sp":
            place = child.find(f".//{P}ph")
            kind = place.get("type", "") if place is not None else ""
            lines = [_drawn_text(p) for p in child.iter(f"{A}p")]
            if kind in ("title", "ctrTitle"):
                yield Block([" ".join(filter(None, lines))], 1)
            elif kind not in ("dt", "ftr", "sldNum") and only in ("", kind):
                yield Block(lines)
        elif child.tag == f"{A}tbl":
            rows = (
                [" ".join(filter(None, map(_drawn_text, cell.iter(f"{A}p")))) for cell in row] for row in child.iter(f"{A}tr")
            )
            yield Block(["; ".join(filter(None, row)) for row in rows])
        elif child.tag != FALLBACK:
            yield from _shape_blocks(child, only)


def _drawn_text(paragraph: ElementTree.Element) -> str:
    return squeeze(
        "".join(" " if e.tag == f"{A}br" else e.text or "" for e in paragraph.iter() if e.tag in (f"{A}t", f"{A}br"))
    )


def read_xlsx(data: bytes) -> Content:
    """A workbook: each sheet under its name, one line a row."""
    import kreuzberg

    with _Container(data, "xl/workbook.xml") as container:
        for name in container.namelist():  # the library leaves out a damaged sheet without a word
            container.part(name)
        config = kreuzberg.ExtractionConfig(use_cache=False, enable_quality_processing=False)
        found = kreuzberg.extract_bytes_sync(data, FORMATS[".xlsx"].media_type, config=config)
        names = found.metadata.get("sheet_names", [])
        sheets = [(names[table.page_number - 1], table.cells) for table in found.tables]
        return _office(container, (block for name, rows in sheets for block in _sheet_blocks(name, rows)))


def _sheet_blocks(name: str, rows: Iterable[Sequence[str]]) -> Iterator[Block]:
    # A day comes as its midnight.
    lines = row_lines([[squeeze(cell).removesuffix(" 00:00:00") for cell in row] for row in rows])
    return iter([Block([squeeze(name)], 1), Block(lines)] if lines else [])


def read_epub(data: bytes) -> Content:
    """An e-book: its chapters in reading order, without the table of contents."""
    with _Container(data, "META-INF/container.xml") as container:
        root = next(container.tree("META-INF/container.xml").iterfind(".//{*}rootfile"), None)
        package_name = unquote(root.get("full-path", "")) if root is not None else ""
        package = container.tree(package_name)
        _check_rights(container)
        chapters = [decode(container.part(name)) for name in _spine(package, posixpath.dirname(package_name))]
        text, headings = assemble(block for chapter in chapters for block in _parse_page(chapter).blocks)
    found = {name: squeeze(package.findtext(f".//{DC}{name}") or "") for name in ("title", "date", "language")}
    authors = ", ".join(squeeze(e.text or "") for e in package.iter(f"{DC}creator"))
    metadata = {name: value for name, value in {"author": authors, "language": found["language"]}.items() if value}
    return Content(text, found["title"], found["date"], metadata, headings=headings)


def _spine(package: ElementTree.Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.iterfind(".//{*}item")}
    for reference in package.iterfind(".//{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and "nav" not in item.get("properties", "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _check_rights(container: _Container) -> None:
    hidden = container.tree_or_empty("META-INF/encryption.xml").iterfind(".//{*}CipherReference")
    # Fonts are often veiled so; only locked chapters lock the book.
    if any(reference.get("URI", "").lower().endswith(("html", "htm", "xml")) for reference in hidden):
        raise UnreadableError("is locked by its seller (DRM); only a copy without it can be read")


# --- e-mail ----------------------------------------------------------------------------------------------------------


def read_eml(data: bytes) -> Content:
    """A message: its plain text, else its web page; the subject is the title, attachments are named in the metadata."""
    from email import message_from_bytes, policy

    message = message_from_bytes(data, policy=policy.default)
    if not any(message[name] for name in ("from", "to", "subject", "date", "message-id")):
        raise UnreadableError(
            f"is not an e-mail: it has no From, To, Subject or Date{' but is ' + signature(data) if signature(data) else ''}"
        )
    body = message.get_body(("plain", "html"))
    attachments = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    fields = {name: str(message[name] or "") for name in ("from", "to", "cc")}
    metadata: dict[str, Any] = {name: value for name, value in {**fields, "attachments": attachments}.items() if value}
    found = _message_content(body) if isinstance(body, EmailMessage) else Content("")
    if not found.text.strip():
        raise UnreadableError(
            f"is a message without text{' (attached: ' + ', '.join(attachments) + ')' if attachments else ''}"
        )
    return Content(
        found.text, squeeze(str(message["subject"] or "")), str(message["date"] or ""), metadata, headings=found.headings
    )


def _message_content(body: EmailMessage) -> Content:
    text = str(body.get_content()).replace("\r\n", "\n").replace("\r", "\n")
    if body.get_content_subtype() == "html":
        return read_html(text.encode("utf-8", "replace"))
    if body.get_param("format") == "flowed":  # RFC 3676: a space at the end of a line means that the paragraph goes on
        text = re.sub(r"(?<!^--) \n", " ", text, flags=re.MULTILINE)
    return Content(text)


# --- PDF -------------------------------------------------------------------------------------------------------------

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
    import pypdfium2

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


def _page_lines(pdf: Any, number: int) -> Iterator[_Line]:
    """The lines of a page in the order in which the file draws them, as the library tells them apart."""
    from pypdfium2 import raw

    page = pdf[number]
    text_page = page.get_textpage()
    units = [raw.FPDFText_GetUnicode(text_page, i) for i in range(text_page.count_chars())]
    start = 0
    for i, unit in enumerate([*units, 10]):
        if unit in (10, 13, LINE_END_HYPHEN):  # no line end follows the hyphen of a divided word
            inked = [k for k in range(start, i) if units[k] > 32] + [i] * (unit == LINE_END_HYPHEN)
            if inked:
                yield _line(raw, text_page, units, inked, number)
            start = i + 1
    text_page.close()
    page.close()


def _line(raw: Any, text_page: Any, units: Sequence[int], inked: Sequence[int], number: int) -> _Line:
    """Make a line of the page's characters from the first to the last of `inked`."""
    letters = [i for i in inked if chr(units[i]).isalpha()]
    # A line from right to left is mirrored, so that every line begins at its `left`.
    mirrored = bool(letters) and _is_from_right(units[letters[0]])
    order = _reading_order(raw, text_page, units, inked) if mirrored else range(inked[0], inked[-1] + 1)
    # Characters past U+FFFF come as two units of UTF-16.
    text = "".join(chr(units[i]) for i in order).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    # Ligatures and the joined forms of Arabic letters are one character in print and plain letters in a question.
    text = re.sub("[\ufb00-\ufdff\ufe70-\ufefc]+", lambda found: unicodedata.normalize("NFKC", found[0]), text)
    first, last = raw.FS_RECTF(), raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text_page, order[0], first)
    raw.FPDFText_GetLooseCharBox(text_page, order[-1], last)
    left, right = (-first.right, -last.left) if mirrored else (first.left, last.right)
    # The first letter speaks for the line: a bullet is often of another font.
    baseline, size = _baseline_and_size(raw, text_page, letters[0] if letters else inked[0])
    bold = all(_is_bold(raw, text_page, i) for i in (inked[0], inked[-1]))
    return _Line(squeeze(text.replace("\0", "")), left, right, baseline, size, number, bold)


def _is_from_right(unit: int) -> bool:
    return unicodedata.bidirectional(chr(unit)) in ("R", "AL")


def _reading_order(raw: Any, text_page: Any, units: Sequence[int], inked: Sequence[int]) -> list[int]:
    """The line's characters, each word from right to left: the library gives words that Chromium printed back to front."""
    order: list[int] = []
    for from_right, word in groupby(range(inked[0], inked[-1] + 1), lambda i: _is_from_right(units[i])):
        indices = list(word)
        ends = [raw.FS_RECTF(), raw.FS_RECTF()]
        for index, box in zip((indices[0], indices[-1]), ends, strict=True):
            raw.FPDFText_GetLooseCharBox(text_page, index, box)
        order += reversed(indices) if from_right and ends[0].left < ends[1].left else indices
    return order


def _baseline_and_size(raw: Any, text_page: Any, index: int) -> tuple[float, float]:
    x, y, matrix = ctypes.c_double(), ctypes.c_double(), raw.FS_MATRIX()
    raw.FPDFText_GetCharOrigin(text_page, index, x, y)
    raw.FPDFText_GetMatrix(text_page, index, matrix)
    # The size that the file gives is scaled by the matrix; 1 point keeps the arithmetic alive where that says nothing.
    return y.value, max(1.0, raw.FPDFText_GetFontSize(text_page, index) * math.hypot(matrix.c, matrix.d))


def _is_bold(raw: Any, text_page: Any, index: int) -> bool:
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


def _pdf_fields(pdf: Any) -> dict[str, str]:
    fields = {name: squeeze(value.replace("\0", "")) for name, value in pdf.get_metadata_dict().items()}
    return {name: value for name, value in fields.items() if value.lower() not in NO_VALUE}


def _pdf_date(fields: Mapping[str, str]) -> str | None:
    match = re.match(r"(?:D:)?(\d{4})(\d\d)(\d\d)", fields.get("CreationDate", ""))
    return "-".join(match.groups()) if match else None


FORMATS: dict[str, Format] = {
    **dict.fromkeys((".txt", ".text", ".log"), Format("text/plain", read_text)),
    ".rst": Format("text/x-rst", read_text),
    **dict.fromkeys((".md", ".markdown"), Format("text/markdown", read_markdown)),
    ".csv": Format("text/csv", read_csv),
    ".tsv": Format("text/tab-separated-values", read_csv),
    **dict.fromkeys((".html", ".htm"), Format("text/html", read_html)),
    ".xhtml": Format("application/xhtml+xml", read_html),
    ".docx": Format("application/vnd.openxmlformats-officedocument.wordprocessingml.document", read_docx),
    ".pptx": Format("application/vnd.openxmlformats-officedocument.presentationml.presentation", read_pptx),
    ".xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", read_xlsx),
    ".epub": Format("application/epub+zip", read_epub),
    ".eml": Format("message/rfc822", read_eml),
    ".pdf": Format("application/pdf", read_pdf),
}
JSON_LINES = frozenset([".jsonl", ".ndjson"])
