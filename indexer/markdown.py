"""Markdown -> canonical text."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from indexer.formats import Content, Heading, decode, squeeze


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
    import yaml

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
