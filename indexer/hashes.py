"""What documents and passages are told apart by: hashes of what they hold, and ids."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from indexer.documents import Document
from indexer.passages import Passage


def document_hash(document: Document) -> str:
    """Of everything but the uri: a document that only moved is unchanged."""
    fields = [document.title, document.text, document.date, document.metadata, document.media_type]
    framed = json.dumps([*fields, document.pages, document.headings], sort_keys=True)
    return hashlib.sha256(framed.encode()).hexdigest()


def passage_ids(document: Document, passages: Sequence[Passage]) -> list[str]:
    """Opaque URL-safe ids, stable while document id and passage text are: also when text before them changes."""
    seen: dict[str, int] = {}
    ids = []
    for one in passages:
        text = document.text[one.start : one.end]
        occurrence = seen[text] = seen.get(text, -1) + 1
        digest = hashlib.sha256(json.dumps([document.id, text, occurrence]).encode()).digest()
        ids.append(base64.urlsafe_b64encode(digest[:15]).decode())
    return ids


def content_hash(document: Document, passage: Passage) -> bytes:
    """Of the passage's text alone, 16 bytes: equal texts share it, wherever they stand."""
    return text_hash(document.text[passage.start : passage.end])


def text_hash(text: str) -> bytes:
    """The content hash of a passage that has this text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
