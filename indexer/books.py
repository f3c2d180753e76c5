"""E-books -> canonical text: chapters in reading order, without cover and table of contents.

A chapter that does not begin with a heading gets the name that the table of contents has for it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote
from xml.etree import ElementTree

from indexer.errors import UnreadableError
from indexer.formats import Block, Container, Content, Remark, assemble, decode, squeeze
from indexer.web import declared_encoding, parse_page

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
OPS = "{http://www.idpf.org/2007/ops}"
NO_CHAPTER = frozenset(["cover", "toc"])
TYPED = re.compile(r"<(?:body|section)\b[^>]*\bepub:type\s*=\s*[\"'](?:cover|toc|landmarks)[\"']", re.IGNORECASE)


def read_epub(data: bytes) -> Content:
    """An e-book: its chapters in reading order, each under its name."""
    with Container(data, "epub") as container:
        root = next(container.tree("META-INF/container.xml").iterfind(".//{*}rootfile"), None)
        package_name = unquote(root.get("full-path", "")) if root is not None else ""
        package = container.tree(package_name)
        _check_rights(container)
        folder = posixpath.dirname(package_name)
        names = _chapter_names(container, package, folder)
        there = set(container.namelist())
        spine = list(_spine(package, folder))
        missing = [name for name in spine if name not in there]
        if len(missing) == len(spine):
            raise UnreadableError("is damaged: none of its chapters is in it; copy or download it again")
        parts = [(name, container.part(name)) for name in spine if name in there]
    chapters = [(name, decode(part, declared_encoding(part))) for name, part in parts]
    # A book of nothing but its contents keeps them.
    told = [one for one in chapters if not TYPED.search(one[1][:5000])] or chapters
    read = [(name, [b for b in parse_page(chapter, is_site=False).blocks if any(b.lines)]) for name, chapter in told]
    level = min((blocks[0].level for _, blocks in read if blocks and blocks[0].level), default=1)
    text, headings = assemble(block for name, blocks in read for block in _named(blocks, names.get(name, ""), level))
    found = {name: squeeze(package.findtext(f".//{DUBLIN_CORE}{name}") or "") for name in ("title", "date", "language")}
    authors = ", ".join(squeeze(e.text or "") for e in package.iter(f"{DUBLIN_CORE}creator"))
    metadata = {name: value for name, value in {"author": authors, "language": found["language"]}.items() if value}
    remarks = [Remark(name, "is not in the book, so nothing of it was indexed; download the book again") for name in missing]
    return Content(text, found["title"], found["date"], metadata, headings=headings, remarks=tuple(remarks))


def _named(blocks: list[Block], name: str, level: int) -> Iterator[Block]:
    """The blocks of a chapter, under its name if it does not say it itself; ``level`` is that of others."""
    if name and blocks and not blocks[0].level and not any(block.level and _same(block, name) for block in blocks):
        yield Block([name], level)
        if _same(blocks[0], name):  # a heading that is written as a paragraph
            blocks = blocks[1:]
    yield from blocks


def _same(block: Block, name: str) -> bool:
    return " ".join(block.lines).casefold() == name.casefold()


def _spine(package: ElementTree.Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.iterfind(".//{*}item")}
    references = package.iterfind(".//{*}guide/{*}reference")
    around = {_place(folder, one.get("href", "")) for one in references if one.get("type", "") in NO_CHAPTER}
    found = []
    for reference in package.iterfind(".//{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and _is_page(item) and "nav" not in item.get("properties", "").split():
            found.append(_place(folder, item.get("href", "")))
    yield from [name for name in found if name not in around] or found


def _is_page(item: ElementTree.Element) -> bool:
    """Pictures may stand in a book's order too."""
    return not item.get("media-type", "").startswith(("image/", "audio/", "video/")) or "svg" in item.get("media-type", "")


def _place(folder: str, address: str) -> str:
    """The part of the container that an address names."""
    return posixpath.normpath(posixpath.join(folder, unquote(address.partition("#")[0])))


def _chapter_names(container: Container, package: ElementTree.Element, folder: str) -> Mapping[str, str]:
    """What the table of contents calls each part, if it names the part and not a place within."""
    names: dict[str, str] = {}
    for item in package.iterfind(".//{*}item"):
        part = _place(folder, item.get("href", ""))
        is_nav = "nav" in item.get("properties", "").split()
        if (is_nav or item.get("media-type") == "application/x-dtbncx+xml") and part in container.namelist():
            try:
                table = container.tree(part)
            except UnreadableError:  # an old page of contents that is not XML: chapters have their own names then
                continue
            for address, name in _entries(table):
                if "#" not in address:
                    names.setdefault(_place(posixpath.dirname(part), address), name)
    return names


def _entries(table: ElementTree.Element) -> Sequence[tuple[str, str]]:
    """Addresses and names, of both kinds of tables of contents."""
    old = [
        (point.find("{*}content"), point.findtext("{*}navLabel/{*}text") or "") for point in table.iterfind(".//{*}navPoint")
    ]
    found = [(place.get("src", ""), squeeze(name)) for place, name in old if place is not None]
    for nav in table.iterfind(".//{*}nav"):
        if nav.get(f"{OPS}type", "toc") == "toc":
            found += [(link.get("href", ""), squeeze("".join(link.itertext()))) for link in nav.iterfind(".//{*}a")]
    return [(address, name) for address, name in found if name]


def _check_rights(container: Container) -> None:
    hidden = container.tree_or_empty("META-INF/encryption.xml").iterfind(".//{*}CipherReference")
    # Fonts are often veiled so; only locked chapters lock the book.
    if any(reference.get("URI", "").lower().endswith(("html", "htm", "xml")) for reference in hidden):
        raise UnreadableError("is locked by its seller (DRM); only a copy without it can be read")
