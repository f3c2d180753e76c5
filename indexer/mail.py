"""E-mail -> canonical text."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from indexer.errors import UnreadableError
from indexer.formats import Content, signature, squeeze


def read_eml(data: bytes) -> Content:
    """A message: its plain text, else its web page; the subject is the title, attachments are named in the metadata."""
    message = message_from_bytes(data, policy=policy.default)
    if not any(message[name] for name in ("from", "to", "subject", "date", "message-id")):
        raise UnreadableError(
            f"is not an e-mail: it has no From, To, Subject or Date{' but is ' + signature(data) if signature(data) else ''}"
        )
    body = message.get_body(("plain", "html"))
    attachments = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    fields = {name: str(message[name] or "") for name in ("from", "to", "cc")}
    metadata: dict[str, Any] = {name: value for name, value in {**fields, "attachments": attachments}.items() if value}
    found = _body_content(body) if isinstance(body, EmailMessage) else Content("")
    if not found.text.strip():
        raise UnreadableError(
            f"is a message without text{' (attached: ' + ', '.join(attachments) + ')' if attachments else ''}"
        )
    return Content(
        found.text, squeeze(str(message["subject"] or "")), str(message["date"] or ""), metadata, headings=found.headings
    )


def _body_content(body: EmailMessage) -> Content:
    from indexer.web import read_html

    text = str(body.get_content()).replace("\r\n", "\n").replace("\r", "\n")
    if body.get_content_subtype() == "html":
        return read_html(text.encode("utf-8", "replace"))
    if body.get_param("format") == "flowed":  # RFC 3676: a space at the end of a line means that the paragraph goes on
        text = re.sub(r"(?<!^--) \n", " ", text, flags=re.MULTILINE)
    return Content(text)
