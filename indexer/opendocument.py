"""Texts of LibreOffice and its kin (OpenDocument) -> canonical text."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from indexer.errors import UnreadableError
from indexer.formats import Block, Container, Content, assemble, squeeze

NAMES = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TEXT, TABLE, OFFICE, DRAW = (NAMES % name for name in ("text", "table", "office", "drawing"))
DUBLIN_CORE, META = "{http://purl.org/dc/elements/1.1/}", NAMES % "meta"
MIME = b"application/vnd.oasis.opendocument.text"
# Deleted text is kept aside in the first; the others are for the program, or remarks in the margin.
NEVER_TEXT = frozenset(
    [f"{TEXT}tracked-changes", f"{TEXT}sequence-decls", f"{OFFICE}annotation", f"{OFFICE}forms", f"{TEXT}note-citation"]
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
            level = int(element.get(f"{TEXT}outline-level") or 1) if kind == f"{TEXT}h" else 0
            yield Block([_line(element)], level)
            yield from _asides(element)
        elif kind == f"{TEXT}list":
            yield Block([_line(paragraph) for paragraph in _paragraphs(element)])
        elif kind == f"{TABLE}table":
            yield Block([_row(row) for row in element.iter(f"{TABLE}table-row")])
        else:  # a section, an index, a frame: what is in it
            yield from _blocks(element)


def _asides(element: Element) -> Iterator[Block]:
    for inner in element:
        if inner.tag in ASIDE:
            yield from _blocks(inner)
        elif inner.tag not in NEVER_TEXT:
            yield from _asides(inner)


def _paragraphs(element: Element) -> Iterator[Element]:
    return (one for one in element.iter() if one.tag in (f"{TEXT}p", f"{TEXT}h"))


def _row(row: Element) -> str:
    """The row's cells; one that repeats another over many columns is there once."""
    cells = (squeeze(" ".join(map(_line, _paragraphs(cell)))) for cell in row.iter(f"{TABLE}table-cell"))
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
