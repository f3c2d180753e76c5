"""What the readers of all formats share, the readers of plain text, and which suffix is whose.

Each reader takes a file's bytes and returns its `Content`. In the text every paragraph, list item and table row is
one line, and a blank line separates blocks (a paragraph, a whole list, a whole table); plain text and Markdown are
kept as they are written.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple
from xml.etree import ElementTree

from indexer.errors import UnreadableError


class Heading(NamedTuple):
    """A heading line inside the canonical text: `text[start:end]` is its text, `level` 1..6."""

    start: int
    end: int
    level: int


class Remark(NamedTuple):
    """What a user should know of a file that was read; `about` is a part of it: "pages 2-4", "line 17", "" for the whole."""

    about: str
    remark: str


class Content(NamedTuple):
    """What a reader found. `title` is "" and `date` None where the file has none; `date` is as the file writes it."""

    text: str
    title: str = ""
    date: str | None = None
    metadata: Mapping[str, Any] = {}
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    remarks: tuple[Remark, ...] = ()


class Block(NamedTuple):
    """Lines that belong together; a heading if `level` is not 0."""

    lines: Sequence[str]
    level: int = 0


class Format(NamedTuple):
    """A media type and what reads it. The reader raises `UnreadableError`, or whatever a library raises for damaged bytes."""

    media_type: str
    read: Callable[[bytes], Content]
    version: int = 1  # raise it when the same file would give another content: it is then read again


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


LONGEST_TEXT = 20_000_000  # characters of one document: the Bible four times over
MOST_PARTS = 20_000  # of a container; a book of a thousand chapters and pictures has a tenth of it
LARGEST_WHOLE = 1 << 30  # bytes of all parts together, unpacked
LARGEST_PART = 1 << 29  # bytes unpacked; a part of a real document is far smaller, a zip bomb is not
KINDS = {
    "word/": "docx",
    "ppt/": "pptx",
    "xl/": "xlsx",
    "META-INF/container.xml": "epub",
    "content.xml": "odt",
}  # how a part's name begins


class Container(zipfile.ZipFile):
    """A zip file of the kind docx, pptx, xlsx, epub or odt."""

    def __init__(self, data: bytes, kind: str) -> None:
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            raise UnreadableError(_compound_reason(data, kind))
        try:
            super().__init__(io.BytesIO(data))
        except zipfile.BadZipFile:
            what = signature(data)
            if data.startswith(b"PK") or not what:
                raise UnreadableError(f"is damaged: not a whole {kind} file; copy or download it again") from None
            raise UnreadableError(f"is not a {kind} file but {what}; give it its right suffix") from None
        self._check_size()
        kinds = [found for start, found in KINDS.items() if any(name.startswith(start) for name in self.namelist())]
        if kind not in kinds:
            other = f"a {kinds[0]} file" if kinds else "another zip container"
            raise UnreadableError(f"is not a {kind} file but {other}; give it its right suffix")

    def _check_size(self) -> None:
        """By what the parts declare, which the module holds them to: it unpacks no more and compares a checksum."""
        parts = self.infolist()
        if len(parts) > MOST_PARTS:
            raise UnreadableError(f"has {len(parts):,} parts, more than the {MOST_PARTS:,} that are read")
        if (size := sum(part.file_size for part in parts)) > LARGEST_WHOLE:
            raise UnreadableError(f"unpacks to {size >> 20:,} MiB, more than the {LARGEST_WHOLE >> 20:,} MiB that are read")

    def part(self, name: str) -> bytes:
        """Return a part's bytes, unpacked."""
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
        """Return a part that is XML, parsed."""
        try:
            return ElementTree.fromstring(self.part(name))  # noqa: S314 - expat stops entity bombs and reads no external entity
        except ElementTree.ParseError as error:
            raise UnreadableError(f"is damaged: its part {name} is not XML; copy or download it again [{error}]") from None

    def tree_or_empty(self, name: str) -> ElementTree.Element:
        """Return a part as `tree` does, an element without content if there is no such part."""
        return self.tree(name) if name in self.namelist() else ElementTree.Element("none")

    def check_parts(self) -> None:
        """Read every part, for a library that leaves out a damaged one without a word."""
        for name in self.namelist():
            self.part(name)


def _compound_reason(data: bytes, kind: str) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "is encrypted; save a copy without a password"
    return f"is an Office file of the old binary kind; save it as {kind}"


def read_text(data: bytes) -> Content:
    """Plain text, verbatim."""
    return Content(decode(data))


def _deferred(module: str, name: str) -> Callable[[bytes], Content]:
    """A reader whose module, and the libraries behind it, are imported when the first such file comes."""

    def read(data: bytes) -> Content:
        reader: Callable[[bytes], Content] = getattr(import_module(f"indexer.{module}"), name)
        return reader(data)

    return read


FORMATS: dict[str, Format] = {
    **dict.fromkeys((".txt", ".text", ".log"), Format("text/plain", read_text)),
    ".rst": Format("text/x-rst", read_text),
    **dict.fromkeys((".md", ".markdown"), Format("text/markdown", _deferred("markdown", "read_markdown"))),
    ".csv": Format("text/csv", _deferred("tables", "read_csv")),
    ".tsv": Format("text/tab-separated-values", _deferred("tables", "read_csv")),
    **dict.fromkeys((".html", ".htm"), Format("text/html", _deferred("web", "read_html"), 2)),
    ".xhtml": Format("application/xhtml+xml", _deferred("web", "read_html"), 2),
    ".docx": Format(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", _deferred("office", "read_docx"), 2
    ),
    ".pptx": Format(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation", _deferred("office", "read_pptx")
    ),
    ".xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _deferred("office", "read_xlsx")),
    ".epub": Format("application/epub+zip", _deferred("books", "read_epub"), 2),
    ".odt": Format("application/vnd.oasis.opendocument.text", _deferred("opendocument", "read_odt"), 2),
    ".rtf": Format("application/rtf", _deferred("richtext", "read_rtf"), 2),
    ".eml": Format("message/rfc822", _deferred("mail", "read_eml"), 2),
    ".pdf": Format("application/pdf", _deferred("pdf", "read_pdf"), 2),
}
JSON_LINES = frozenset([".jsonl", ".ndjson"])
