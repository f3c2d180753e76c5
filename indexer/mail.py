"""E-mail -> canonical text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import groupby
from typing import Any, NamedTuple

from indexer.errors import UnreadableError
from indexer.formats import Content, Heading, signature, squeeze

FIELDS = ("from", "to", "cc", "subject", "date", "message-id")
LONGEST_FIELD = 10_000  # characters: to parse 20,000 addressees takes minutes


def read_eml(data: bytes) -> Content:
    """A message: its plain text, else its web page; the subject is the title, attachments are named in the metadata."""
    message = message_from_bytes(data, policy=policy.default)
    fields = {name: _field(message, name) for name in FIELDS}
    if not any(fields.values()):
        raise UnreadableError(
            f"is not an e-mail: it has no From, To, Subject or Date{' but is ' + signature(data) if signature(data) else ''}"
        )
    parts = list(message.iter_attachments())
    more = [part for part in parts if _is_more_text(part)]
    attachments = [part.get_filename() or part.get_content_type() for part in parts if part not in more]
    told = {name: fields[name] for name in ("from", "to", "cc")}
    metadata: dict[str, Any] = {name: value for name, value in {**told, "attachments": attachments}.items() if value}
    found = _joined([_body(message), *map(_part_content, more)])
    if not found.text.strip():
        raise UnreadableError(
            f"is a message without text{' (attached: ' + ', '.join(attachments) + ')' if attachments else ''}"
        )
    return Content(found.text, fields["subject"], fields["date"], metadata, headings=found.headings)


def _field(message: EmailMessage, name: str) -> str:
    """A field on one line, "" if there is none."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name), "")[:LONGEST_FIELD]
    written = _decoded(raw.encode("utf-8", "surrogateescape"), "utf-8")
    try:
        return squeeze(str(policy.default.header_fetch_parse(name, written)))
    except Exception:  # of a damaged field the library raises whatever comes: IndexError, RecursionError
        return squeeze(written)


def _is_more_text(part: EmailMessage) -> bool:
    """Whether it goes on with the text: some programs cut that at each picture. An attachment has a name or says what it is, as
    do the lines that a mailing list adds."""
    is_text = part.get_content_type() in ("text/plain", "text/html")
    return is_text and part.get_content_disposition() is None and part.get_filename() is None


def _body(message: EmailMessage) -> Content:
    """The plain text; the web page where that is empty, as advertisements have it."""
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        if isinstance(body, EmailMessage) and (found := _part_content(body)).text.strip():
            return found
    return Content("")


def _joined(contents: Sequence[Content]) -> Content:
    text, headings = contents[0].text, list(contents[0].headings)
    for one in contents[1:]:
        if one.text.strip():
            text = text.rstrip("\n") + "\n\n" if text.strip() else ""
            headings += [Heading(len(text) + h.start, len(text) + h.end, h.level) for h in one.headings]
            text += one.text
    return Content(text, headings=tuple(headings))


def _decoded(data: bytes, encoding: str) -> str:
    """By what the part declares, unless it is not that or nobody knows it: then UTF-8, or what old programs wrote."""
    for name in (encoding, "utf-8"):
        with suppress(LookupError, UnicodeError):
            return data.decode(name)
    return data.decode("windows-1252", "replace")


def _part_content(body: EmailMessage) -> Content:
    from indexer.formats import assemble
    from indexer.web import parse_page

    data = body.get_payload(decode=True)
    charset = body.get_content_charset("utf-8")
    text = _decoded(data if isinstance(data, bytes) else b"", charset).replace("\r\n", "\n").replace("\r", "\n")
    if body.get_content_subtype() == "html":
        text, headings = assemble(parse_page(text, is_site=False).blocks)
        return Content(text, headings=headings)
    text, headings = _unquoted(text, flowed=body.get_param("format") == "flowed")
    return Content(text, headings=headings)


MARKS = re.compile(r"(?:>[ \t]?)+")
# How programs introduce what is quoted: "On Tue, 4 Feb 2020, Ann Lee <ann@example.org> wrote:", over one line or two.
ATTRIBUTION = re.compile(
    r"(?:on|am|le|el|il|op|den|em|в|вт|пн|ср|чт|пт|сб|вс)\b.{6,200}"
    r"(?:wrote|writes|schrieb\b.*|a écrit|escribió|ha scritto|schreef|escreveu|skrev|пишет|написал\S*)\s?:",
    re.IGNORECASE | re.DOTALL,
)


class _Part(NamedTuple):
    """Lines of one depth of quotation, 0 for what the sender wrote, without their marks."""

    depth: int
    lines: list[str]


def _unquoted(text: str, *, flowed: bool) -> tuple[str, tuple[Heading, ...]]:
    """A message without the marks of quotation: a quoted paragraph is then the same as in the message that it is from, and both
    are one result. What introduces a quotation stays; it is a heading where only quotation follows."""
    parts = [_Part(depth, [line for _, line in lines]) for depth, lines in groupby(_depths(text), lambda one: one[0])]
    if flowed:
        parts = [part._replace(lines=_flowed("\n".join(part.lines)).split("\n")) for part in parts]
    if len(parts) < 2:
        return "\n".join(parts[0].lines), ()
    headings: list[Heading] = []
    whole = ""
    for number, part in enumerate(parts):
        own = "\n".join(part.lines).strip("\n")
        if not own.strip():
            continue
        whole += "\n\n" if whole else ""
        after = parts[number + 1] if number + 1 < len(parts) else part
        introduced = _introduction(own) if after.depth > part.depth else ""
        whole += own.removesuffix(introduced)
        if introduced:
            shown = squeeze(introduced)
            if all(other.depth > part.depth or not "".join(other.lines).strip() for other in parts[number + 1 :]):
                headings.append(Heading(len(whole), len(whole) + len(shown), min(part.depth + 1, 6)))
            whole += shown
    return whole + "\n", tuple(headings)


def _depths(text: str) -> list[tuple[int, str]]:
    """Each line's depth of quotation, and the line without its marks; an empty line is as deep as the one before it."""
    found: list[tuple[int, str]] = []
    for line in text.split("\n"):
        marks = MARKS.match(line)
        depth = marks[0].count(">") if marks else 0
        if not line.strip() and found:
            depth = found[-1][0]
        found.append((depth, line[marks.end() :] if marks else line))
    return found


def _flowed(text: str) -> str:
    """RFC 3676: a space at the end of a line means that the paragraph goes on."""
    return re.sub(r"(?<!^--) \n", " ", text, flags=re.MULTILINE)


def _introduction(text: str) -> str:
    """The end of the text that introduces a quotation, "" if it does not."""
    for count in (1, 2, 3):
        ending = "\n".join(text.split("\n")[-count:])
        if ATTRIBUTION.fullmatch(ending.strip()):
            return ending
    return ""
