"""Writing a collection on a Milvus server, which has no transactions.

In this order, so that whoever ends in the middle leaves nothing that is found: what is about to be written is noted; rows of a
new generation are added, which nobody sees; the documents' own rows are written over, and now name that generation; the rows of
the one before are deleted; the collection has a new commit, and the note is deleted. One that stays is cleared up
(:mod:`indexer.engines.milvus.generations`), whichever service finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from indexer.documents import Document
from indexer.engines.milvus.connection import Row, ServerError, Tables, one_of
from indexer.engines.milvus.encoding import (
    Kept,
    chunk_rows,
    described_of,
    document_row,
    kept_of,
    key_of,
    passage_row,
    tags,
    token_fields,
)
from indexer.engines.milvus.generations import delete_rows, named_generations, new_generation
from indexer.engines.milvus.mirror import Mirror
from indexer.engines.milvus.reader import MilvusReader
from indexer.engines.milvus.state import (
    PENDING,
    SOURCE,
    State,
    Totals,
    contract_row,
    language_row,
    later,
    pending_row,
    read_state,
    source_row,
    source_with,
    state_row,
)
from indexer.engines.milvus.tables import DOCUMENTS, META, PASSAGES, TEXTS, make_passages
from indexer.errors import AwayError
from indexer.filters import source_of
from indexer.formats import Remark
from indexer.hashes import content_hash, document_hash, passage_ids
from indexer.models import ModelContract
from indexer.records import EncodedPassage, Source

# Of one note, and of what waits in memory: more is written before the block ends, document by document.
_MOST_DOCUMENTS, _MOST_PASSAGES = 500, 2000


class _Put(NamedTuple):
    document: Document
    source: int | None
    passages: Sequence[EncodedPassage]
    made_of: int = 0  # the generation of the document as it was read, if that is what it was made of


class MilvusWriter(MilvusReader):
    """See :class:`indexer.engines.contract.Writer`. Only the end of the block, or many waiting passages, write: a block is not
    written as one, since it may take longer than a note may stay, and then could never end."""

    def __init__(self, tables: Tables, state: State, mirror: Callable[[MilvusReader], Mirror]) -> None:
        super().__init__(tables, state, mirror, token_fields(state.contract) if state.contract else 1)
        self._puts: dict[str, _Put] = {}
        self._read: dict[str, int] = {}  # the generations of documents that were read and not put yet
        self._gone: dict[str, str] = {}  # keys and ids of documents that are to be deleted
        self._files: dict[int, Source | None] = {}  # None: to be forgotten
        self._change = Totals()
        self._removed = Totals()
        self._touched: set[str] = set()
        self._known_languages = set(state.languages)
        self._notes: list[str] = []  # of what is written and not committed

    def set_contract(self, contract: ModelContract) -> None:
        """See the contract. Raises :class:`ServerError` for another model than that of what is there."""
        before = self.state.contract
        if before is not None and not before.same_vectors(contract):
            raise ServerError(
                f"a collection on a Milvus server keeps the model that it was made with, {before.name}: index into another "
                f"one, such as {self.tables.connection.address}_2, with --index"
            )
        make_passages(self.tables.connection, contract)
        self._upsert(META, [contract_row(contract)])
        self.state = self.state._replace(contract=contract)
        self._tokens = [f"tokens_{at}" for at in range(token_fields(contract))]

    def document(self, document_id: str) -> Document | None:
        """See the contract. What is put in its place in this block was made of it, so it is left out if another writer replaces
        or deletes the document meanwhile: it would undo what that one was told is kept."""
        document = super().document(document_id)
        if kept := self.kept(document_id):
            self._read[kept.key] = kept.generation
        return document

    def put_document(self, document: Document, source: int | None, passages: Sequence[EncodedPassage]) -> None:
        """See the contract."""
        key = key_of(document.id)
        self._gone.pop(key, None)
        self._puts[key] = _Put(document, source, passages, self._read.pop(key, 0))
        if len(self._puts) >= _MOST_DOCUMENTS or sum(len(one.passages) for one in self._puts.values()) >= _MOST_PASSAGES:
            self._apply()

    def delete_document(self, document_id: str) -> bool:
        """See the contract."""
        key = key_of(document_id)
        was_put = self._puts.pop(key, None) is not None
        is_there = self.kept(document_id) is not None and key not in self._gone
        if self.kept(document_id) is not None:
            self._gone[key] = document_id
        return was_put or is_there

    def source_key(self, path: str) -> int:
        """See the contract: it is of the path."""
        return int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 2 or 1

    def put_source(
        self,
        path: str,
        name: str,
        stamp: str,
        digest: str,
        failures: Sequence[tuple[str, str]],
        remarks: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See the contract."""
        key = self.source_key(path)
        self._files[key] = Source(key, path, name, stamp, digest, tuple(failures), tuple(Remark(*one) for one in remarks))
        return key

    def move_source(self, key: int, path: str, stamp: str, uri: str) -> None:
        """See the contract. A file has another key at another path; its documents are written anew, since a row that is written
        over as it was read could name rows that another writer has replaced meanwhile."""
        old = self._file(key)
        if old is None:
            return
        moved = self.source_key(path)
        self._files |= {key: None, moved: old._replace(key=moved, path=path, stamp=stamp)}
        before = Path(old.path).as_uri()
        for kept in list(self.kept_where(f"source == {key}")):
            if kept.key in self._puts or kept.key in self._gone or (document := self.document(kept.id)) is None:
                continue
            there = uri if document.uri == before else document.uri
            self.put_document(replace(document, uri=there), moved, self.encoded_of(kept.id))

    def delete_source(self, key: int) -> int:
        """See the contract. A document that waits counts as one of the file that it waits to be of."""
        self._files[key] = None
        there = list(self.kept_where(f"source == {key}"))
        self._kept |= {kept.key: kept for kept in there}
        found = {kept.id for kept in there if kept.key not in self._puts}
        found |= {one.document.id for one in self._puts.values() if one.source == key}
        return sum(self.delete_document(document_id) for document_id in sorted(found))

    def commit(self) -> None:
        """Write what waits."""
        files = [source_row(one) for one in self._files.values() if one]  # before anything is written: it may raise
        self._apply()
        if self._files:
            self._upsert(META, files)
            if gone := [f"{SOURCE}.{key}" for key, one in self._files.items() if one is None]:
                self._delete(META, one_of("key", gone))
        if not self._touched:
            return
        # Read again, since others write too: what they added in between is theirs to count.
        latest = read_state(self.tables)
        totals = latest.totals.plus(self._change).plus(self._removed, -1)
        self._upsert(META, [state_row(latest._replace(generation=later(latest.generation), totals=totals))])
        if self._notes:  # until here: who clears up after this writer has to know that something changed
            self._delete(META, one_of("key", self._notes))
        self.tables.flush(sorted(self._touched))

    def _apply(self) -> None:
        """Write the documents that wait, some at a time."""
        puts, gone = self._puts, self._gone
        self._puts, self._gone = {}, {}
        self._documents.clear()  # who encodes all of it again has read each
        for key in puts.keys() | gone.keys():
            self._kept.pop(key, None)  # it may be long ago that it was read
        self._know(puts.keys() | gone.keys())
        waiting = iter([*puts, *gone])
        while keys := list(islice(waiting, _MOST_DOCUMENTS)):
            self._replace([puts[key] for key in keys if key in puts], [key for key in keys if key in gone])

    def _replace(self, puts: Sequence[_Put], gone: Sequence[str]) -> None:
        keys = [key_of(one.document.id) for one in puts]
        before = {key: kept for key in [*keys, *gone] if (kept := self._kept[key])}
        generation = new_generation()
        note = pending_row(generation, {key: before[key].generation if key in before else 0 for key in [*keys, *gone]})
        self._upsert(META, [note, *self._languages(puts)])
        self._insert(TEXTS, (row for one in puts for row in chunk_rows(one.document, generation)))
        self._insert(PASSAGES, (row for one in puts for row in self._rows(one, generation)))
        self._check_note(note["key"])
        if overtaken := self._overtaken(puts):
            delete_rows(self._delete, generation, sorted(overtaken))
            puts = [one for one in puts if key_of(one.document.id) not in overtaken]
            before = {key: kept for key, kept in before.items() if key not in overtaken}
        self._flip(puts, gone, generation)
        for key in gone:
            self._kept[key] = None
        self._removed = _sum(before.values(), self._removed)
        _delete_before(self._delete, before)
        self._notes.append(note["key"])

    def _check_note(self, key: str) -> None:
        """Raises :class:`AwayError` if the note is gone, or marked: this process stood still so long, or its clock is so wrong,
        that another one deletes the rows that are about to be named."""
        if not any(row["kind"] == PENDING for row in self.tables.get(META, [key], ["key", "kind"])):
            raise AwayError("writing took so long that another service has cleared it away; nothing was changed, try again")

    def _overtaken(self, puts: Sequence[_Put]) -> set[str]:
        """Keys of documents that are no more what those that replace them were made of."""
        made_of = {key_of(one.document.id): one.made_of for one in puts if one.made_of}
        now = named_generations(self.tables, made_of)
        overtaken = {key for key, generation in made_of.items() if now.get(key) != generation}
        for key in overtaken:
            del self._kept[key]
        return overtaken

    def _flip(self, puts: Sequence[_Put], gone: Sequence[str], generation: int) -> None:
        """From here on the new generation is found, and not the old one."""
        rows = [document_row(one.document, generation, document_hash(one.document), one.source, one.passages) for one in puts]
        self._upsert(DOCUMENTS, rows)
        self._kept |= {row["key"]: kept_of(row) for row in rows}
        self._change = _sum([kept_of(row) for row in rows], self._change)
        if gone:
            self._delete(DOCUMENTS, one_of("key", list(gone)))

    def _rows(self, one: _Put, generation: int) -> Iterator[Row]:
        document = one.document
        source = self._file(one.source) if one.source else None
        place = source_of(document.id, source.name if source else None, document.uri)
        shared = {
            "document": key_of(document.id), "generation": generation, "date": document.date or "",
            "tags": tags(described_of(document), place),
        }  # fmt: skip
        ids = passage_ids(document, [passage.passage for passage in one.passages])
        for ordinal, (passage_id, passage) in enumerate(zip(ids, one.passages, strict=True)):
            named = passage_id, content_hash(document, passage.passage)
            yield passage_row(named, passage, ordinal, shared, len(self._tokens))

    def _languages(self, puts: Sequence[_Put]) -> list[Row]:
        found = {passage.language for one in puts for passage in one.passages} - self._known_languages
        self._known_languages |= found
        return [language_row(name) for name in sorted(found)]

    def _file(self, key: int) -> Source | None:
        return self._files[key] if key in self._files else source_with(self.tables, key)

    def _insert(self, table: str, rows: Iterable[Row]) -> None:
        if waiting := list(rows):
            self._touched.add(table)
            self.tables.insert(table, waiting)

    def _upsert(self, table: str, rows: Sequence[Row]) -> None:
        if rows:
            self._touched.add(table)
            self.tables.upsert(table, rows)

    def _delete(self, table: str, condition: str) -> None:
        self._touched.add(table)
        self.tables.delete(table, condition)


def _delete_before(delete: Callable[[str, str], None], before: Mapping[str, Kept]) -> None:
    for generation in sorted({kept.generation for kept in before.values()}):
        delete_rows(delete, generation, [key for key, kept in before.items() if kept.generation == generation])


def _sum(kept: Iterable[Kept], totals: Totals) -> Totals:
    for one in kept:
        totals = totals.plus(Totals(1, one.passages, one.characters, one.terms))
    return totals
