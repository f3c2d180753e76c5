"""A collection from one engine to another, as it was encoded: nothing is encoded again.

A copy that was interrupted goes on where it ended: a document that is there as it should be is left. At the end all of both is
read and compared: counts, and the hash of all that they hold, vectors and token codes too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from indexer.contents import content_hash
from indexer.documents import Document
from indexer.engines.contract import Engine, Reader, Writer
from indexer.errors import PassagesError
from indexer.records import EncodedPassage, Source

Told = Callable[[str, int, int], None]
_TOGETHER = 512  # passages of one commit


class CopyError(PassagesError):
    """It cannot be copied there, or is not the same."""


class Copied(NamedTuple):
    """What was done: documents that were ``written``, and that were there already; ``passages`` and the hash of the whole."""

    written: int
    there: int
    passages: int
    content_hash: str


class _One(NamedTuple):
    document: Document
    source: Source | None
    passages: list[EncodedPassage]


def copy(source: Engine, target: Engine, told: Told = lambda *_: None) -> Copied:
    """Copy all of ``source`` to ``target``, which may hold a part of it; ``told`` hears what is done ("copying",
    "comparing"), of how many documents, and of how many there are. The source must not be written meanwhile. Raises
    :class:`CopyError`."""
    with target.lock.held(10):
        written = _copy(source, target, told)
        target.fold(at_once=True)
    return _compared(source, target, written, told)


def _copy(source: Engine, target: Engine, told: Told) -> int:
    with source.catalog.read() as there:
        contract, ids = there.contract, there.document_ids()
    _check(source, target, ids)
    if contract is None:
        return 0
    with target.catalog.write() as writer:
        if writer.contract != contract:
            writer.set_contract(contract)
    written = 0
    for some, done in _groups(source, target, ids):
        with target.catalog.write() as writer:
            for one in some:
                writer.put_document(one.document, _file(writer, one.source), one.passages)
        written += len(some)
        told("copying", done, len(ids))
    _copy_files(source, target)
    return written


def _check(source: Engine, target: Engine, ids: list[str]) -> None:
    with target.catalog.read() as here:
        others = set(here.document_ids()).difference(ids)
        contract = here.contract
    if others:
        counted = f"{len(others):,} document{'s' * (len(others) != 1)}"
        raise CopyError(
            f"{target.name} holds {counted} that {source.name} does not have, such as {min(others)!r}: "
            "copy to another name or folder"
        )
    with source.catalog.read() as there:
        if contract and there.contract and not contract.same_vectors(there.contract):
            raise CopyError(f"{target.name} was made with another model, {contract.name}: copy to another name or folder")


def _groups(source: Engine, target: Engine, ids: list[str]) -> Iterator[tuple[list[_One], int]]:
    """Documents that are not there yet, as many together as a commit takes, and how many of all are there once they are."""
    some: list[_One] = []
    for done, document_id in enumerate(ids, 1):
        with source.catalog.read() as there, target.catalog.read() as here:
            document = there.document(document_id)
            if document is not None and not _same(there, here, document):
                some.append(_One(document, there.source_of(document_id), there.encoded_of(document_id)))
        if sum(len(one.passages) for one in some) >= _TOGETHER:
            yield some, done
            some = []
    if some:
        yield some, len(ids)


def _same(there: Reader, here: Reader, document: Document) -> bool:
    """Whether a document was copied: it is the same, of the same file, with the same passages."""
    if here.document(document.id) != document or there.extents(document.id) != here.extents(document.id):
        return False
    before, after = there.source_of(document.id), here.source_of(document.id)
    return (before and before.path) == (after and after.path)


def _file(writer: Writer, source: Source | None) -> int | None:
    """The key there of a file; it is told of before its documents are, and without a hash until all of them are there."""
    return None if source is None else writer.put_source(source.path, source.name, "", "", ())


def _copy_files(source: Engine, target: Engine) -> None:
    with source.catalog.read() as there, target.catalog.write() as writer:
        for one in there.sources():
            writer.put_source(one.path, one.name, one.stamp, one.hash, one.failures, one.remarks)


def _compared(source: Engine, target: Engine, written: int, told: Told) -> Copied:
    with source.catalog.read() as there, target.catalog.read() as here:
        counts = [source.counts(there), target.counts(here)]
        if counts[0] != counts[1]:
            raise CopyError(f"{target.name} holds {counts[1]} and {source.name} {counts[0]}: copy again")
        of = 2 * counts[0].documents
        told("comparing", 0, of)
        hashes = [
            whole_hash(one, lambda done, before=before: told("comparing", before + done, of))  # type: ignore[misc]
            for one, before in ((there, 0), (here, of // 2))
        ]
        if hashes[0] != hashes[1]:
            raise CopyError(f"{target.name} is not the same as {source.name}: copy to an empty one")
        return Copied(written, counts[0].documents - written, counts[0].passages, hashes[0])


def whole_hash(snapshot: Reader, told: Callable[[int], None] = lambda _: None) -> str:
    """The sha256, hexadecimal, of what :func:`indexer.contents.content_hash` is of, with vectors and token codes.
    ``told`` hears how many documents are done."""
    whole = hashlib.sha256(content_hash(snapshot).encode())
    for done, document_id in enumerate(snapshot.document_ids(), 1):
        for one in snapshot.encoded_of(document_id):
            codes, places, norms = one.tokens
            for part in (one.vector.astype("<f2"), codes, places.astype("<u2"), norms.astype("<f2")):
                whole.update(hashlib.sha256(part.tobytes()).digest())
        told(done)
    return whole.hexdigest()
