"""The two stages of indexing that other machines can do: files to split documents, and these to encodings.

They are plain functions over rows, whatever carries the rows from one to the other (see :mod:`indexer.cluster`). Invariant: the
rows of a file stand together and in order, its :class:`Head` first, and files in the order in which they were wanted.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from indexer.documents import Document, Unreadable, read_documents
from indexer.encoder import Encoder
from indexer.errors import PassagesError, UnreadableError
from indexer.extraction import Extractor, Limits
from indexer.hashes import document_hash
from indexer.ingest import COMMIT_PASSAGES, Encodings, Ready, Split, encode, inputs_of, split_document
from indexer.models import ModelContract, ModelError
from indexer.passages import SPLITTER_VERSION
from indexer.reader import Wanted, digest_of
from indexer.runtimes import Kind
from indexer.tokenizing import ModelTokens

JOB_FILES, JOB_BYTES = 16, 8 << 20  # files read in one go: the extracting child's start is shared, and little is lost with it


class ElsewhereError(PassagesError):
    """Another machine is not set up as this one is."""


class Head(NamedTuple):
    """What comes first of a file: the hash of its content, or why it cannot be read; and whether its documents follow."""

    digest: str
    reason: str
    was_read: bool


class Row(NamedTuple):
    """A part of the file of that number."""

    number: int
    part: Head | Unreadable | Document | Split | Ready


class Numbered(NamedTuple):
    """A wanted file and its number."""

    number: int
    wanted: Wanted


class Setup(NamedTuple):
    """What each machine has to know: the model, with its tokenizer, and how files are read."""

    model: str
    runtime: Kind
    tokenizer: str
    contract: ModelContract  # without calibration, which is a matter of searching
    limits: Limits
    movable: frozenset[str]


def jobs(wanted: Sequence[Wanted]) -> Iterator[list[Numbered]]:
    """The files in groups that are read in one go."""
    job: list[Numbered] = []
    size = 0
    for number, one in enumerate(wanted):
        if job and (len(job) == JOB_FILES or size + one.file.size > JOB_BYTES):
            yield job
            job, size = [], 0
        job.append(Numbered(number, one))
        size += one.file.size
    if job:
        yield job


def read(job: Iterable[Numbered], setup: Setup) -> Iterator[Row]:
    """The first stage. Raises :class:`ElsewhereError` if this machine does not see the folder, or splits otherwise."""
    if setup.contract.splitter != SPLITTER_VERSION:
        raise ElsewhereError(f"{platform.node()} has another version of Passages; install the same one on all machines")
    tokens = _tokens(setup.tokenizer, setup.contract)
    with Extractor(setup.limits) as extractor:
        for number, wanted in job:
            _check_is_here(wanted.file.root or wanted.file.path.parent)
            for part in _parts(wanted, setup, extractor, tokens):
                yield Row(number, part)


def _parts(
    wanted: Wanted, setup: Setup, extractor: Extractor, tokens: ModelTokens
) -> Iterator[Head | Unreadable | Document | Split]:
    file = wanted.file
    try:
        digest = digest_of(file, setup.limits)
    except UnreadableError as error:
        yield Head("", str(error), was_read=False)
        return
    was_read = digest not in setup.movable if not wanted.known else digest != wanted.known
    yield Head(digest, "", was_read)
    for one in read_documents(file.path, wanted.name, file.root, extractor) if was_read else ():
        if isinstance(one, Unreadable) or document_hash(one) in wanted.hashes:
            yield one
        else:
            yield split_document(tokens, one)


class Encoding:
    """The second stage: a model, loaded once for all that it will encode."""

    def __init__(self, setup: Setup, threads: int) -> None:
        """Raises :class:`ModelError` if the model here is another one."""
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before a library counts cores: others compute on this machine, too
        self._encoder = Encoder.of(setup.model, setup.runtime)
        if not self._encoder.contract.same_vectors(setup.contract):
            raise ModelError(
                f"{platform.node()} has another version of the model {setup.model}, or of Passages; "
                "install the same on all machines"
            )

    def __call__(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        """The same rows with each split document encoded, some at a time."""
        for some in _groups(rows):
            splits = [row.part for row in some if isinstance(row.part, Split)]
            encodings = encode(self._encoder, inputs_of(splits), lambda _: None)
            yield [_ready(row, encodings) for row in some]


def _ready(row: Row, encodings: Encodings) -> Row:
    if not isinstance(row.part, Split):
        return row
    return row._replace(part=Ready(row.part, {digest: encodings[digest] for digest in row.part.hashes}))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows together, until they have the passages of a commit: what is encoded at once, and waits in memory."""
    group: list[Row] = []
    passages = 0
    for row in rows:
        group.append(row)
        passages += len(row.part.passages) if isinstance(row.part, Split) else 0
        if passages >= COMMIT_PASSAGES:
            yield group
            group, passages = [], 0
    if group:
        yield group


@lru_cache(1)
def _tokens(serialized: str, contract: ModelContract) -> ModelTokens:
    """Made once in a process that reads one job after the other."""
    return ModelTokens(serialized, contract)


def _check_is_here(folder: Path) -> None:
    if not folder.is_dir():
        raise ElsewhereError(
            f"{platform.node()} does not see the folder {folder}; mount it under the same path on all machines of the cluster"
        )
