"""Files and records -> documents.

Every offset (`Document.pages`, `Document.headings`, and all offsets elsewhere in the product) counts code points of
`Document.text`, the canonical text. What cannot be read is yielded as `Unreadable` with a reason
for the user; it never stops the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from indexer.errors import UnreadableError
from indexer.fields import check_storable, date_remark, iso_date, json_name, parse_json
from indexer.formats import FORMATS, JSON_LINES, LONGEST_TEXT, Content, Heading, Remark, decode
from indexer.inputs import FILE_MIB, MIB, SIDECAR_BYTES, AgainError, open_input, read_whole
from indexer.tables import columns_of, table_rows

if TYPE_CHECKING:
    from indexer.extraction import Extractor

__all__ = [
    "Document",
    "Heading",
    "Unreadable",
    "content_hash",
    "document_from_record",
    "is_supported",
    "is_table",
    "read_documents",
    "reason_of",
    "sidecar",
]

SIDECAR_SUFFIX = ".meta.json"
TABLES = ("text/csv", "text/tab-separated-values")  # of which each row can be a document
LINE_BYTES = 16 * MIB  # of a JSON-lines file; `{}` and `[]` become 24 times their size in memory


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
    remarks: tuple[Remark, ...] = field(default=(), compare=False)  # for who reads the file; not kept with the document


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


def is_table(path: Path) -> bool:
    """Whether it is a file of which each row can be a document."""
    form = FORMATS.get(path.suffix.lower())
    return form is not None and form.media_type in TABLES


def sidecar(path: Path) -> Path:
    """Return where a file's sidecar lies: `note.txt` -> `note.txt.meta.json`."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def content_hash(path: Path, root: Path | None = None, largest: int = FILE_MIB * MIB) -> str:
    """Return the sha256, in hex, of all that decides what `read_documents` gives: the file's bytes, those of its sidecar if it
    has one, and how files of its format are read.

    Raises `OSError` if the file cannot be read, `UnreadableError` if it may not (see :func:`indexer.inputs.open_input`).
    """
    # Digests of 32 bytes each are hashed again, so that no bytes can move from the file to its sidecar unnoticed.
    with open_input(path, root, largest) as file:
        outer = hashlib.sha256(hashlib.file_digest(file, "sha256").digest())
    companion = sidecar(path)
    if path.suffix.lower() not in JSON_LINES and companion.is_file():
        with open_input(companion, root, largest) as file:
            outer.update(hashlib.file_digest(file, "sha256").digest())
    outer.update(reader(path).encode())
    return outer.hexdigest()


def reader(path: Path) -> str:
    """How files of this format are read, if it is not as they first were: a release that reads them otherwise has another name
    for it, and so reads again what has not changed."""
    form = FORMATS.get(path.suffix.lower())
    return f"{form.media_type} {form.version}" if form and form.version > 1 else ""


def read_documents(
    path: Path, document_id: str, root: Path | None = None, extractor: Extractor | None = None
) -> Iterator[Document | Unreadable]:
    """Yield the file's document under `document_id`; of JSON lines one document a line under its own id, of a table whose
    sidecar names columns one a row.

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
        raise UnreadableError(f'is not a JSON object but {json_name(record)}; write {{"id": ..., "text": ...}}')
    check_storable(record)
    id_field = "_id" if record.get("_id") is not None else "id"
    metadata = {name: value for name, value in record.items() if name not in (id_field, "title", "text")}
    link = metadata.get("uri") if isinstance(metadata.get("uri"), str) else metadata.get("url")
    date = iso_date(metadata.get("date"))
    remark = date_remark(metadata.get("date"), date)
    return Document(
        id=_record_id(record.get(id_field)),
        title=_record_title(record.get("title")),
        text=_record_text(record),
        uri=link if isinstance(link, str) else None,
        date=date,
        metadata=metadata,
        media_type=media_type,
        remarks=(Remark("", remark),) if remark else (),
    )


def _record_id(value: Any) -> str:
    if value is None:
        raise UnreadableError('has no id; give it an "_id" or "id"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableError(f"its id is {json_name(value)}; an id is a string or a whole number")
    if value == "":
        raise UnreadableError("its id is empty; an id is a string of at least one character")
    return str(value)


def _record_title(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise UnreadableError(f'its "title" is {json_name(value)}; a title is a string')
    return value or ""


def _record_text(record: Mapping[str, Any]) -> str:
    if "text" not in record:
        raise UnreadableError('has no "text"')
    text = record["text"]
    if not isinstance(text, str):
        raise UnreadableError(f'its "text" is {json_name(text)}; a text is a string')
    if not text.strip():
        raise UnreadableError('its "text" is empty')
    if len(text) > LONGEST_TEXT:
        raise UnreadableError(
            f'its "text" has {len(text):,} characters, more than the {LONGEST_TEXT:,} of one document; divide it'
        )
    return text


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
                document = document_from_record(parse_json(raw))
                if document.id in first_seen:
                    raise UnreadableError(f'its id "{document.id}" is already that of line {first_seen[document.id]}')
            except UnreadableError as error:
                yield Unreadable(f"line {number}", str(error))
                continue
            first_seen[document.id] = number
            yield _placed(document, f"line {number}")
    if empty:
        raise UnreadableError("is empty")


def _placed(document: Document, record: str) -> Document:
    """The document, whose remarks are about a record of its file."""
    return (
        replace(document, remarks=tuple(Remark(record, one.remark) for one in document.remarks))
        if document.remarks
        else document
    )


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long no more than shows that."""
    while line := file.readline(LINE_BYTES + 1):
        rest = line
        while len(rest) > LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(LINE_BYTES + 1)
        yield line


def _whole_file(
    path: Path, document_id: str, root: Path | None, largest: int, extractor: Extractor | None
) -> Iterator[Document | Unreadable]:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UnreadableError(f'has a suffix ("{path.suffix}") of no format that can be read')
    companion = _read_sidecar(path, root)
    if is_table(path) and companion.get("columns") is not None:
        yield from _row_documents(path, document_id, root, largest, companion)
        return
    with open_input(path, root, largest) as file:
        content = extractor.content(suffix, file) if extractor else FORMATS[suffix].read(read_whole(file))
    if not content.text.strip():
        raise UnreadableError("holds no text, only white space")
    yield _document(path, document_id, FORMATS[suffix].media_type, content, companion)


def _document(path: Path, document_id: str, media_type: str, content: Content, companion: Mapping[str, Any]) -> Document:
    date = iso_date(companion.get("date"))
    told = {"title", "uri"} | ({"date"} if date else set())  # a date in words, "circa 1650", stays as metadata
    own = {name: value for name, value in companion.items() if name not in told}
    remark = date_remark(companion.get("date") or content.date, date or iso_date(content.date))
    for value in (content.title, content.text, content.metadata):  # front matter, for one, can spell what is no character
        check_storable(value)
    return Document(
        id=document_id,
        title=companion.get("title") or content.title or path.stem,
        text=content.text,
        uri=companion.get("uri") or path.resolve().as_uri(),
        date=date or iso_date(content.date),
        metadata={**content.metadata, **own},
        media_type=media_type,
        pages=content.pages,
        headings=content.headings,
        remarks=(*content.remarks, *([Remark("", remark)] if remark else [])),
    )


def _row_documents(
    path: Path, document_id: str, root: Path | None, largest: int, companion: Mapping[str, Any]
) -> Iterator[Document | Unreadable]:
    """A document a row, by the columns that the sidecar names; its id is the file's, `#`, and that of the row or its number.

    A row that cannot be used is reported by its number, which is that of a spreadsheet: the header is row 1."""
    columns = columns_of(companion["columns"])
    shared = {name: value for name, value in companion.items() if name not in ("columns", "title", "date", "uri")}
    first_seen: dict[str, int] = {}
    with open_input(path, root, largest) as file:
        text = decode(read_whole(file))
    for row in table_rows(text, columns):
        record = f"row {row.number}"
        try:
            if (earlier := first_seen.setdefault(row.id, row.number)) != row.number:
                raise UnreadableError(f'its id "{row.id}" is already that of row {earlier}; name a column whose values differ')
            if row.spare:
                raise UnreadableError(f"has {row.spare} more cells than the first row names; quote texts with the separator")
            made = document_from_record(
                {
                    **shared,
                    **row.fields,
                    "_id": f"{document_id}#{row.id}",
                    "title": row.title,
                    "text": row.text,
                    "date": row.date,
                },
                media_type=FORMATS[path.suffix.lower()].media_type,
            )
        except UnreadableError as error:
            yield Unreadable(record, str(error))
            continue
        metadata = {name: value for name, value in made.metadata.items() if value is not None}
        title = made.title or companion.get("title") or path.stem
        uri = made.uri or companion.get("uri") or path.resolve().as_uri()
        yield _placed(replace(made, title=title, uri=uri, metadata=metadata), record)


def _read_sidecar(path: Path, root: Path | None) -> Mapping[str, Any]:
    companion = sidecar(path)
    if not companion.is_file():
        return {}
    try:
        with open_input(companion, root, SIDECAR_BYTES, advice="") as file:
            fields = parse_json(decode(read_whole(file)).encode())
        _check_sidecar(fields)
    except UnreadableError as error:
        raise type(error)(f"its sidecar {companion.name} cannot be used: it {error}") from None
    return dict(fields)


def _check_sidecar(fields: Any) -> None:
    if not isinstance(fields, Mapping):
        raise UnreadableError(f'is not a JSON object but {json_name(fields)}; write {{"title": ..., "date": ...}}')
    check_storable(fields)
    for name in ("title", "date", "uri"):
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise UnreadableError(f'has a "{name}" that is {json_name(fields[name])}; it must be a string')


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
