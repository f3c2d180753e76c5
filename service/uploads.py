"""Documents that are sent: records, and files of every format that is read, each of which is stored or refused by itself.

What a file is read by and may cost is the same as for a synced one: a child process, its limits, JSON lines and rows as
documents of their own, sidecars. Of an uploaded file the text is kept, not the file.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, BinaryIO, Literal, NamedTuple

from indexer.catalog import document_hash
from indexer.documents import SIDECAR_SUFFIX, Document, Unreadable, document_from_record, is_supported, read_documents
from indexer.engines.contract import Engine
from indexer.errors import PassagesError, UnreadableError
from indexer.extraction import Extractor, Limits
from indexer.ingest import Ingest, Step
from indexer.schema import FullError
from service.events import Progress, State

LOCK_S = 10.0  # for another writer, which stores a document meanwhile
MOST_REFUSED = 1000  # that are told one by one: a body can hold millions of records, each with a reason longer than itself
_FOLDER = ".upload-"  # in the index folder, which will hold their texts anyway
_LEFT_S = 3600.0  # a folder that is older was left by a server that was killed
_NAME_BYTES = 255  # of a file, on the usual file systems

Tell = Callable[[Progress], None]


class Sent(NamedTuple):
    """A file as it was sent."""

    name: str
    size: int
    content: BinaryIO


class Stored(NamedTuple):
    """A document that is in the collection now."""

    id: str
    passages: int
    state: Literal["added", "replaced", "unchanged"]


class Refused(NamedTuple):
    """A file, or a ``record`` of it ("line 17"), that was not stored, and why."""

    name: str
    record: str
    reason: str


@dataclass
class Outcome:
    """What became of all that was sent; all that was stored is in the commit ``generation``, or was before."""

    stored: list[Stored] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    generation: int = 0
    _more: int = field(default=0, init=False)  # that were refused

    def refuse(self, name: str, record: str, reason: str) -> None:
        """Something was not stored. Of very many the last entry says how many more there are."""
        if len(self.refused) < MOST_REFUSED:
            self.refused.append(Refused(name, record, reason))
            return
        self._more += 1
        self.refused[MOST_REFUSED:] = [Refused(name, "", f"{self._more:,} more could not be read; mend these first")]

    def check(self) -> None:
        """Raises :class:`UnreadableError` if nothing at all was stored."""
        if not self.stored:
            told = "; ".join(": ".join(part for part in one if part) for one in self.refused[:10])
            raise UnreadableError(told or "there is nothing to store: send a record, a list of records, or files")


def sweep(where: Path | None) -> None:
    """Delete what servers left that were killed during an upload."""
    for folder in (where or Path(gettempdir())).glob(f"{_FOLDER}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_S:
                shutil.rmtree(folder)


def store_document(collection: Engine, document: Document) -> tuple[int, int]:
    """Add or replace a document; how many passages it has, and the commit that it is in. Raises :class:`UnreadableError`,
    :class:`indexer.lock.LockedError`."""
    with collection.lock.held(LOCK_S), Ingest(collection) as ingest:
        passages = ingest.document(document)
        ingest.flush()
        return passages, _generation(collection)


def store_records(collection: Engine, body: bytes) -> Outcome:
    """Store the record, or each of the list of records, that ``body`` is in JSON. Raises :class:`UnreadableError` if none can
    be, :class:`indexer.lock.LockedError`."""
    outcome = Outcome()
    _store(collection, _from_records(_records(body)), "", outcome, lambda _: None)
    outcome.check()
    return outcome


class Upload:
    """Some files on their way in. One that fails is told, and the rest is stored."""

    def __init__(self, collection: Engine, limits: Limits, job: str, tell: Tell) -> None:
        self._collection, self._limits, self._job, self._tell = collection, limits, job, tell
        self._outcome, self._done, self._total = Outcome(), 0, 0
        self._where = collection.upload_folder()

    def run(self, files: Sequence[Sent]) -> Outcome:
        """Store them. Raises what kept the last from being stored, if none was."""
        self._total = sum(one.size for one in files)
        trouble: PassagesError | None = None
        try:
            with self._folder() as folder, Extractor(self._limits) as extractor:
                for path, name, size in self._saved(folder, files):
                    trouble = self._file(path, name, size, extractor) or trouble
            if trouble is not None and not self._outcome.stored:
                raise trouble
            self._outcome.check()
        except Exception as error:  # else it would be told for ever as one that runs
            why = str(error) if isinstance(error, PassagesError) else "the server failed; its log says why"
            self._report("", 0, "failed", why)
            raise
        self._report("", 0, "done")
        return self._outcome

    def _folder(self) -> TemporaryDirectory[str]:
        try:
            return TemporaryDirectory(prefix=_FOLDER, dir=self._where)
        except OSError as error:
            raise _no_room(self._where or Path(gettempdir()), error) from error

    def _saved(self, folder: str, files: Sequence[Sent]) -> list[tuple[Path, str, int]]:
        """All of them are saved before one is read, so that each is beside its sidecar."""
        saved = []
        for one in files:
            path = Path(folder, one.name)
            reason = _unusable(one.name) or ("was sent twice; give one another name" if path.exists() else None)
            if reason:
                self._outcome.refuse(one.name, "", reason)
                continue
            try:
                with path.open("xb") as target:
                    shutil.copyfileobj(one.content, target)
            except OSError as error:
                raise _no_room(self._where or Path(gettempdir()), error) from error
            saved.append((path, one.name, one.size))
        return [one for one in saved if not _is_beside_its_file(one[0])]

    def _file(self, path: Path, name: str, size: int, extractor: Extractor) -> PassagesError | None:
        """Store one; what kept it from being stored, if that was not the file."""
        self._report(name, 0, "reading")
        try:
            documents = _without_place(read_documents(path, name, extractor=extractor), path)
            first = list(_next(documents))  # the file is read now, while others may still write the index
            _store(
                self._collection, chain(first, documents), name, self._outcome,
                lambda part: self._report(name, int(size * part), "indexing"),
            )  # fmt: skip
        except PassagesError as error:
            self._outcome.refuse(name, "", str(error))
            return error
        finally:
            self._done += size
        return None

    def _report(self, name: str, within: int, state: State, detail: str | None = None) -> None:
        done = self._total if state == "done" else self._done + within
        self._tell(Progress(self._job, name, done, self._total, state, detail))


def _store(
    collection: Engine,
    documents: Iterable[Document | Unreadable],
    name: str,
    outcome: Outcome,
    progress: Callable[[float], None],
) -> None:
    """Commit documents, many in several commits; ``progress`` is told which part of what was read so far is encoded.
    ``outcome`` is told of them at the end: if something raises before, some may be stored, each document whole."""
    stored, characters = [], [0, 0]

    def advance(step: Step) -> None:
        characters[0] += step.characters
        progress(min(1.0, characters[0] / max(1, characters[1])))

    with collection.lock.held(LOCK_S), Ingest(collection, advance) as ingest:
        for one in documents:
            if isinstance(one, Unreadable):
                outcome.refuse(name, one.source, one.reason)
                continue
            characters[1] += len(one.text)
            try:
                stored.append(_put(collection, one, ingest))
            except UnreadableError as error:
                outcome.refuse(name, one.id if one.id != name else "", str(error))
        ingest.flush()
        outcome.generation = _generation(collection)
    outcome.stored += stored


def _generation(collection: Engine) -> int:
    """The last commit. The caller holds the lock: over a server, who does not may be told of one before its own."""
    with collection.catalog.read() as snapshot:
        return snapshot.generation


def _put(collection: Engine, document: Document, ingest: Ingest) -> Stored:
    with collection.catalog.read() as snapshot:
        known = snapshot.owner(document.id)
        if known is not None and known[1] == document_hash(document):
            return Stored(document.id, len(snapshot.extents(document.id)), "unchanged")
    return Stored(document.id, ingest.document(document), "replaced" if known else "added")


def _records(body: bytes) -> list[Any]:
    try:
        said = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UnreadableError("the body is not UTF-8; convert it") from error
    except json.JSONDecodeError as error:
        raise UnreadableError(f"the body is not JSON: {error.msg} at character {error.pos}; see /openapi.json") from error
    except (RecursionError, ValueError) as error:  # a number of more digits than Python converts
        raise UnreadableError("the body is JSON that is nested too deeply, or holds too long a number; flatten it") from error
    if isinstance(said, dict) and isinstance(said.get("documents"), list) and "text" not in said:
        said = said["documents"]
    return said if isinstance(said, list) else [said]


def _from_records(records: Sequence[Any]) -> Iterator[Document | Unreadable]:
    first_seen: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        try:
            document = checked_record(record)
            if (first := first_seen.setdefault(document.id, number)) != number:
                raise UnreadableError(f'its id "{document.id}" is already that of record {first}; give one another id')
        except UnreadableError as error:
            yield Unreadable(f"record {number}" if len(records) > 1 else "", str(error))
            continue
        yield document


def checked_record(record: Any) -> Document:
    """The document of a record over HTTP, whose sender is there to be told that a date is none. Raises
    :class:`UnreadableError`."""
    document = document_from_record(record)
    if record.get("date") is not None and document.date is None:
        raise UnreadableError(
            'its "date" is no date; write it as 2022-05-11, 2022-05 or 2022, or keep it as metadata of another name'
        )
    return document


def _next(documents: Iterator[Document | Unreadable]) -> Iterator[Document | Unreadable]:
    with suppress(StopIteration):
        yield next(documents)


def _without_place(documents: Iterator[Document | Unreadable], path: Path) -> Iterator[Document | Unreadable]:
    """Documents without the address of the file, which is about to be deleted."""
    place = path.resolve().as_uri()
    for one in documents:
        yield replace(one, uri=None) if isinstance(one, Document) and one.uri == place else one


def _unusable(name: str) -> str | None:
    """Why a file of this name cannot be read; None if it can. A name is no path: it decides nothing but the document's id."""
    if not name or name in (".", "..") or any(char in name for char in "/\\\0"):
        return "has no usable name; send the name of the file without its folder"
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES or any("\ud800" <= char <= "\udfff" for char in name):
        return f"has a name of more than {_NAME_BYTES} bytes, or one that is not UTF-8; rename it"
    if not is_supported(Path(name)) and not name.endswith(SIDECAR_SUFFIX):
        return f'has a suffix ("{Path(name).suffix}") of no format that can be read; see docs/documents.md'
    return None


def _is_beside_its_file(path: Path) -> bool:
    return path.name.endswith(SIDECAR_SUFFIX) and path.with_name(path.name.removesuffix(SIDECAR_SUFFIX)).exists()


def _no_room(folder: Path, error: OSError) -> FullError:
    return FullError(f"an upload cannot be kept in {folder} while it is read: {error.strerror}; make room, or mend that")
