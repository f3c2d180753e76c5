"""The way in: documents are split, encoded and committed, a batch at a time, each document whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from indexer.catalog import EncodedPassage, Snapshot, Writer
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder, ModelContract, PassageInput
from indexer.passages import Passage, split

# Passages a commit: enough for batches of even length, few enough that little is lost when the machine stops.
COMMIT_PASSAGES = 512
COMMIT_CHARS = 8_000_000  # a bound for the memory of texts that wait

Progress = Callable[["Step"], None]
Action = Callable[[Writer], object]


class Step(NamedTuple):
    """Progress since the last step: passages encoded, and characters of text committed."""

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


@dataclass(slots=True)
class Ingest:
    """Collects documents and other changes, in order, and commits them in batches.

    The caller holds the collection's writer lock. What was committed stays, whatever happens next.
    """

    collection: Collection
    progress: Progress | None = None
    effort: Effort = field(default_factory=Effort)
    _waiting: list[Split | Action] = field(default_factory=list)
    _sources: dict[int, str] = field(default_factory=dict)  # position in _waiting -> path of the document's file
    _passages: int = 0
    _chars: int = 0

    def document(self, document: Document, source: str | None = None) -> None:
        """Add or replace a document; ``source`` is the path of its synced file."""
        one = split_document(self.collection.encoder, document)
        if source is not None:
            self._sources[len(self._waiting)] = source
        self._waiting.append(one)
        self._passages += len(one.passages)
        self._chars += len(document.text)
        if self._passages >= COMMIT_PASSAGES or self._chars >= COMMIT_CHARS:
            self.flush()

    def then(self, action: Action) -> None:
        """Do ``action`` in the transaction of the documents before it."""
        self._waiting.append(action)

    def flush(self) -> None:
        """Encode and commit what waits."""
        if not self._waiting:
            return
        splits = [one for one in self._waiting if isinstance(one, Split)]
        vectors = self._vectors(splits)
        with self.collection.catalog.write() as writer:
            if splits and writer.contract is None:
                writer.set_contract(self.collection.encoder.contract)
            for position, one in enumerate(self._waiting):
                if isinstance(one, Split):
                    path = self._sources.get(position)
                    source = writer.source_key(path) if path is not None else None
                    writer.put_document(one.document, source, _with_vectors(one, vectors))
                else:
                    one(writer)
        self._tell(0, self._chars)
        self._waiting, self._sources, self._passages, self._chars = [], {}, 0, 0

    def _vectors(self, splits: Sequence[Split]) -> dict[bytes, np.ndarray[tuple[int], np.dtype[np.float16]]]:
        """A vector for every input: from the catalog where it was encoded before, else from the encoder, once."""
        inputs = {digest: one for each in splits for digest, one in zip(each.hashes, each.inputs, strict=True)}
        with self.collection.catalog.read() as snapshot:
            vectors = snapshot.vectors_of(inputs)
        missing = [digest for digest in inputs if digest not in vectors]
        for some in _chunks(missing, COMMIT_PASSAGES):  # a huge document must not hold all its token vectors at once
            encoded = self.collection.encoder.passages([inputs[digest] for digest in some], lambda count: self._tell(count, 0))
            vectors.update(zip(some, encoded.pooled.astype(np.float16), strict=True))
        self.effort.encoded += len(missing)
        self.effort.reused += sum(len(each.hashes) for each in splits) - len(missing)
        return vectors

    def _tell(self, passages: int, characters: int) -> None:
        if self.progress:
            self.progress(Step(passages, characters))


def split_document(encoder: Encoder, document: Document) -> Split:
    """The document's passages and what the encoder reads of each: title and headings with the text."""
    passages = split(document.text, document.headings, encoder.token_offsets, encoder.passage_tokens)
    inputs = [_input(document, passage) for passage in passages]
    return Split(document, passages, inputs, [_hash(encoder.contract, one) for one in inputs])


def put(collection: Collection, document: Document, wait_s: float = 10.0) -> int:
    """Add or replace one document; how many passages it has. Raises :class:`indexer.lock.LockedError`."""
    with collection.lock.held(wait_s):
        ingest = Ingest(collection)
        ingest.document(document)
        ingest.flush()
    with collection.catalog.read() as snapshot:
        return len(snapshot.passages_of(document.id))


def remove(collection: Collection, document_id: str, wait_s: float = 10.0) -> bool:
    """Delete one document; whether there was one. Raises :class:`indexer.lock.LockedError`."""
    with collection.lock.held(wait_s), collection.catalog.write() as writer:
        return writer.delete_document(document_id)


def reindex(collection: Collection, progress: Progress | None = None, wait_s: float = 10.0) -> Effort:
    """Split and encode every document again from the catalog's own text, with the collection's model.

    One transaction: until its end everyone searches the old index, and an interruption leaves the old one.
    """
    encoder = Encoder.of(collection.model)
    effort = Effort()
    with collection.lock.held(wait_s), collection.catalog.write() as writer:
        writer.set_contract(encoder.contract)
        for document_id in writer.document_ids():
            document, (source, _) = writer.document(document_id), writer.owner(document_id) or (None, "")
            if document is None:
                continue
            one = split_document(encoder, document)
            encoded = encoder.passages(one.inputs, (lambda count: progress(Step(count, 0))) if progress else None)
            vectors = dict(zip(one.hashes, encoded.pooled.astype(np.float16), strict=True))
            writer.put_document(document, source, _with_vectors(one, vectors))
            effort.encoded += len(one.passages)
            if progress:
                progress(Step(0, len(document.text)))
    return effort


def unchanged(snapshot: Snapshot, document: Document, source: int | None, digest: str) -> bool:
    """Whether the catalog holds exactly this document, from the same source."""
    return snapshot.owner(document.id) == (source, digest)


def _chunks(digests: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (digests[at : at + size] for at in range(0, len(digests), size))


def _input(document: Document, passage: Passage) -> PassageInput:
    lines = (document.title, passage.heading(document.text))
    return PassageInput("\n".join(line for line in lines if line.strip()), document.text[passage.start : passage.end])


def _hash(contract: ModelContract, one: PassageInput) -> bytes:
    framed = json.dumps([contract.weights, contract.passage_prefix, contract.token_limit, one.context, one.text])
    return hashlib.sha256(framed.encode()).digest()


def _with_vectors(one: Split, vectors: dict[bytes, np.ndarray[tuple[int], np.dtype[np.float16]]]) -> list[EncodedPassage]:
    pairs = zip(one.passages, one.hashes, strict=True)
    return [EncodedPassage(passage, digest, vectors[digest]) for passage, digest in pairs]
