"""What may be wrong with an index, looked for one thing at a time: each check says what it found and the command that mends it.

A check is given the folder alone, or an open catalog, and changes nothing; an index of an earlier release is not even brought
to this one's format. ``examine`` runs them all.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from indexer.backup import ASIDE, STAGING
from indexer.catalog import CATALOG_FILE, Catalog, content_hash, document_hash
from indexer.errors import PassagesError
from indexer.files import named_folder
from indexer.judgementfile import Judgements
from indexer.lock import LockedError, WriterLock
from indexer.models import locate
from indexer.passages import Passage
from indexer.schema import CatalogError, DamagedError, EarlierError
from indexer.snapshot import Snapshot
from indexer.vectorfiles import VECTORS_FILE, open_files, read_record, whole
from indexer.vectorstate import FILES_PASSAGES, tag
from indexer.witness import Witness
from indexer.words import WORDS_FILE, open_words

Severity = Literal["ok", "warning", "error"]
_ROOM = 2  # a migration or a fold may need the catalog's size again
_SHOWN = 3  # examples that a message names
# Names that only our own stopped commands leave.
_LEFT = re.compile(rf"(words|vectors)-\d+|(words|vectors)\.json\.new|{re.escape(STAGING)}")


class Finding(NamedTuple):
    """What a check found. ``mend`` is the command that mends it, or None."""

    name: str
    severity: Severity
    message: str
    mend: str | None = None


def examine(folder: Path, model: str) -> Iterator[Finding]:
    """Every check, in an order in which the first error is most likely the cause of the others."""
    for look in (check_writable, check_space, check_lock, check_leftovers, check_aside, check_judgements):
        yield look(folder)
    try:
        catalog = Catalog(folder, migrate=False) if (folder / CATALOG_FILE).exists() or Witness(folder).known() else None
    except EarlierError as error:
        advice = "to be able to go back, copy the folder first, while nothing has it open"
        yield Finding("catalog", "warning", f"{error}: {advice}", f"passages status --index {_quoted(folder)}")
        return
    except CatalogError as error:
        yield Finding("catalog", "error", str(error), _restore(folder) if isinstance(error, DamagedError) else None)
        return
    if catalog is None:
        yield Finding("catalog", "error", f"there is no index in {folder}", f"passages index --index {_quoted(folder)} PATH...")
        return
    try:
        yield from _examine(catalog, folder, model)
    finally:
        catalog.close()


def _examine(catalog: Catalog, folder: Path, model: str) -> Iterator[Finding]:
    found = check_catalog(catalog)
    yield found
    if found.severity == "error":
        return
    checks: tuple[Callable[[Snapshot, Path, str], Finding], ...] = (
        check_passages, check_readings, check_model, check_words, check_vectors, check_sources, check_removed,
    )  # fmt: skip
    for one in checks:
        try:
            with catalog.read() as snapshot:
                yield one(snapshot, folder, model)
        except PassagesError as error:
            yield Finding(one.__name__.removeprefix("check_"), "error", str(error))


def check_writable(folder: Path) -> Finding:
    """Whether this user can write what is there."""
    paths = [folder, *(path for path in folder.iterdir() if path.is_file())] if folder.is_dir() else []
    refused = [path.name for path in paths if not os.access(path, os.R_OK | os.W_OK)]
    if refused:
        return Finding("writable", "error", f"this user may not write {_some(refused)}", f"chmod -R u+rwX {_quoted(folder)}")
    return Finding("writable", "ok", "all files can be read and written")


def check_space(folder: Path) -> Finding:
    """Whether the disk has room for the next migration or fold."""
    size = sum(path.stat().st_size for path in folder.glob(CATALOG_FILE + "*") if path.is_file())
    free = shutil.disk_usage(folder if folder.is_dir() else Path()).free
    message = f"{free / 1e9:,.1f} GB are free, the catalog has {size / 1e9:,.3f} GB"
    return Finding("space", "ok" if free > _ROOM * size + 100e6 else "warning", message, None)


def check_lock(folder: Path) -> Finding:
    """Who writes, if someone does. The lock ends with its process, so none can be left over."""
    if not (folder / "writer.lock").exists():
        return Finding("lock", "ok", "nobody has written yet")
    lock = WriterLock(folder)
    last = lock.holder()
    try:
        with lock.probed():
            return Finding("lock", "ok", f"nobody is writing; the last one was {last}")
    except LockedError:
        return Finding("lock", "ok", f"{last} is writing")
    except PassagesError as error:
        return Finding("lock", "error", str(error))


def check_leftovers(folder: Path) -> Finding:
    """What stopped commands of ours left, which only takes room."""
    try:
        kept = {named_folder(folder / file) for file in (WORDS_FILE, VECTORS_FILE)}
    except OSError as error:
        return Finding("leftovers", "warning", f"what is still of use cannot be told: {error.strerror}")
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    left = [path for path in there if _LEFT.fullmatch(path.name) and path not in kept]
    if left:
        names = [path.name for path in left]
        mend = shlex.join(["rm", "-r", *map(str, left)])
        return Finding("leftovers", "warning", f"while nobody writes, these are of no use: {_some(names)}", mend)
    return Finding("leftovers", "ok", "nothing was left over")


def check_aside(folder: Path) -> Finding:
    """Damaged catalogs that a restore kept. No command mends that: it may be the only place that holds what was stored over
    HTTP since the last backup, and who has saved that deletes it."""
    aside = [path.name for path in sorted(folder.glob(ASIDE + "-*"))]
    if aside:
        message = f"kept by a restore, for who can save some of it, until you delete it: {_some(aside)}"
        return Finding("aside", "warning", message)
    return Finding("aside", "ok", "no damaged catalog was kept")


def check_judgements(folder: Path) -> Finding:
    """Whether judged questions can be read, each of them. No command makes them again."""
    try:
        kept = Judgements(folder).read()
    except PassagesError as error:
        return Finding("judgements", "error", str(error))
    if kept.damaged:
        message = f"{kept.damaged:,} of {len(kept.judgements) + kept.damaged:,} judged questions are damaged and left out"
        return Finding("judgements", "warning", message)
    return Finding("judgements", "ok", f"judged questions that can be read: {len(kept.judgements):,}")


def check_catalog(catalog: Catalog) -> Finding:
    """SQLite's own check of its structure, every row's checksum, the totals, and that rows belong together."""
    try:
        catalog.check()
    except CatalogError as error:
        return Finding("catalog", "error", str(error), _restore(catalog.folder))
    with catalog.read() as snapshot:
        counts = snapshot.counts()
    return Finding("catalog", "ok", f"{counts.documents:,} documents and {counts.passages:,} passages are what was written")


def check_passages(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Whether each document is what its hash says, and each passage lies in it and has the text that its hash says."""
    wrong = []
    for document_id in snapshot.document_ids():
        document, owner = snapshot.document(document_id), snapshot.owner(document_id)
        if document is None or owner is None or document_hash(document) != owner[1]:
            wrong.append(document_id)
            continue
        for start, end, content in snapshot.extents(document_id):
            fits = 0 <= start < end <= len(document.text)
            if not fits or content not in (b"", content_hash(document, Passage(start, end))):  # format 1 had no hashes
                wrong.append(f"{document_id}, {start} to {end}")
    if wrong:
        return Finding("passages", "error", f"not the text that was indexed: {_some(wrong)}", _reindex(folder))
    return Finding("passages", "ok", "every passage is a part of its document")


def check_readings(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Whether every passage has vector, tokens and terms."""
    lacking = snapshot.count_unread()
    if lacking:
        return Finding("readings", "error", f"{lacking:,} passages lack what the model made of them", _reindex(folder))
    return Finding("readings", "ok", "every passage has its vector, tokens and terms")


def check_model(snapshot: Snapshot, folder: Path, model: str) -> Finding:
    """Whether the model that the index was made with is here."""
    contract = snapshot.contract
    if contract is None:
        return Finding("model", "ok", "nothing is indexed yet")
    try:
        files = locate(model)
    except PassagesError as error:
        return Finding("model", "error", str(error))
    if files.weights != contract.weights:
        message = f"the index was made with {contract.name}, and {files.name} has other weights"
        return Finding("model", "error", message, f"{_reindex(folder)} --model {shlex.quote(model)}")
    return Finding("model", "ok", f"{contract.name} is here, with the weights that the index was made with")


def check_words(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Whether the word index on disk can be used."""
    if snapshot.contract is None or not (folder / WORDS_FILE).exists():
        return Finding("words", "ok", "no word index is on disk; words are searched in memory")
    from indexer.collection import words_tag

    words = open_words(folder, words_tag(snapshot))
    if words.disk is None or not snapshot.pruned <= words.generation <= snapshot.generation:
        return Finding("words", "warning", "the word index is damaged or of another catalog, and is not used", _rebuild(folder))
    return Finding("words", "ok", f"the word index is at {words.generation} of {snapshot.generation}")


def check_vectors(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Whether the vectors on disk can be used, every row of them."""
    contract = snapshot.contract
    if contract is None or not (folder / VECTORS_FILE).exists():
        return Finding("vectors", "ok", f"no vectors are on disk, which begins at {FILES_PASSAGES:,} passages")
    record = read_record(folder, tag(contract, snapshot.identity))
    files = open_files(folder, record) if record and record.generation <= snapshot.generation else None
    if files is None or not whole(files):
        return Finding("vectors", "warning", "the files of vectors are damaged or of another catalog", _rebuild(folder))
    return Finding("vectors", "ok", f"{len(files.keys):,} vectors on disk are what was written")


def check_sources(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Files that could not be read, and files that were not finished when an indexing was stopped."""
    sources = snapshot.sources()
    failed = [source.path for source in sources if source.failures]
    half = [source.path for source in sources if not source.hash and not source.failures]
    again = f"passages index --index {_quoted(folder)} PATH..."
    if half:
        return Finding("sources", "warning", f"indexing was stopped before these were done: {_some(half)}", again)
    if failed:
        return Finding(
            "sources",
            "warning",
            f"not all of these could be read: {_some(failed)}",
            f"passages status --index {_quoted(folder)}",
        )
    return Finding("sources", "ok", f"{len(sources):,} files were read whole")


def check_removed(snapshot: Snapshot, folder: Path, _: str) -> Finding:
    """Whether the catalog remembers many more removed passages than it has."""
    count = snapshot.count_prunable(snapshot.generation)
    if count > max(100_000, 2 * snapshot.covered()[0]):
        return Finding("removed", "warning", f"{count:,} removed passages are still remembered", _rebuild(folder))
    return Finding("removed", "ok", f"{count:,} removed passages are remembered, for what follows the catalog")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))


def _restore(folder: Path) -> str:
    return f"passages restore FILE --index {_quoted(folder)} --force"


def _rebuild(folder: Path) -> str:
    return f"passages rebuild --index {_quoted(folder)}"


def _reindex(folder: Path) -> str:
    return f"passages index --index {_quoted(folder)} --reindex"
