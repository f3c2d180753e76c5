"""The way in: documents are split, encoded and committed, a batch at a time, each document whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from indexer.documents import Document
from indexer.encoder import Encoder, PassageInput
from indexer.engines.contract import Engine, Writer
from indexer.models import ModelContract
from indexer.passages import Passage, split
from indexer.records import EncodedPassage, Encoding
from indexer.terms import DIVIDER, Codes, codes, language_of
from indexer.tokenizing import ModelTokens
from indexer.tokens import compress

# Passages a commit: enough for batches of even length, few enough that little is lost when the machine stops.
COMMIT_PASSAGES = 512
# The first one is smaller, and each up to that twice the one before: who stops a run early, or watches it, has something soon.
FIRST_PASSAGES = 64
COMMIT_CHARS = 8_000_000  # a bound for the memory of texts that wait

Progress = Callable[["Step"], None]
Action = Callable[[Writer], Any]
Encodings = dict[bytes, Encoding]  # by the hash of what was encoded


class Step(NamedTuple):
    """Progress since the last step: passages encoded, and about how many characters of text that makes."""

    passages: int
    characters: int


@dataclass(slots=True)
class Effort:
    """What the encoder had to do: passages encoded, and passages whose vectors were there already."""

    encoded: int = 0
    reused: int = 0


class Split(NamedTuple):
    """A document with its passages and, for each, what the encoder reads and the hash of that."""

    document: Document
    passages: list[Passage]
    inputs: list[PassageInput]
    hashes: list[bytes]


class Ready(NamedTuple):
    """A document that somebody else has split and encoded, with this collection's model: the encodings of all its inputs."""

    split: Split
    encodings: Encodings


class _Put(NamedTuple):
    """A document that waits; ``source`` is the path of its file, or None."""

    split: Split
    source: str | None

    def write(self, writer: Writer, encodings: Encodings) -> None:
        source = writer.source_key(self.source) if self.source is not None else None
        writer.put_document(self.split.document, source, _encoded(self.split, encodings))


class _Then(NamedTuple):
    """A change that waits, and who is told its result."""

    action: Action
    committed: Callable[[Any], None] | None

    def write(self, writer: Writer, _: Encodings) -> Any:
        return self.action(writer)


class _Group(NamedTuple):
    """What one commit will hold: changes in order, and how the passages of its documents are encoded.

    ``encoded`` are those that this group's own turn of the encoder makes, or that came with its documents: ``encoding``;
    ``earlier`` turns make the others, but for those ``reused`` from the catalog."""

    changes: list[_Put | _Then]
    reused: Encodings
    encoded: frozenset[bytes]
    encoding: Future[Encodings]
    earlier: list[Future[Encodings]]
    effort: Effort

    def encodings(self) -> Encodings:
        """Waits until all of them are there."""
        made: Encodings = {}
        for each in (*self.earlier, self.encoding):
            made |= each.result()
        return made | self.reused


class Ingest:
    """Collects documents and other changes, in order, and commits them in batches.

    While one batch is encoded the next is read and split, and the one before is committed. The caller holds the collection's
    writer lock, and uses this as a context (``with Ingest(...) as ingest``), whose end drops what waits. What was committed
    stays, whatever happens next.
    """

    def __init__(self, collection: Engine, progress: Progress | None = None) -> None:
        self.collection, self.progress = collection, progress
        self.effort = Effort()
        self._waiting: list[_Put | _Then] = []
        self._made: Encodings = {}  # that came with documents that wait
        self._passages = self._chars = 0
        self._enough = min(FIRST_PASSAGES, COMMIT_PASSAGES)
        self._encoder = ThreadPoolExecutor(1, "encode")
        self._stopped = False
        self._groups: deque[_Group] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped = True
        self._encoder.shutdown(cancel_futures=True)

    def document(self, document: Document | Ready, source: str | None = None) -> int:
        """Add or replace a document, ``source`` is the path of its synced file; how many passages it has. Raises
        :class:`indexer.errors.UnreadableError` for one that the collection cannot keep: nothing is changed by it."""
        self.collection.check_document(document.split.document if isinstance(document, Ready) else document)
        if isinstance(document, Ready):
            one = document.split
            self._made |= document.encodings
        else:
            one = split_document(self.collection.encoder, document)
        self._waiting.append(_Put(one, source))
        self._passages += len(one.passages)
        self._chars += len(one.document.text)
        if self._passages >= self._enough or self._chars >= COMMIT_CHARS:
            self._enough = min(2 * self._enough, COMMIT_PASSAGES)
            self._begin()
            self._commit(all_but=1)
        return len(one.passages)

    def then(self, action: Action, committed: Callable[[Any], None] | None = None) -> None:
        """Do ``action`` in the transaction of the documents before it; ``committed`` is told its result once that is stored."""
        self._waiting.append(_Then(action, committed))

    def flush(self) -> None:
        """Encode and commit what waits. Also if nothing does, what an earlier run did not live to fold is folded."""
        if self._waiting:
            self._begin()
        if self._groups:
            self._commit()
        else:
            _folded(self.collection)

    def _begin(self) -> None:
        """Gives what waits to the encoder."""
        splits = [one.split for one in self._waiting if isinstance(one, _Put)]
        inputs = inputs_of(splits)
        with self.collection.catalog.read() as snapshot:
            reused: Encodings = snapshot.encodings_of(inputs)
        needed = inputs.keys() - reused.keys()
        earlier = [group.encoding for group in self._groups if not needed.isdisjoint(group.encoded)]
        coming = {digest for group in self._groups for digest in group.encoded}
        new = {digest: inputs[digest] for digest in inputs if digest in needed and digest not in coming}
        encoding = self._encoder.submit(self._encode, new, self._made, self._shares(len(new), self._chars))
        effort = Effort(len(new), sum(len(each.hashes) for each in splits) - len(new))
        self._groups.append(_Group(self._waiting, reused, frozenset(new), encoding, earlier, effort))
        self._waiting, self._made, self._passages, self._chars = [], {}, 0, 0

    def _commit(self, all_but: int = 0) -> None:
        """Commits the groups in order; ``all_but`` so many stay with the encoder."""
        while len(self._groups) > all_but:
            group = self._groups[0]
            encodings = group.encodings()
            with self.collection.catalog.write() as writer:
                if writer.contract is None and any(isinstance(one, _Put) for one in group.changes):
                    writer.set_contract(self.collection.encoder.contract)
                results = [one.write(writer, encodings) for one in group.changes]
            self._groups.popleft()
            self.effort.encoded += group.effort.encoded
            self.effort.reused += group.effort.reused
            for one, result in zip(group.changes, results, strict=True):
                if isinstance(one, _Then) and one.committed:
                    one.committed(result)
            _folded(self.collection)  # last: what is committed is told even if this is interrupted

    def _encode(self, new: Mapping[bytes, PassageInput], made: Encodings, tell: Callable[[int], None]) -> Encodings:
        """What the encoder makes of the inputs, unless it is ``made`` already; in the encoder's thread."""

        def told(count: int) -> None:
            if self._stopped:
                raise _StoppedError
            tell(count)

        missing = {digest: one for digest, one in new.items() if digest not in made}
        if len(missing) < len(new) or not new:
            told(len(new) - len(missing))
        came = {digest: made[digest] for digest in new if digest in made}
        return came | encode(self.collection.encoder, missing, told) if missing else came

    def _shares(self, total: int, characters: int) -> Callable[[int], None]:
        """Tells the progress of ``total`` passages, and with each its share of the ``characters`` of its group."""
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            before, done = done, done + count
            share = characters * done // total - characters * before // total if total else characters
            if self.progress:
                self.progress(Step(count, share))

        return tell


class _StoppedError(Exception):
    """Ends the encoder's thread when nobody waits for it any more."""


def split_document(encoder: ModelTokens, document: Document) -> Split:
    """The document's passages and what the encoder reads of each: title and headings with the text."""
    passages = split(document.text, document.headings, encoder.token_offsets, encoder.passage_tokens, document.title)
    inputs = [_input(document, passage) for passage in passages]
    return Split(document, passages, inputs, [_hash(encoder.contract, one) for one in inputs])


def put(collection: Engine, document: Document, wait_s: float = 10.0) -> int:
    """Add or replace one document; how many passages it has. Raises :class:`indexer.lock.LockedError`."""
    with collection.lock.held(wait_s), Ingest(collection) as ingest:
        passages = ingest.document(document)
        ingest.flush()
    return passages


def remove(collection: Engine, document_id: str, wait_s: float = 10.0) -> bool:
    """Delete one document; whether there was one. Raises :class:`indexer.lock.LockedError`."""
    with collection.lock.held(wait_s):
        with collection.catalog.write() as writer:
            deleted = writer.delete_document(document_id)
        _folded(collection)
    return deleted


def reindex(collection: Engine, progress: Progress | None = None, wait_s: float = 10.0) -> Effort:
    """Split and encode every document again from the catalog's own text, with the collection's model.

    One transaction over a folder: until its end everyone searches the old index, and an interruption leaves the old one. Over a
    server each document is replaced by itself.
    """
    encoder, effort, tell = collection.any_encoder(), Effort(), progress or (lambda _: None)
    with collection.lock.held(wait_s), collection.catalog.write() as writer:
        before = writer.contract
        kept = before.calibration if before and before.weights == encoder.contract.weights else None
        writer.set_contract(replace(encoder.contract, calibration=kept))
        documents = (writer.document(document_id) for document_id in writer.document_ids())
        for splits in _groups(split_document(encoder, document) for document in documents if document):
            inputs = inputs_of(splits)
            encodings = encode(encoder, inputs, lambda count: tell(Step(count, 0)))
            for one in splits:
                source, _ = writer.owner(one.document.id) or (None, "")
                writer.put_document(one.document, source, _encoded(one, encodings))
            effort.encoded += len(inputs)
            effort.reused += sum(len(one.hashes) for one in splits) - len(inputs)
            tell(Step(0, sum(len(one.document.text) for one in splits)))
    with collection.lock.held(wait_s):
        collection.fold(at_once=True)
    return effort


def _folded(collection: Engine) -> None:
    """Folds now, or leaves it to who wants to do it later, in a thread of its own."""
    if collection.fold_later is None:
        collection.fold()
    else:
        collection.fold_later()


def _groups(splits: Iterable[Split]) -> Iterator[list[Split]]:
    """Documents together, until they have the passages of a commit."""
    group: list[Split] = []
    for one in splits:
        group.append(one)
        if sum(len(each.passages) for each in group) >= COMMIT_PASSAGES:
            yield group
            group = []
    if group:
        yield group


def inputs_of(splits: Sequence[Split]) -> dict[bytes, PassageInput]:
    """What the encoder reads of some documents, by its hash: equal inputs once."""
    return {digest: one for each in splits for digest, one in zip(each.hashes, each.inputs, strict=True)}


def encode(encoder: Encoder, inputs: Mapping[bytes, PassageInput], progress: Callable[[int], None]) -> Encodings:
    """What the encoder makes of the inputs, as the catalog keeps it."""
    encodings: Encodings = {}
    for some in _chunks(list(inputs), COMMIT_PASSAGES):  # a huge document must not hold all its token vectors at once
        encoded = encoder.passages([inputs[digest] for digest in some], progress)
        vectors = encoded.pooled.astype(np.float16)
        for digest, vector, tokens, offsets in zip(some, vectors, encoded.tokens, encoded.offsets, strict=True):
            encodings[digest] = Encoding(vector, compress(tokens, offsets, inputs[digest].text))
    return encodings


def _chunks(digests: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (digests[at : at + size] for at in range(0, len(digests), size))


def _input(document: Document, passage: Passage) -> PassageInput:
    lines = (document.title, passage.heading(document.text))
    return PassageInput("\n".join(line for line in lines if line.strip()), document.text[passage.start : passage.end])


def _hash(contract: ModelContract, one: PassageInput) -> bytes:
    """Of all that decides the vector, the token codes and the terms."""
    model = [
        contract.weights,
        contract.pooling,
        contract.passage_prefix,
        contract.token_limit,
        contract.context,
        contract.codes,
        contract.terms,
    ]
    return hashlib.sha256(json.dumps([*model, one.context, one.text]).encode()).digest()


def _encoded(one: Split, encodings: Encodings) -> list[EncodedPassage]:
    language = language_of(one.document.text)
    rows = zip(one.passages, one.inputs, one.hashes, strict=True)
    return [
        EncodedPassage(passage, digest, *encodings[digest], passage_terms(given, language), language)
        for passage, given, digest in rows
    ]


def passage_terms(given: PassageInput, language: str) -> Codes:
    """What the word index counts of a passage: terms of its context, the divider, terms of its text."""
    return np.concatenate([codes(given.context, language), np.array([DIVIDER], np.uint32), codes(given.text, language)])
