"""Files and records -> documents.

Every offset (`Document.pages`, `Document.headings`, and all offsets elsewhere in the product) counts code points of
`Document.text`, the canonical text. What cannot be read is yielded as `Unreadable` with a reason
for the user; it never stops the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from indexer.errors import UnreadableError
from indexer.formats import FORMATS, JSON_LINES, LONGEST_TEXT, Content, Heading, decode
from indexer.inputs import FILE_MIB, MIB, SIDECAR_BYTES, AgainError, open_input, read_whole

if TYPE_CHECKING:
    from indexer.extraction import Extractor

__all__ = [
    "Document",
    "Heading",
    "Unreadable",
    "content_hash",
    "document_from_record",
    "is_supported",
    "read_documents",
    "reason_of",
    "sidecar",
]

SIDECAR_SUFFIX = ".meta.json"
DEEPEST = 50  # levels of metadata
LINE_BYTES = 16 * MIB  # of a JSON-lines file; `{}` and `[]` become 24 times their size in memory
PARTIAL_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `pages` holds the offset at which each page begins (the first is 0), empty for formats without pages."""

    id: str
    title: str  # "" if none
    text: str  # the canonical text
    uri: str | None = None
    date: str | None = None  # YYYY-MM-DD
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON values
    media_type: str = "text/plain"
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()


class Unreadable(NamedTuple):
    """What could not be read: a file (`source` is "") or a record ("line 17"); `reason` is fit for a user.
    `again`: it may pass without a change of the file, so it is worth another try."""

    source: str
    reason: str
    again: bool = False


def is_supported(path: Path) -> bool:
    """Whether the suffix names a format that can be read; the file itself is not opened. A sidecar is no document."""
    suffix = path.suffix.lower()
    return not path.name.endswith(SIDECAR_SUFFIX) and (suffix in FORMATS or suffix in JSON_LINES)


def sidecar(path: Path) -> Path:
    """Return where a file's sidecar lies: `note.txt` -> `note.txt.meta.json`."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def content_hash(path: Path, root: Path | None = None, largest: int = FILE_MIB * MIB) -> str:
    """Return the sha256, in hex, of all that `read_documents` reads: the file's bytes and, if it has one, its sidecar's.

    Raises `OSError` if the file cannot be read, `UnreadableError` if it may not (see :func:`indexer.inputs.open_input`).
    """
    # Digests of 32 bytes each are hashed again, so that no bytes can move from the file to its sidecar unnoticed.
    with open_input(path, root, largest) as file:
        outer = hashlib.sha256(hashlib.file_digest(file, "sha256").digest())
    companion = sidecar(path)
    if path.suffix.lower() not in JSON_LINES and companion.is_file():
        with open_input(companion, root, largest) as file:
            outer.update(hashlib.file_digest(file, "sha256").digest())
    return outer.hexdigest()


def read_documents(
    path: Path, document_id: str, root: Path | None = None, extractor: Extractor | None = None
) -> Iterator[Document | Unreadable]:
    """Yield the file's document under `document_id`, or, for JSON lines, one document a line under its own id.

    The file and its sidecar must lie below `root`, if that is given. Without an `extractor` it is parsed in this process.
    Never raises for what the file holds; only `MemoryError` and interrupts (`KeyboardInterrupt`, `SystemExit`) get out.
    """
    # Only the producing is guarded: an exception of the code that consumes these documents is not ours to swallow.
    largest = extractor.limits.file if extractor else FILE_MIB * MIB
    if path.suffix.lower() in JSON_LINES:
        documents = _json_lines(path, root, largest)
    else:
        documents = _whole_file(path, document_id, root, largest, extractor)
    while True:
        try:
            document = next(documents)
        except StopIteration:
            return
        except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
            raise
        # Native libraries report a panic as a BaseException, which must not stop the other files either.
        except BaseException as error:  # noqa: BLE001, RUF100
            yield Unreadable("", reason_of(error), isinstance(error, AgainError))
            return
        yield document


def document_from_record(record: Mapping[str, Any], *, media_type: str = "text/plain") -> Document:
    """Make a document of a JSON object: `_id` or `id`, `title`, `text`; every other field is metadata, verbatim.

    Raises `UnreadableError`, whose message says which field is wrong.
    """
    if not isinstance(record, Mapping):
        raise UnreadableError(f'is not a JSON object but {_json_name(record)}; write {{"id": ..., "text": ...}}')
    _check_storable(record)
    id_field = "_id" if record.get("_id") is not None else "id"
    metadata = {name: value for name, value in record.items() if name not in (id_field, "title", "text")}
    link = metadata.get("uri") if isinstance(metadata.get("uri"), str) else metadata.get("url")
    return Document(
        id=_record_id(record.get(id_field)),
        title=_record_title(record.get("title")),
        text=_record_text(record),
        uri=link if isinstance(link, str) else None,
        date=_iso_date(metadata.get("date")),
        metadata=metadata,
        media_type=media_type,
    )


def _record_id(value: Any) -> str:
    if value is None:
        raise UnreadableError('has no id; give it an "_id" or "id"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableError(f"its id is {_json_name(value)}; an id is a string or a whole number")
    if value == "":
        raise UnreadableError("its id is empty; an id is a string of at least one character")
    return str(value)


def _record_title(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise UnreadableError(f'its "title" is {_json_name(value)}; a title is a string')
    return value or ""


def _record_text(record: Mapping[str, Any]) -> str:
    if "text" not in record:
        raise UnreadableError('has no "text"')
    text = record["text"]
    if not isinstance(text, str):
        raise UnreadableError(f'its "text" is {_json_name(text)}; a text is a string')
    if not text.strip():
        raise UnreadableError('its "text" is empty')
    if len(text) > LONGEST_TEXT:
        raise UnreadableError(
            f'its "text" has {len(text):,} characters, more than the {LONGEST_TEXT:,} of one document; divide it'
        )
    return text


def _json_name(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)


def _check_storable(value: Any, depth: int = 0) -> None:
    """Raise `UnreadableError` for what neither UTF-8 nor JSON can hold, lone surrogates and infinite numbers, and for
    metadata that is nested deeper than any reader of JSON can be expected to follow."""
    if depth > DEEPEST:
        raise UnreadableError(f"holds metadata nested more than {DEEPEST} deep; flatten it")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise UnreadableError("holds half of a surrogate pair (such as \\ud800 alone), which is no character; remove it")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadableError(f"holds the number {value}, which JSON does not know; use null or a string")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_storable(key, depth + 1)
            _check_storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_storable(inner, depth + 1)


def _json_lines(path: Path, root: Path | None, largest: int) -> Iterator[Document | Unreadable]:
    first_seen: dict[str, int] = {}  # id -> line
    empty = True
    with open_input(path, root, largest) as lines:
        for number, line in enumerate(_lines(lines), 1):
            raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not raw.strip():
                continue
            empty = False
            try:
                if len(raw) > LINE_BYTES:
                    raise UnreadableError(f"is longer than the {LINE_BYTES // MIB} MiB of one line; divide its document")
                document = document_from_record(_parse_json(raw))
                if document.id in first_seen:
                    raise UnreadableError(f'its id "{document.id}" is already that of line {first_seen[document.id]}')
            except UnreadableError as error:
                yield Unreadable(f"line {number}", str(error))
                continue
            first_seen[document.id] = number
            yield document
    if empty:
        raise UnreadableError("is empty")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long no more than shows that."""
    while line := file.readline(LINE_BYTES + 1):
        rest = line
        while len(rest) > LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(LINE_BYTES + 1)
        yield line


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise UnreadableError(f"is not UTF-8 (byte {error.start} of the line is 0x{byte:02x}); convert it with iconv") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise UnreadableError("is JSON nested too deeply to be read") from None
    except ValueError as error:  # a whole number of more digits than Python converts
        raise UnreadableError(f"holds a number that is too long [{error}]") from None


def _whole_file(
    path: Path, document_id: str, root: Path | None, largest: int, extractor: Extractor | None
) -> Iterator[Document]:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UnreadableError(f'has a suffix ("{path.suffix}") of no format that can be read')
    companion = _read_sidecar(path, root)
    with open_input(path, root, largest) as file:
        content = extractor.content(suffix, file) if extractor else FORMATS[suffix].read(read_whole(file))
    if not content.text.strip():
        raise UnreadableError("holds no text, only white space")
    yield _document(path, document_id, FORMATS[suffix].media_type, content, companion)


def _document(path: Path, document_id: str, media_type: str, content: Content, companion: Mapping[str, Any]) -> Document:
    date = _iso_date(companion.get("date"))
    told = {"title", "uri"} | ({"date"} if date else set())  # a date in words, "circa 1650", stays as metadata
    own = {name: value for name, value in companion.items() if name not in told}
    for value in (content.title, content.text, content.metadata):  # front matter, for one, can spell what is no character
        _check_storable(value)
    return Document(
        id=document_id,
        title=companion.get("title") or content.title or path.stem,
        text=content.text,
        uri=companion.get("uri") or path.resolve().as_uri(),
        date=date or _iso_date(content.date),
        metadata={**content.metadata, **own},
        media_type=media_type,
        pages=content.pages,
        headings=content.headings,
    )


def _read_sidecar(path: Path, root: Path | None) -> Mapping[str, Any]:
    companion = sidecar(path)
    if not companion.is_file():
        return {}
    try:
        with open_input(companion, root, SIDECAR_BYTES, advice="") as file:
            fields = _parse_json(decode(read_whole(file)).encode())
        _check_sidecar(fields)
    except UnreadableError as error:
        raise type(error)(f"its sidecar {companion.name} cannot be used: it {error}") from None
    return dict(fields)


def _check_sidecar(fields: Any) -> None:
    if not isinstance(fields, Mapping):
        raise UnreadableError(f'is not a JSON object but {_json_name(fields)}; write {{"title": ..., "date": ...}}')
    _check_storable(fields)
    for name in ("title", "date", "uri"):
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise UnreadableError(f'has a "{name}" that is {_json_name(fields[name])}; it must be a string')


def _iso_date(value: Any) -> str | None:
    """Return YYYY-MM-DD of an ISO 8601 or RFC 2822 date or time, as written (no change of time zone); None if it is neither.
    A year, or a year and a month, are dates too, and stay as short as they are: 1650, 1887-05."""
    if not isinstance(value, str):
        return None
    if PARTIAL_DATE.fullmatch(value.strip()):
        return value.strip()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(value.strip()).date().isoformat()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def reason_of(error: BaseException) -> str:
    """What to tell the user of an error that reading a file raised."""
    match error:
        case UnreadableError():
            return str(error)
        case FileNotFoundError():
            return "is no longer there; it was moved or deleted while it was being indexed"
        case PermissionError():
            return "may not be read: permission denied; give the user who indexes the right to read it"
        case IsADirectoryError():
            return "is a folder, not a file"
        case OSError():
            return f"could not be read from the disk [{error.strerror or error}]"
        case _:
            detail = f"{type(error).__name__}: {error}"
            return f"could not be read and may be damaged; open it in its own program and save it again [{detail}]"
