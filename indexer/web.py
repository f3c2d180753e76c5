"""Web pages, and all that is written as one -> canonical text.

A page's tree is written back as one string whose separators say where blocks, lines and headings are. That loses no
text, wherever in the tree it stands, and needs no recursion, which a page of unclosed tags would exhaust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bs4 import BeautifulSoup
from bs4.dammit import EncodingDetector
from bs4.element import Tag

from indexer.boilerplate import leave_out
from indexer.formats import Block, Content, assemble, decode, squeeze

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = frozenset(HEADINGS) | frozenset(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form header hgroup hr html legend li main menu nav ol option p pre section summary table td th tr ul".split()
)
LONGEST_HEADING = 1000  # characters; what is longer was never closed
DEEPEST_TAG = 256  # what is deeper was never closed; every change of a tree takes time in proportion to its depth
LISTS = ("ul", "ol", "dl", "menu", "dir")
NEVER_TEXT = "script style template svg noscript noframes iframe object select textarea button canvas audio video".split()
DATE_NAMES = (
    "article:published_time",
    "datepublished",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "dc.date.created",
    "date",
)

# The separators that ASCII has for this; a page has no other use for them, `str.split` takes them for white space.
HEADING, BLOCK, LINE, BREAK = "\x1c", "\x1d", "\x1e", "\v"
SEPARATORS = re.compile(f"[{HEADING}{BLOCK}{LINE}{BREAK}]")
BLOCK_END = re.compile(f"{BLOCK}|{BREAK}\\s*{BREAK}")  # two line breaks are how old pages end a paragraph


class Page(NamedTuple):
    """A parsed page. `meta`: lower-case name -> content of its `<meta>` elements."""

    blocks: Sequence[Block]
    title: str
    language: str
    meta: Mapping[str, str]


def read_html(data: bytes) -> Content:
    """A web page: its text without what stands around it; title, date and author of its head."""
    page = parse_page(decode(data, declared_encoding(data)))
    text, headings = assemble(page.blocks)
    date = next((page.meta[name] for name in DATE_NAMES if page.meta.get(name)), None)
    found = {name: page.meta.get(name, "") for name in ("author", "description", "keywords")}
    metadata = {name: value for name, value in {**found, "language": page.language}.items() if value}
    return Content(text, page.title, date, metadata, headings=headings)


def declared_encoding(data: bytes) -> str | None:
    """What a page says in its head that it is written in."""
    name = EncodingDetector.find_declared_encoding(data, is_html=True)
    # What browsers do with these labels (https://encoding.spec.whatwg.org/#names-and-labels).
    return {"iso-8859-1": "windows-1252", "latin1": "windows-1252", "us-ascii": "windows-1252", "gb2312": "gb18030"}.get(
        name or "", name
    )


def parse_page(source: str, *, is_site: bool = True) -> Page:
    """Return the page without what stands around its text, but whole if it never closes that or is nothing else.

    Of what is no ``is_site``, a chapter or a message, only navigation and footers are left out."""
    marks = re.findall(r"<(/?)(?:nav|footer|aside|header)\b", source, re.IGNORECASE)
    rules = leave_out if is_site else _leave_out_navigation
    page = _parse(source, rules)
    if marks.count("") > marks.count("/") or not any(any(block.lines) for block in page.blocks):
        page = _parse(source, lambda _: None)
    return page


def _leave_out_navigation(soup: BeautifulSoup) -> None:
    for tag in soup(["nav", "footer"]):
        tag.clear()


class _Soup(BeautifulSoup):
    """A tree of bounded depth: what would be deeper stands beside the deepest tag instead, as it does in browsers. Its text has
    none of the separators, however they are written."""

    def handle_data(self, data: str) -> None:
        super().handle_data(SEPARATORS.sub(" ", data))

    def handle_starttag(self, *args: Any, **kwargs: Any) -> Tag | None:
        self.endData()  # the text before the tag belongs to the one that is still open
        if len(self.tagStack) > DEEPEST_TAG:
            self.popTag()
        return super().handle_starttag(*args, **kwargs)


def _parse(source: str, leave_out: Callable[[BeautifulSoup], None]) -> Page:
    # The library warns of text that declares to be XML, or looks like an address for want of a line end.
    source = re.sub(r"\A\s*<\?xml[^>]*>", " ", source) + "\n"
    soup = _Soup(source, "lxml")
    for tag in soup(NEVER_TEXT):
        tag.clear()  # its place stays: to take it out would be to look for it among all its siblings
    titles = [title.extract() for title in soup("title")]
    meta: dict[str, str] = {}
    for tag in soup("meta"):
        name = tag.get("name") or tag.get("property") or tag.get("itemprop") or ""
        meta.setdefault(str(name).lower(), str(tag.get("content", "")).strip())
    language = str(soup.html.get("lang") or "") if soup.html else ""
    leave_out(soup)
    return Page(_page_blocks(soup), squeeze(titles[0].get_text()) if titles else "", language, meta)


def _page_blocks(soup: BeautifulSoup) -> list[Block]:
    """Put the separators into the tree, then cut its text at them."""
    _mark_blocks(soup)
    for tag in soup(HEADINGS):
        if not tag.find(HEADINGS) and len(text := tag.get_text()) < LONGEST_HEADING:
            # On one line, since a line break at its end would take the end of the heading with it.
            tag.string = f"{HEADING}{tag.name[1]}{squeeze(text)}{HEADING}"
    for tag in reversed(soup("pre")):  # the inner ones first
        tag.string = tag.get_text().replace("\n", LINE).replace(BREAK, LINE)
    for tag in reversed(soup([*LISTS, "table"])):
        if tag.name == "table":
            if tag.find("table") or HEADING in tag.get_text():
                continue  # it only places things on the page
            _join_cells(tag)
        tag.string = BLOCK + BLOCK_END.sub(LINE, tag.get_text()) + BLOCK
    pieces = re.split(f"{HEADING}([1-6])([^{HEADING}]*){HEADING}", soup.get_text())
    blocks = list(_cut(pieces[0]))
    for level, heading, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        blocks += [Block([squeeze(heading)], int(level)), *_cut(text)]
    return blocks


def _mark_blocks(soup: BeautifulSoup) -> None:
    for tag in soup(True):
        if tag.name == "br":
            tag.string = BREAK
        elif tag.name in BLOCKS:
            tag.insert(0, BLOCK)
            tag.append(BLOCK)


def _cut(text: str) -> Iterator[Block]:
    for block in BLOCK_END.split(text):
        yield Block([squeeze(line) for line in block.split(LINE)])


def _join_cells(table: Tag) -> None:
    for caption in table("caption"):
        table.insert_before(caption)
    for row in table("tr"):
        cells = [cell for cell in (squeeze(child.get_text()) for child in row.children) if cell]
        # The only cell of a row frames text rather than tabulating it: its paragraphs stay apart.
        if len(cells) > 1:
            row.string = LINE + "; ".join(cells) + LINE
