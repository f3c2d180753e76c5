"""What a collection holds, as rows of a Milvus server, and back.

A server's strings end at 65,535 bytes of UTF-8. So a document's text lies in chunks, in a table of its own, and token codes are
split over as many fields as the model needs. A passage's terms are one string of words of eight letters, which is what the
server ranks by: its statistics are then of our own terms. Every row of a document bears the document's generation, and counts
only while that is the one in the document's own row.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.documents import Document, Heading
from indexer.errors import UnreadableError
from indexer.filters import kind_of
from indexer.models import ModelContract
from indexer.records import EncodedPassage
from indexer.sentences import Span
from indexer.terms import Codes
from indexer.tokens import TokenCodes

CHUNK_BYTES = 60_000
MAX_BYTES = 65_535
MAX_TAGS = 4_000  # fields and values of a document's metadata, lists taken apart, title and the like; a server takes 4,096
_WORD = 9  # eight letters and a space
MAX_TERMS = CHUNK_BYTES // _WORD
_TO_LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")
_TO_DIGITS = bytes.maketrans(b"abcdefghijklmnop", b"0123456789abcdef")
NOTHING = [0.0, 0.0]  # every table must have a vector

HEAD = ("row", "id", "document", "generation", "input", "content", "head")


class Head(NamedTuple):
    """What every reading of a passage begins with; ``row`` is its primary key."""

    row: str
    id: str
    document: str
    generation: int
    input: bytes
    content: bytes
    ordinal: int
    start: int
    end: int
    labels: tuple[Span, ...]
    language: str


class Kept(NamedTuple):
    """A document's own row. ``described`` are what filters know of it but its source; its text is in ``chunks`` chunks, of
    which the first ``text_chunks`` are text and the others pages and headings."""

    key: str
    generation: int
    hash: str
    source: int | None
    passages: int
    characters: int
    terms: int
    chunks: int
    text_chunks: int
    described: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The document's."""
        return str(self.described["id"])


KEPT = ("key", "generation", "hash", "source", "passages", "characters", "terms", "chunks", "text_chunks", "described")


def key_of(document_id: str) -> str:
    """The primary key of a document: an id is any string, and a key stands in conditions."""
    return short(hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).digest()[:15])


def short(digest: bytes) -> str:
    """Bytes as letters, digits, - and _."""
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def bytes_of(text: str) -> bytes:
    """What :func:`short` made a string of."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def word(code: int) -> str:
    """A term as a word."""
    return f"{code:08x}".encode().translate(_TO_LETTERS).decode()


def words_text(codes: Codes) -> str:
    """Terms as words, each between spaces. Of more than can be kept, the first, which are of title and headings, go."""
    kept = codes[-MAX_TERMS:]
    letters = kept.astype(">u4").tobytes().hex().encode().translate(_TO_LETTERS).decode()
    return " " + "".join(letters[at : at + 8] + " " for at in range(0, len(letters), 8))


def codes_of(text: str) -> Codes:
    """The terms that :func:`words_text` made a string of."""
    digits = text.replace(" ", "").encode().translate(_TO_DIGITS).decode()
    return np.frombuffer(bytes.fromhex(digits), ">u4").astype(np.uint32)


def token_fields(contract: ModelContract) -> int:
    """How many fields the token codes of one passage need at most."""
    each = -(-contract.dimension // 8) + 4  # the code, its place and at most one sentence
    return -(-(8 + contract.token_limit * each) * 4 // 3 // CHUNK_BYTES) or 1


def tokens_text(tokens: TokenCodes, fields: int) -> list[str]:
    """Token codes as strings, one for each field."""
    codes, places, norms = tokens.codes.tobytes(), tokens.places.astype("<u2").tobytes(), tokens.norms.astype("<f2").tobytes()
    sizes = np.array([len(codes), len(places)], "<u4").tobytes()
    text = base64.b64encode(sizes + codes + places + norms).decode()
    if len(text) > fields * CHUNK_BYTES:
        raise UnreadableError("holds a passage of more tokens than the model says that it reads")
    return [text[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES] for at in range(fields)]


def tokens_bytes(texts: Sequence[str]) -> tuple[bytes, bytes, bytes]:
    """Codes, places and norms, as the catalog stores them."""
    raw = base64.b64decode("".join(texts))
    codes, places = np.frombuffer(raw[:8], "<u4").tolist()
    return raw[8 : 8 + codes], raw[8 + codes : 8 + codes + places], raw[8 + codes + places :]


def chunks(text: str) -> list[str]:
    """A text in parts of at most ``CHUNK_BYTES`` bytes; none of an empty one."""
    if len(text.encode()) <= CHUNK_BYTES:
        return [text] if text else []
    parts, at = [], 0
    while at < len(text):
        end = at + CHUNK_BYTES // 4  # four bytes a character at most
        while end < len(text) and len(text[at : end + 1000].encode()) <= CHUNK_BYTES:
            end += 1000
        parts.append(text[at:end])
        at = end
    return parts


def tag(kind: str, name: str, value: Any = None) -> str:
    """What stands for a field's value, or for its being there, among a passage's tags."""
    if kind == "a number" and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1 and 1.0 are one number
    return short(hashlib.sha256(json.dumps([kind, name, value]).encode()).digest()[:12])


EXISTS = "exists"
COLUMN = "column"


def tags(described: Mapping[str, Any], source: str) -> list[str]:
    """All that a filter can ask of a document by equality or existence, but for its id, and its uri, which a move changes."""
    columns = {name: described[name] for name in ("title", "date", "media_type")} | {"source": source}
    found = {tag(COLUMN, name, value) for name, value in columns.items() if value is not None}
    found |= {tag(f"{EXISTS} {COLUMN}", name) for name, value in columns.items() if value}
    own = len(found)
    for name, value in described["metadata"].items():
        if value is not None:
            found.add(tag(EXISTS, name))
        for one in value if isinstance(value, list) else [value]:
            if (kind := kind_of(one)) is not None:
                found.add(tag(kind, name, one))
    if len(found) > MAX_TAGS:
        raise UnreadableError(
            f"has {len(found) - own} fields and values of metadata, lists taken apart; on a Milvus server it can have "
            f"{MAX_TAGS - own}: leave some out"
        )
    return sorted(found)


def described_of(document: Document) -> dict[str, Any]:
    """What filters know of a document."""
    return {
        "id": document.id, "title": document.title, "uri": document.uri, "date": document.date,
        "media_type": document.media_type, "metadata": dict(document.metadata),
    }  # fmt: skip


def described_text(described: Mapping[str, Any]) -> str:
    """The same as JSON. Raises :class:`UnreadableError` for more than a server's string holds."""
    text = json.dumps(described, ensure_ascii=False)
    if (size := len(text.encode())) > MAX_BYTES:
        raise UnreadableError(
            f"has an id, title, uri and metadata of {size} bytes together; on a Milvus server {MAX_BYTES} are kept"
        )
    return text


def text_parts(document: Document) -> tuple[list[str], list[str]]:
    """The chunks of a document: of its text, and of its pages and headings."""
    more = json.dumps([document.pages, document.headings]) if document.pages or document.headings else ""
    return chunks(document.text), chunks(more)


def document_row(
    document: Document, generation: int, digest: str, source: int | None, passages: Sequence[EncodedPassage]
) -> dict[str, Any]:
    """The document's own row. Raises :class:`UnreadableError` for a document whose fields a server cannot hold."""
    described = described_text(described_of(document))
    text, more = text_parts(document)
    return {
        "key": key_of(document.id), "generation": generation, "hash": digest, "source": source or 0, "passages": len(passages),
        "characters": len(document.text), "terms": sum(len(one.terms) - 1 for one in passages),
        "chunks": len(text) + len(more), "text_chunks": len(text), "described": described, "nothing": NOTHING,
    }  # fmt: skip


def chunk_key(document: str, generation: int, number: int) -> str:
    """The primary key of a chunk."""
    return f"{document}.{generation}.{number}"


def chunk_rows(document: Document, generation: int) -> Iterator[dict[str, Any]]:
    """The rows of a document's chunks."""
    key = key_of(document.id)
    for number, text in enumerate(part for parts in text_parts(document) for part in parts):
        row = chunk_key(key, generation, number)
        yield {"row": row, "document": key, "generation": generation, "text": text, "nothing": NOTHING}


def passage_row(
    named: tuple[str, bytes], one: EncodedPassage, ordinal: int, document: Mapping[str, Any], fields: int
) -> dict[str, Any]:
    """A passage's row: ``named`` are its id and the hash of its text, ``document`` what all of its document's have."""
    passage_id, content = named
    head = [ordinal, one.passage.start, one.passage.end, one.passage.labels, one.language]
    return {
        "row": f"{passage_id}.{document['generation']}", "id": passage_id, **document,
        "input": short(one.input), "content": short(content), "head": json.dumps(head),
        "vector": one.vector.astype(np.float32), "words": words_text(one.terms),
        **{f"tokens_{at}": text for at, text in enumerate(tokens_text(one.tokens, fields))},
    }  # fmt: skip


def head_of(row: Mapping[str, Any]) -> Head:
    """The beginning of a passage's row."""
    ordinal, start, end, labels, language = json.loads(row["head"])
    return Head(
        row["row"], row["id"], row["document"], int(row["generation"]), bytes_of(row["input"]), bytes_of(row["content"]),
        ordinal, start, end, tuple(Span(*span) for span in labels), language,
    )  # fmt: skip


def kept_of(row: Mapping[str, Any]) -> Kept:
    """A document's own row, read."""
    passages, characters, terms, chunks, text_chunks = (int(row[name]) for name in KEPT[4:9])
    return Kept(
        row["key"],
        int(row["generation"]),
        row["hash"],
        int(row["source"]) or None,
        passages,
        characters,
        terms,
        chunks,
        text_chunks,
        json.loads(row["described"]),
    )


def document_of(kept: Kept, parts: Sequence[str]) -> Document:
    """The document of its own row and its chunks, in order."""
    described, more = kept.described, "".join(parts[kept.text_chunks :])
    pages, headings = json.loads(more) if more else ([], [])
    return Document(
        described["id"], described["title"], "".join(parts[: kept.text_chunks]), described["uri"], described["date"],
        described["metadata"], described["media_type"], tuple(pages), tuple(Heading(*one) for one in headings),
    )  # fmt: skip


def vector_of(row: Mapping[str, Any]) -> npt.NDArray[np.float16]:
    """A passage's vector, which was of 16 bits before the server kept it in 32."""
    return np.asarray(row["vector"], np.float32).astype(np.float16)
