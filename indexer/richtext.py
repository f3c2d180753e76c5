"""RTF -> canonical text."""

from __future__ import annotations

import re
from collections.abc import Callable

from indexer.errors import UnreadableError
from indexer.formats import Block, Content, assemble, signature, squeeze

INFO = re.compile(r"\{\\(title|author|subject|keywords) ([^{}\\]*)\}")
CELL_END = "|"  # how the library marks the end of a table's cell


def read_rtf(data: bytes) -> Content:
    """Rich text: paragraphs and tables; not page headers and footers."""
    from striprtf.striprtf import rtf_to_text

    if not data.lstrip()[:5] == b"{\\rtf":
        raise UnreadableError(f"is not RTF{' but ' + signature(data) if signature(data) else ''}; give it its right suffix")
    source = data.decode("latin-1")  # RTF is ASCII: other letters are written as numbers
    convert: Callable[..., str] = rtf_to_text
    lines = convert(source, errors="replace").split("\n")
    fields = {name: squeeze(value) for name, value in INFO.findall(source) if value.strip()}
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
