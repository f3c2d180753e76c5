"""RTF -> canonical text."""

from __future__ import annotations

import re
from collections.abc import Callable

from indexer.errors import UnreadableError
from indexer.formats import Block, Content, assemble, signature, squeeze

INFO = re.compile(r"\{\\(title|author|subject|keywords) ?((?:[^{}\\]|\\[^\n])*)\}")
HEAD = re.compile(r"\{\\rtf[^{}]*")  # says in which encoding letters are numbers
CELL_END = "|"  # how the library marks the end of a table's cell


def read_rtf(data: bytes) -> Content:
    """Rich text: paragraphs and tables; not page headers and footers."""
    from striprtf.striprtf import rtf_to_text

    if not data.lstrip()[:5] == b"{\\rtf":
        raise UnreadableError(f"is not RTF{' but ' + signature(data) if signature(data) else ''}; give it its right suffix")
    source = data.decode("latin-1")  # RTF is ASCII: other letters are written as numbers
    convert: Callable[..., str] = rtf_to_text

    def plain(part: str) -> str:
        # Characters past U+FFFF are written as two units of UTF-16.
        return convert(part, errors="replace").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    lines = plain(source).split("\n")
    head = found[0] if (found := HEAD.search(source)) else "{\\rtf1"
    written = {name: squeeze(plain(f"{head} {value}}}")) for name, value in INFO.findall(source)}
    fields = {name: value for name, value in written.items() if value}
    text, headings = assemble(_blocks(lines))
    metadata = {name: value for name, value in fields.items() if name != "title"}
    return Content(text, fields.get("title", ""), None, metadata, headings=headings)


def _blocks(lines: list[str]) -> list[Block]:
    """A paragraph each, rows of a table together."""
    blocks: list[Block] = []
    rows: list[str] = []
    for line in [*lines, ""]:
        if line.rstrip().endswith(CELL_END):
            rows.append("; ".join(cell for cell in map(squeeze, line.split(CELL_END)) if cell))
            continue
        blocks += [Block(rows), Block([squeeze(line)])]
        rows = []
    return blocks
