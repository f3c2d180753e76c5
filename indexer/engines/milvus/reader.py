"""Reading a collection on a Milvus server: each document whole, as of the generation that its own row names.

Rows of other generations, of a document that is being written or was replaced, are never seen. Nothing holds the server still
between two looks at it: rows may be found of the generation that a document had, while its own row, read then, names the next
one. Such documents are looked for once more (:meth:`MilvusReader.renewed`), so that they are found old or new, never neither.
A key is the number of a passage among those that one reader has met.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.documents import Document
from indexer.engines.milvus.connection import Row, Tables, one_of
from indexer.engines.milvus.encoding import (
    HEAD,
    KEPT,
    Head,
    Kept,
    chunk_key,
    codes_of,
    document_of,
    head_of,
    kept_of,
    key_of,
    short,
    tokens_bytes,
    vector_of,
)
from indexer.engines.milvus.generations import is_young
from indexer.engines.milvus.mirror import Mirror, check_listed
from indexer.engines.milvus.state import State, count_failures, source_with, sources_of
from indexer.engines.milvus.tables import DOCUMENTS, PASSAGES, TEXTS
from indexer.errors import ChangedError
from indexer.filters import source_of
from indexer.models import ModelContract
from indexer.passages import Passage
from indexer.records import Candidates, Copy, Counts, EncodedPassage, Encoding, Listed, Source, StoredPassage
from indexer.terms import Codes
from indexer.tokens import joined

Again = Callable[[Tables, str], list[Row]]  # what was just read, of these tables and with this condition besides

_FEW = 500  # values in one condition
_RENEWALS = 3  # times that one document is replaced while it is looked for, before who asks has to ask again
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")  # of a passage, as :func:`indexer.hashes.passage_ids` makes it


class MilvusReader:
    """See :class:`indexer.engines.contract.Reader`. Use it in one thread."""

    def __init__(self, tables: Tables, state: State, mirror: Callable[[MilvusReader], Mirror], token_fields: int) -> None:
        self.tables, self.state = tables, state
        self._mirror_of = mirror
        self._tokens = [f"tokens_{at}" for at in range(token_fields)]
        self._heads: list[Head] = []
        self._keys: dict[str, int] = {}  # of a row
        self._kept: dict[str, Kept | None] = {}  # documents' own rows, by their keys
        self._documents: dict[str, Document] = {}
        self._words: dict[int, Codes] = {}
        self._sources: dict[int, Source | None] = {}

    @property
    def generation(self) -> int:
        """The millisecond of the last commit."""
        return self.state.generation

    @property
    def identity(self) -> str:
        """Of the collection, since it was made."""
        return self.state.identity

    @property
    def contract(self) -> ModelContract | None:
        """What it was made with."""
        return self.state.contract

    @property
    def mirror(self) -> Mirror:
        """The list of documents. Raises :class:`indexer.errors.TooManyError` for more of them than memory is for."""
        check_listed(self.state.totals.documents)
        return self._mirror_of(self)

    def sizes(self) -> tuple[int, int]:
        """See the contract."""
        return self.state.totals.documents, self.state.totals.passages

    def counts(self) -> Counts:
        """See the contract."""
        documents, passages, characters, _ = self.state.totals
        return Counts(documents, passages, characters, count_failures(self.tables))

    def languages(self) -> list[str]:
        """See the contract."""
        return self.state.languages

    # Passages that were met.

    def met(self, rows: Iterable[Row]) -> list[int]:
        """The keys of the passages of these rows that count, in their order; each with at least the fields of ``HEAD``. A key
        is there once: a client that tries again may have added a row twice."""
        heads = [(head_of(row), row) for row in rows]
        self._know({head.document for head, _ in heads})
        keys: dict[int, None] = {}
        for head, row in heads:
            kept = self._kept[head.document]
            if kept is None or kept.generation != head.generation:
                continue
            if head.row not in self._keys:
                self._keys[head.row] = len(self._heads)
                self._heads.append(head)
            key = self._keys[head.row]
            if "words" in row:
                self._words[key] = codes_of(row["words"])
            keys[key] = None
        return list(keys)

    def renewed(self, rows: Iterable[Row], again: Again) -> list[Row]:
        """The rows, and those that ``again`` finds of documents that were replaced between the reading of the rows and that of
        the documents' own: else they would be found neither old nor new. Raises :class:`ChangedError` for one that is replaced
        again and again, and for one of which this reader has met passages as they were before.

        Most rows cost nothing here. Those of a generation that was replaced lately do, and those that are being written; so do
        those that a writer left which was killed, but only for ten minutes.
        """
        found = list(rows)
        self._know({row["document"] for row in found})
        before, after = self._unsettled(found)
        if not before and not after:
            return found
        # What was written is here at once, whatever consistency who asks is content with.
        left_s = self.tables.left_s
        until = None if left_s is None else time.monotonic() + left_s
        tables = Tables(self.tables.connection, until, "Strong")
        replaced = before | self._replaced(tables, after)
        for _ in range(_RENEWALS):
            names = {key: kept.generation for key in sorted(replaced) if (kept := self._kept[key])}
            if not names:
                return found
            condition = f"{one_of('document', list(names))} and {one_of('generation', sorted(set(names.values())))}"
            found += again(tables, condition)
            replaced = self._replaced(tables, names.keys())
        raise ChangedError("a document that was found is being replaced again and again: ask again in a moment")

    def _unsettled(self, rows: Iterable[Row]) -> tuple[set[str], set[str]]:
        """Documents that have rows of a generation before the one that they name, and of one after it, if the later one of the
        two is so young that it may have been named, or unnamed, while this was read."""
        before: set[str] = set()
        after: set[str] = set()
        for key, generation in {(row["document"], int(row["generation"])) for row in rows}:
            # A document that is not there was not there yet, or is no more, when its own row was read: that is one of the two.
            if (kept := self._kept[key]) is None or kept.generation == generation:
                continue
            if is_young(max(kept.generation, generation)):
                (before if generation < kept.generation else after).add(key)
        return before, after

    def _replaced(self, tables: Tables, keys: Iterable[str]) -> set[str]:
        """Those of the documents that name another generation by now, which is the one that counts from here on."""
        asked = sorted(keys)
        now: dict[str, Kept | None] = dict.fromkeys(asked)
        now |= {row["key"]: kept_of(row) for row in tables.get(DOCUMENTS, asked, KEPT)} if asked else {}
        changed = {key for key in asked if _generation(now[key]) != _generation(self._kept[key])}
        if changed & {head.document for head in self._heads}:
            raise ChangedError("a document that was found has just been replaced: ask again")
        self._kept |= {key: now[key] for key in changed}
        return changed

    def head(self, key: int) -> Head:
        """What is known of a passage that was met."""
        return self._heads[key]

    def rows_of(self, keys: Sequence[int], fields: Sequence[str]) -> list[Row]:
        """These fields of passages that were met, in the order of ``keys``."""
        rows = self.tables.get(PASSAGES, [self._heads[key].row for key in keys], ["row", *fields]) if keys else []
        found = {row["row"]: row for row in rows}
        try:
            return [found[self._heads[key].row] for key in keys]
        except KeyError as error:
            raise ChangedError("a passage that was found has just been replaced: ask again") from error

    def terms(self, keys: Sequence[int]) -> tuple[list[tuple[int, str]], Codes, npt.NDArray[np.int64]]:
        """See the contract."""
        missing = [key for key in keys if key not in self._words]
        for key, row in zip(missing, self.rows_of(missing, ["words"]), strict=True):
            self._words[key] = codes_of(row["words"])
        some = [self._words[key] for key in keys]
        lengths = np.fromiter(map(len, some), np.int64, len(some))
        return [(key, self._heads[key].id) for key in keys], _joined(some), lengths

    def candidates(self, keys: Sequence[int]) -> Candidates:
        """See the contract."""
        missing = [key for key in keys if key not in self._words]
        rows = self.rows_of(keys, [*self._tokens, *(["words"] if missing else [])])
        for key, row in zip(keys, rows, strict=True):
            if key not in self._words:
                self._words[key] = codes_of(row["words"])
        _, codes, lengths = self.terms(keys)
        read = [tokens_bytes([row[name] for name in self._tokens]) for row in rows]
        tokens = joined([one[0] for one in read], [one[1] for one in read], [one[2] for one in read])
        heads = [self._heads[key] for key in keys]
        named = [(key, head.id, head.content, head.input) for key, head in zip(keys, heads, strict=True)]
        return Candidates(named, codes, lengths, tokens)

    def copies(self, contents: Iterable[bytes]) -> dict[bytes, list[Copy]]:
        """See the contract."""
        wanted = list(contents)
        found: dict[bytes, list[Copy]] = {content: [] for content in wanted}
        for key in self._where("content", [short(one) for one in wanted]):
            head = self._heads[key]
            found[head.content].append(Copy(key, head.id, head.input))
        if not all(found.values()):
            raise ChangedError("a passage that was found has just been replaced: ask again")
        return {content: sorted(some, key=lambda one: one.id) for content, some in found.items()}

    def found(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """See the contract."""
        documents = self._documents_of({self._heads[key].document for key in keys})
        return {key: self._stored(key, documents[self._heads[key].document]) for key in keys}

    def document_keys(self, keys: Sequence[int]) -> dict[int, int]:
        """See the contract."""
        numbers: dict[str, int] = {}
        return {key: numbers.setdefault(self._heads[key].document, len(numbers)) for key in keys}

    def described_of(self, keys: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        """See the contract."""
        for key in keys:
            if kept := self._kept[self._heads[key].document]:
                yield {**kept.described, "source": self._place_of(kept)}

    def vector(self, key: int) -> npt.NDArray[np.float16]:
        """See the contract."""
        return vector_of(self.rows_of([key], ["vector"])[0])

    # Passages and documents by their ids.

    def passage(self, passage_id: str) -> StoredPassage | None:
        """See the contract."""
        # It comes from an address, and goes into a condition.
        return next(iter(self._all(self._where("id", [passage_id] if _ID.fullmatch(passage_id) else []))), None)

    def passages_of(self, document_id: str) -> list[StoredPassage]:
        """See the contract."""
        return sorted(self._all(self._passages_of(document_id)), key=lambda one: one.ordinal)

    def passages_with(self, content: bytes) -> list[StoredPassage]:
        """See the contract."""
        return sorted(self._all(self._where("content", [short(content)])), key=lambda one: one.id)

    def extents(self, document_id: str) -> list[tuple[int, int, bytes]]:
        """See the contract."""
        heads = sorted((self._heads[key] for key in self._passages_of(document_id)), key=lambda one: one.ordinal)
        return [(head.start, head.end, head.content) for head in heads]

    def document(self, document_id: str) -> Document | None:
        """See the contract."""
        kept = self.kept(document_id)
        return self._documents_of({kept.key})[kept.key] if kept else None

    def document_ids(self, after: str = "", limit: int = -1) -> list[str]:
        """See the contract. All of them, which commands read that go through a collection, need no list of documents."""
        if limit >= 0:
            return self.mirror.ids(after, limit)
        return sorted({kept.id for kept in self.kept_where("") if kept.id > after})

    def listed(self, condition: str, values: Sequence[Any], after: str, limit: int) -> list[Listed]:
        """See the contract."""
        return self.mirror.listed(condition, values, after, limit)

    def count_documents(self, condition: str, values: Sequence[Any]) -> int:
        """See the contract."""
        return self.mirror.count(condition, values)

    def described(self) -> Iterator[Mapping[str, Any]]:
        """See the contract."""
        return self.mirror.described()

    # Files, and whose a document is.

    def sources(self) -> list[Source]:
        """See the contract."""
        return sources_of(self.tables)

    def source_of(self, document_id: str) -> Source | None:
        """See the contract."""
        kept = self.kept(document_id)
        return source_with(self.tables, kept.source) if kept and kept.source else None

    def documents_of(self, source: int) -> dict[str, str]:
        """See the contract."""
        return {kept.id: kept.hash for kept in self.kept_where(f"source == {source}")}

    def document_counts(self) -> dict[int, int]:
        """See the contract."""
        counts: dict[int, int] = {}
        for page in self.tables.pages(DOCUMENTS, "source > 0", ["key", "source"]):
            for row in page:
                counts[row["source"]] = counts.get(row["source"], 0) + 1
        return counts

    def owner(self, document_id: str) -> tuple[int | None, str] | None:
        """See the contract."""
        kept = self.kept(document_id)
        return (kept.source, kept.hash) if kept else None

    def encoded_of(self, document_id: str) -> list[EncodedPassage]:
        """See the contract."""
        return self._apart()._encoded_of(document_id)

    def _encoded_of(self, document_id: str) -> list[EncodedPassage]:
        keys = sorted(self._passages_of(document_id), key=lambda key: self._heads[key].ordinal)
        vectors = self.rows_of(keys, ["vector"])
        made = []
        for key, row, candidate in zip(keys, vectors, self.candidates(keys).split(), strict=True):
            head = self._heads[key]
            passage = Passage(head.start, head.end, head.labels)
            made.append(EncodedPassage(passage, head.input, vector_of(row), candidate.tokens, candidate.terms, head.language))
        return made

    def encodings_of(self, inputs: Iterable[bytes]) -> dict[bytes, Encoding]:
        """See the contract."""
        if self.contract is None:
            return {}
        first: dict[bytes, int] = {}
        try:
            for key in self._where("input", [short(one) for one in inputs]):
                first.setdefault(self._heads[key].input, key)
            rows = self.rows_of(list(first.values()), ["vector", *self._tokens])
        except ChangedError:  # they are encoded again: that is all that is lost
            return {}
        made = {}
        for one, row in zip(first, rows, strict=True):
            codes, places, norms = tokens_bytes([row[name] for name in self._tokens])
            made[one] = Encoding(vector_of(row), joined([codes], [places], [norms]).split()[0])
        return made

    # Everything.

    def document_contents(self) -> Iterator[tuple[Any, ...]]:
        """See the contract."""
        for one in self._each():
            yield (
                one.id, one.title, one.text, one.date, one.media_type, json.dumps(dict(one.metadata), ensure_ascii=False),
                json.dumps(one.pages), json.dumps(one.headings),
            )  # fmt: skip

    def passage_contents(self) -> Iterator[tuple[Any, ...]]:
        """See the contract."""
        for document_id in self.document_ids():
            apart = self._apart()
            keys = sorted(apart._passages_of(document_id), key=lambda key: apart.head(key).ordinal)
            named, codes, lengths = apart.terms(keys)
            each = np.split(codes, np.cumsum(lengths)[:-1]) if named else []
            for key, some in zip(keys, each, strict=True):
                head = apart.head(key)
                labels = json.dumps(head.labels)
                terms = some.astype("<u4").tobytes()
                yield document_id, head.id, head.ordinal, head.start, head.end, head.language, labels, head.input, terms

    def kept(self, document_id: str) -> Kept | None:
        """A document's own row."""
        key = key_of(document_id)
        self._know({key})
        return self._kept[key]

    def kept_where(self, condition: str) -> Iterator[Kept]:
        """The own rows of documents that meet a condition of the server."""
        for page in self.tables.pages(DOCUMENTS, condition, KEPT):
            yield from map(kept_of, page)

    def _know(self, keys: set[str]) -> None:
        """Reads documents' own rows, once."""
        missing = [key for key in keys if key not in self._kept]
        if missing:
            self._kept |= dict.fromkeys(missing)
            self._kept |= {row["key"]: kept_of(row) for row in self.tables.get(DOCUMENTS, missing, KEPT)}

    def _where(self, field: str, values: Sequence[str]) -> list[int]:
        """Keys of all passages one of whose values this is."""
        if self.contract is None:
            return []
        parts = [one_of(field, values[at : at + _FEW]) for at in range(0, len(values), _FEW)]

        def query(tables: Tables, more: str) -> list[Row]:
            return [row for part in parts for row in tables.query(PASSAGES, f"{part}{more and f' and {more}'}", HEAD)]

        return self.met(self.renewed(query(self.tables, ""), query))

    def _passages_of(self, document_id: str) -> list[int]:
        kept = self.kept(document_id)
        if kept is None or not kept.passages:
            return []
        condition = f'document == "{kept.key}" and generation == {kept.generation}'
        keys = self.met(row for page in self.tables.pages(PASSAGES, condition, HEAD) for row in page)
        if len(keys) != kept.passages:  # they are being deleted, or not all of them are to be found yet
            raise ChangedError("a document that was found has just been replaced: ask again")
        return keys

    def _all(self, keys: Sequence[int]) -> list[StoredPassage]:
        return list(self.found(keys).values())

    def _stored(self, key: int, document: Document) -> StoredPassage:
        head = self._heads[key]
        return StoredPassage(key, head.id, head.ordinal, head.start, head.end, head.labels, head.language, document)

    def _documents_of(self, keys: set[str]) -> dict[str, Document]:
        """Documents that are there, with their texts."""
        kept = [one for key in sorted(keys - self._documents.keys()) if (one := self._kept[key])]
        rows = [chunk_key(one.key, one.generation, number) for one in kept for number in range(one.chunks)]
        texts = {row["row"]: row["text"] for row in self.tables.get(TEXTS, rows, ["row", "text"])} if rows else {}
        if len(texts) < len(rows):
            raise ChangedError("a document that was found has just been replaced: ask again")
        for one in kept:
            parts = [texts[chunk_key(one.key, one.generation, number)] for number in range(one.chunks)]
            self._documents[one.key] = document_of(one, parts)
        return {key: self._documents[key] for key in keys}

    def _each(self) -> Iterator[Document]:
        """Every document, by id; one in memory at a time."""
        for document_id in self.document_ids():
            if document := self._apart().document(document_id):
                yield document

    def _apart(self) -> MilvusReader:
        """Another reader of the same: what it meets is forgotten with it, so that all of a collection can be read."""
        return MilvusReader(self.tables, self.state, self._mirror_of, len(self._tokens))

    def _place_of(self, kept: Kept) -> str:
        if kept.source and kept.source not in self._sources:
            self._sources[kept.source] = source_with(self.tables, kept.source)
        source = self._sources.get(kept.source or 0)
        return source_of(kept.id, source.name if source else None, kept.described["uri"])


def _generation(kept: Kept | None) -> int:
    return kept.generation if kept else 0


def _joined(some: Sequence[Codes]) -> Codes:
    return np.concatenate([np.empty(0, np.uint32), *some])
