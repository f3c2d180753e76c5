"""Texts of LibreOffice and its kin (OpenDocument) -> canonical text."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from indexer.errors import UnreadableError
from indexer.formats import Block, Container, Content, assemble, squeeze

NAMES = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TEXT, TABLE, OFFICE, DRAW = (NAMES % name for name in ("text", "table", "office", "drawing"))
SVG = NAMES % "svg-compatible"
DUBLIN_CORE, META = "{http://purl.org/dc/elements/1.1/}", NAMES % "meta"
MIME = b"application/vnd.oasis.opendocument.text"
# Deleted text is kept aside in the first; the others are for the program, remarks in the margin, readings, names of pictures.
NEVER_TEXT = frozenset(
    [
        *(f"{TEXT}{name}" for name in ("tracked-changes", "sequence-decls", "note-citation", "ruby-text")),
        *(f"{OFFICE}{name}" for name in ("annotation", "forms")),
        *(f"{SVG}{name}" for name in ("title", "desc")),
    ]
)
# What stands in a paragraph and is not of it: notes and text boxes. A paragraph of its own follows it for each.
ASIDE = frozenset([f"{TEXT}note", f"{DRAW}text-box"])


def read_odt(data: bytes) -> Content:
    """A text document: headings, paragraphs, lists, tables, text boxes, notes; not deleted text, page headers and footers."""
    with Container(data, "odt") as container:
        if "mimetype" in container.namelist() and not container.part("mimetype").startswith(MIME):
            raise UnreadableError("is not a text document but another of LibreOffice's; save it as odt or PDF")
        if b"encryption-data" in (container.part("META-INF/manifest.xml") if _has_manifest(container) else b""):
            raise UnreadableError("is encrypted; save a copy without a password")
        body = container.tree("content.xml").find(f".//{OFFICE}text")
        meta = container.tree_or_empty("meta.xml")
    text, headings = assemble(_blocks(body) if body is not None else [])
    found = {name: squeeze(meta.findtext(f".//{place}") or "") for name, place in FIELDS.items()}
    keywords = ", ".join(squeeze(e.text or "") for e in meta.iter(f"{META}keyword"))
    metadata = {n: v for n, v in {**found, "keywords": keywords}.items() if v and n not in ("title", "date")}
    return Content(text, found["title"], found["date"], metadata, headings=headings)


FIELDS = {
    "title": f"{DUBLIN_CORE}title",
    "date": f"{META}creation-date",
    "author": f"{META}initial-creator",
    "subject": f"{DUBLIN_CORE}subject",
    "language": f"{DUBLIN_CORE}language",
}


def _has_manifest(container: Container) -> bool:
    return "META-INF/manifest.xml" in container.namelist()


def _blocks(root: Element) -> Iterator[Block]:
    for element in root:
        kind = element.tag
        if kind in NEVER_TEXT:
            continue
        if kind in (f"{TEXT}p", f"{TEXT}h"):
            level = _level(element) if kind == f"{TEXT}h" else 0
            yield Block([_line(element)], level)
            yield from _asides(element)
        elif kind == f"{TEXT}list":
            yield Block([_line(paragraph) for paragraph in _paragraphs(element)])
        elif kind == f"{TABLE}table":
            yield Block([_row(row) for row in _below(element, f"{TABLE}table-row")])
        else:  # a section, an index, a frame: what is in it
            yield from _blocks(element)


def _level(heading: Element) -> int:
    level = heading.get(f"{TEXT}outline-level") or ""
    return max(1, int(level)) if level.isdecimal() else 1


def _asides(element: Element) -> Iterator[Block]:
    for inner in element:
        if inner.tag in ASIDE:
            yield from _blocks(inner)
        elif inner.tag not in NEVER_TEXT:
            yield from _asides(inner)


def _paragraphs(element: Element) -> Iterator[Element]:
    """What is read in a list or cell, with that of lists, tables, notes and boxes within it."""
    for inner in element:
        if inner.tag in NEVER_TEXT:
            continue
        if inner.tag in (f"{TEXT}p", f"{TEXT}h"):
            yield inner
        yield from _paragraphs(inner)


def _below(element: Element, tag: str) -> Iterator[Element]:
    """The tags of a kind in it, not those in one of them: a cell may hold a table."""
    for inner in element:
        if inner.tag == tag:
            yield inner
        else:
            yield from _below(inner, tag)


def _row(row: Element) -> str:
    """The row's cells; one that repeats another over many columns is there once."""
    cells = (squeeze(" ".join(map(_line, _paragraphs(cell)))) for cell in _below(row, f"{TABLE}table-cell"))
    return "; ".join(cell for cell in cells if cell)


def _line(element: Element) -> str:
    return squeeze("".join(_pieces(element)))


def _pieces(element: Element) -> Iterator[str]:
    """The text of a paragraph, without that of notes and boxes in it."""
    yield element.text or ""
    for child in element:
        if child.tag in (f"{TEXT}s", f"{TEXT}tab", f"{TEXT}line-break"):
            yield " "
        elif child.tag not in ASIDE and child.tag not in NEVER_TEXT:
            yield from _pieces(child)
        yield child.tail or ""
