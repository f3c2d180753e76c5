"""What keeps a collection: the verbs that searching, indexing and the service use, whatever lies behind them.

Two engines offer them: :class:`indexer.collection.Collection`, a folder with SQLite, FAISS and tantivy, and
:class:`indexer.engines.milvus.collection.MilvusCollection`, a Milvus server that many services share. Ranking, evidence,
verdict and everything above are the same over both.

A passage is known by its key, an integer, within one view; by its id for ever.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.engines.address import Where
from indexer.models import ModelContract, ModelError, ModelFiles, locate
from indexer.ranking import READINGS
from indexer.records import Candidates, Copy, Counts, EncodedPassage, Encoding, Keys, Listed, Source, StoredPassage
from indexer.runtimes import Kind
from indexer.terms import Codes
from indexer.vectors import Floats, Neighbours, VectorIndex


class Reader(Protocol):
    """What is read of a collection. Over a folder all of it belongs to one commit; over a server each document does."""

    @property
    def generation(self) -> int:
        """Which commit it is: greater than that of each commit before."""

    @property
    def identity(self) -> str:
        """Of this history: another one may come to a generation again."""

    @property
    def contract(self) -> ModelContract | None:
        """What it was made with; None while nothing is indexed."""

    def sizes(self) -> tuple[int, int]:
        """How many documents and passages there are."""

    def counts(self) -> Counts:
        """The same with characters of text, and files or records that could not be read; may take a while."""

    def languages(self) -> list[str]:
        """Every stemmer that made terms of some passage."""

    # What ranking and results read, by keys that were found in this view.

    def terms(self, keys: Sequence[int]) -> tuple[list[tuple[int, str]], Codes, npt.NDArray[np.int64]]:
        """Keys and ids, their terms one after the other, and how many each has, int64 [n]."""

    def candidates(self, keys: Sequence[int]) -> Candidates:
        """What ranking reads of passages, token codes included, in the order of ``keys``."""

    def copies(self, contents: Iterable[bytes]) -> dict[bytes, list[Copy]]:
        """Every passage of each text, by the hash of the text; each list by id."""

    def found(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """Passages by key, with their documents."""

    def document_keys(self, keys: Sequence[int]) -> dict[int, int]:
        """The key of the document of each passage, by the passage's key."""

    def described_of(self, keys: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        """What filters know of each passage's document: its columns by name, and its "metadata"."""

    def vector(self, key: int) -> npt.NDArray[np.float16]:
        """The vector of a passage, float16 [d]."""

    # Passages and documents by their ids.

    def passage(self, passage_id: str) -> StoredPassage | None:
        """The passage of an id, or None."""

    def passages_of(self, document_id: str) -> list[StoredPassage]:
        """All passages of a document, in reading order."""

    def passages_with(self, content: bytes) -> list[StoredPassage]:
        """Every passage of a text, by the hash of the text; by id, none if there is none."""

    def extents(self, document_id: str) -> list[tuple[int, int, bytes]]:
        """Start, end and the hash of the text of each of a document's passages."""

    def document(self, document_id: str) -> Document | None:
        """The document of an id, or None."""

    def document_ids(self, after: str = "", limit: int = -1) -> list[str]:
        """Ids in order, above ``after``; all of them if ``limit`` is negative."""

    def listed(self, condition: str, values: Sequence[Any], after: str, limit: int) -> list[Listed]:
        """The first ``limit`` documents ``d`` that meet an SQL condition, of ids above ``after``, by id; without texts."""

    def count_documents(self, condition: str, values: Sequence[Any]) -> int:
        """How many documents ``d`` meet an SQL condition."""

    def described(self) -> Iterator[Mapping[str, Any]]:
        """What filters know of every document."""

    # What syncing reads: files, and whose a document is.

    def sources(self) -> list[Source]:
        """Every synced file, by path."""

    def source_of(self, document_id: str) -> Source | None:
        """The synced file that a document came from; None if from none."""

    def documents_of(self, source: int) -> dict[str, str]:
        """Ids and hashes of a file's documents."""

    def document_counts(self) -> dict[int, int]:
        """How many documents came from each source that has any."""

    def owner(self, document_id: str) -> tuple[int | None, str] | None:
        """The source (None if none) and hash of a document; None if there is no such document."""

    def encoded_of(self, document_id: str) -> list[EncodedPassage]:
        """All passages of a document, in reading order, as they were encoded."""

    def encodings_of(self, inputs: Iterable[bytes]) -> dict[bytes, Encoding]:
        """What the encoder made of inputs that some passage was encoded from before."""

    # Everything that counts, for its hash.

    def document_contents(self) -> Iterator[tuple[Any, ...]]:
        """Of every document, by id: id, title, text, date, media type, and as JSON metadata, pages and headings."""

    def passage_contents(self) -> Iterator[tuple[Any, ...]]:
        """Of every passage, by document and place: document, id, ordinal, start, end, language, labels (JSON), the hash of what
        was encoded, and terms."""


class Writer(Reader, Protocol):
    """Changes that belong together: what is done in the block is there at its end, or, if it raises, none of it is found. Over
    a server, which has no transactions, each document is so by itself: of a block that raises, some may be found as they were
    put and others as before. A file is told of after its documents, so who syncs again goes on."""

    def set_contract(self, contract: ModelContract) -> None:
        """Bind the collection to a model."""

    def put_document(self, document: Document, source: int | None, passages: Sequence[EncodedPassage]) -> None:
        """Add or replace a document with its passages."""

    def delete_document(self, document_id: str) -> bool:
        """Delete a document with its passages; whether there was one."""

    def source_key(self, path: str) -> int:
        """The key of a synced file that :meth:`put_source` has added."""

    def put_source(
        self,
        path: str,
        name: str,
        stamp: str,
        digest: str,
        failures: Sequence[tuple[str, str]],
        remarks: Sequence[tuple[str, str]] = (),
    ) -> int:
        """Add or update a synced file, by path; its key."""

    def move_source(self, key: int, path: str, stamp: str, uri: str) -> None:
        """A file is at another path now: its documents keep their ids; one that showed the old path shows the new."""

    def delete_source(self, key: int) -> int:
        """Forget a file and delete its documents; how many there were."""


class View(Protocol):
    """One search's sight of the collection, or of that part of it that :meth:`narrowed` leaves."""

    @property
    def snapshot(self) -> Reader:
        """What is read there."""

    @property
    def vectors(self) -> VectorIndex | None:
        """The vectors themselves, where they are in this process; what is done with them may take longer than the view."""

    @property
    def exact(self) -> bool:
        """Whether :meth:`nearest` never misses one."""

    @property
    def passages(self) -> int:
        """How many passages there are, as the rarity of words counts them."""

    @property
    def places(self) -> int:
        """How many places of a list may be asked for, to tell where a passage stands in it: all, where that costs little."""

    @property
    def mean_length(self) -> float:
        """Terms a passage."""

    def rarities(self, words: Sequence[Sequence[int]]) -> list[float]:
        """The idf of each word; a word is the codes of its forms. All at once, since a server is asked for each."""

    def narrowed(self, filters: Sequence[Mapping[str, Any]], phrases: Sequence[Sequence[Sequence[int]]]) -> View:
        """Only passages whose document meets every filter (see :mod:`indexer.filters`), and in whose own text one of the forms
        of each phrase stands; a form is its terms, one after the other."""

    def nearest(self, question: Floats, count: int) -> Neighbours:
        """The passages whose vectors have the greatest cosine with ``question`` float32 [d], ties by id."""

    def matching(self, groups: Sequence[Sequence[int]], rarity: Floats, count: int) -> Keys:
        """The passages with the greatest BM25 among those that hold any word, best first, ties by id; see
        :func:`indexer.words.bm25`."""

    def cosines(self, question: Floats, keys: Keys) -> Floats:
        """The cosine of each of ``keys`` with ``question``, float32 [n]."""

    def within(self, keys: Iterable[int]) -> set[int]:
        """Which of these passages :meth:`narrowed` leaves."""


class Store(Protocol):
    """The truth of a collection: what is read and written."""

    def read(self) -> AbstractContextManager[Reader]:
        """What is there now."""

    def write(self) -> AbstractContextManager[Writer]:
        """Changes that belong together. The caller holds the lock."""

    def look(self) -> None:
        """Cheap: raises what is known to be wrong."""

    def check(self, pause: Callable[[], None] = ...) -> None:
        """Read all of it, if the engine does not do so by itself; ``pause`` is called now and then. Raises what is wrong."""

    def refuse(self, damage: str) -> None:
        """Another process found it damaged: ``damage`` is what it said."""


class Lock(Protocol):
    """Who writes."""

    def held(self, wait_s: float) -> AbstractContextManager[None]:
        """Hold it for the block; raises :class:`indexer.lock.LockedError` if it is not free within ``wait_s`` seconds."""


class Engine(ABC):
    """A collection, open, with the encoder that it was made with. Safe to share between threads."""

    #: Which of :data:`indexer.ranking.READINGS` find and rank here.
    readings: tuple[str, ...] = READINGS
    #: Whether the vectors are in this process: :attr:`View.vectors`.
    has_vectors = True
    #: How often it is worth it to :meth:`Store.check`, in seconds.
    check_every_s = 24 * 3600.0

    def __init__(
        self,
        model: str,
        encoder: Encoder | None = None,
        runtime: Kind = "auto",
        fold_later: Callable[[], None] | None = None,
    ) -> None:
        self.model, self.runtime = model, runtime
        self.fold_later = fold_later
        self._encoder = encoder
        self._loading = threading.Lock()
        self._counted: tuple[tuple[str, int], Counts] | None = None

    @property
    @abstractmethod
    def where(self) -> Where:
        """Where it is."""

    @property
    def name(self) -> str:
        """The same in words, without what is secret."""
        return str(self.where)

    @property
    @abstractmethod
    def catalog(self) -> Store:
        """What is kept."""

    @property
    @abstractmethod
    def lock(self) -> Lock:
        """Who writes."""

    @abstractmethod
    def view(self, timeout_s: float | None = None) -> AbstractContextManager[View]:
        """The collection as it is now, to search it, within ``timeout_s`` seconds. Nothing slow may happen inside."""

    @abstractmethod
    def fold(self, at_once: bool = False) -> None:
        """Bring what is derived up to what was written, ``at_once`` or when it is worth it, and clear away what was left. The
        caller holds the lock; only speed and room depend on it."""

    @abstractmethod
    def rebuild_derived(self) -> None:
        """Make what is derived anew. The caller holds the lock."""

    @abstractmethod
    def check_vectors(self) -> bool:
        """Whether what is derived and mapped is what was written. May read all of it."""

    @abstractmethod
    def last_commit(self) -> datetime | None:
        """When it was written last, by whomever; None if that is not known."""

    @abstractmethod
    def upload_folder(self) -> Path | None:
        """Where files may lie while they are read; None: where the system keeps such."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    @property
    def is_away(self) -> bool:
        """Whether what keeps it is known to be away: questions are told so at once."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing here, and what that means."""
        return ()

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use. Raises :class:`ModelError` if the collection was made with another model."""
        if self._encoder is None:
            self.check_model()  # cheap, so a wrong model is told before seconds go into loading it
        encoder = self.any_encoder()
        with self.catalog.read() as snapshot:
            self.check_contract(snapshot, encoder.contract)
        return encoder

    @property
    def is_loaded(self) -> bool:
        """Whether the encoder is there already."""
        return self._encoder is not None

    def any_encoder(self) -> Encoder:
        """The encoder, whatever the collection was made with: to encode all of it again."""
        with self._loading:
            if self._encoder is None:
                self._encoder = Encoder.of(self.model, self.runtime)
            return self._encoder

    def check_document(self, document: Document) -> None:  # noqa: B027  # a folder keeps any
        """Raises :class:`indexer.errors.UnreadableError` for a document that cannot be kept here."""

    def counts(self, snapshot: Reader) -> Counts:
        """What the commit holds; counted once for each, since that may read every text."""
        commit = snapshot.identity, snapshot.generation  # a restored catalog may come to a generation again
        if self._counted is None or self._counted[0] != commit:
            self._counted = commit, snapshot.counts()
        return self._counted[1]

    def model_files(self) -> ModelFiles:
        """Where the model's files are. Raises :class:`ModelError`."""
        return locate(self.model)

    def check_contract(self, snapshot: Reader, contract: ModelContract) -> None:
        """Raises :class:`ModelError` if the commit was not made with an encoder of this contract."""
        if snapshot.contract and not snapshot.contract.same_vectors(contract):
            raise self._mismatch(snapshot.contract.name, contract.name)

    def check_model(self) -> None:
        """Raises :class:`ModelError` if the model's weights are not those that the collection was made with."""
        files = self.model_files()
        with self.catalog.read() as snapshot:
            contract = snapshot.contract
        if contract and contract.weights != files.weights:
            raise self._mismatch(contract.name, files.name)

    def calibrate(self, constants: Mapping[str, float], wait_s: float = 10.0) -> None:
        """Store what scores mean with this index's model (see :mod:`indexer.ranking`), for a model that ships without. Raises
        :class:`ModelError` if the index was made with another model."""
        contract = replace(self.encoder.contract, calibration=dict(constants))
        with self.lock.held(wait_s), self.catalog.write() as writer:
            writer.set_contract(contract)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _mismatch(self, made_with: str, asked: str) -> ModelError:
        return ModelError(
            f"the index in {self.name} was made with the model {made_with} and another version of it, or another model "
            f"({asked}), was asked for; use --model {made_with}, or encode the whole index again: "
            f"passages index --index {self.name} --model {self.model} --reindex"
        )
