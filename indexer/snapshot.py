"""Reading a commit of the catalog, whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.checksums import (
    PASSAGE_COLUMNS,
    Mismatch,
    check,
    check_terms,
    check_tokens,
    check_total,
    check_vectors,
    totals,
)
from indexer.documents import Document
from indexer.models import ModelContract
from indexer.passages import Passage
from indexer.records import (
    Candidates,
    Changes,
    Copy,
    Counts,
    EncodedPassage,
    Encoding,
    Keys,
    Listed,
    Source,
    StoredPassage,
    TermChanges,
)
from indexer.rows import DESCRIBED, DOCUMENT, SOURCE, as_described, as_document, as_listed, as_source
from indexer.schema import read_state
from indexer.sentences import Span
from indexer.terms import Codes
from indexer.tokens import TokenCodes, joined

# A document's columns, in the order in which rows of it are read and written.
COLUMNS = ("title", "text", "uri", "date", "metadata", "media_type", "pages", "headings")
_PASSAGE = ", ".join(f"p.{name}" for name in PASSAGE_COLUMNS)


class Snapshot:
    """One commit, whole: everything read through it belongs together. Use it in one thread.

    Rows that an answer is made of are compared with their checksums as they are read, and rows that must be there are asked
    for: what is damaged raises :class:`Mismatch`, of which the catalog that opened the snapshot makes a ``DamagedError``.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.generation, contract, self.identity, self.pruned = read_state(connection)
        self.contract = ModelContract(**json.loads(contract)) if contract else None

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Write the commit, whole, into another SQLite file."""
        self._db.backup(target)

    def counts(self) -> Counts:
        """Documents, passages, characters of text, and files or records that could not be read."""
        documents, characters = self._db.execute("SELECT count(*), coalesce(sum(characters(text)), 0) FROM document").fetchone()
        (passages,) = self._db.execute("SELECT count(*) FROM passage").fetchone()
        query = "SELECT count(*) FROM source, json_each(failure) WHERE json_array_length(value) = 2"
        (failures,) = self._db.execute(query).fetchone()
        return Counts(documents, passages, characters, failures)

    def vector(self, key: int) -> npt.NDArray[np.float16]:
        """The vector of a passage of this commit, float16 [d]."""
        found = self.vectors_of([key])
        if key not in found:
            raise Mismatch("the vector of a passage is missing")
        return np.frombuffer(found[key], dtype="<f2")

    def covered(self) -> tuple[int, int]:
        """How many passages have a vector, and how many have terms."""
        known = totals(self._db)
        return known["vector"].rows, known["term"].rows

    def changes(self, since: int, last_key: int, dimension: int) -> Changes:
        """Passages above ``last_key`` and those removed after generation ``since``."""
        query = "SELECT checksum, passage, value FROM vector WHERE passage > ? ORDER BY passage"
        rows = _vectors(self._db.execute(query, (last_key,)).fetchall())
        if not last_key:
            check_total(self._db, "vector", [row[0] for row in rows])
        vectors = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f2").reshape(len(rows), dimension)
        return Changes(_keys(rows), vectors, self._removed(since))

    def vectors_above(self, last_key: int, dimension: int, block: int) -> Iterator[tuple[Keys, npt.NDArray[np.float16]]]:
        """Keys and vectors float16 [n, d] of passages above ``last_key``, by key, ``block`` at a time."""
        query = "SELECT checksum, passage, value FROM vector WHERE passage > ? ORDER BY passage"
        cursor = self._db.execute(query, (last_key,))
        while rows := _vectors(cursor.fetchmany(block)):
            yield _keys(rows), np.frombuffer(b"".join(row[2] for row in rows), dtype="<f2").reshape(len(rows), dimension)

    def vectors_of(self, keys: Sequence[int]) -> dict[int, bytes]:
        """Vectors by key, 16-bit floats one after the other; a key that this commit lacks is left out."""
        among = json.dumps([int(key) for key in keys])
        query = "SELECT checksum, passage, value FROM vector WHERE passage IN (SELECT value FROM json_each(?))"
        return {row[1]: row[2] for row in _vectors(self._db.execute(query, (among,)).fetchall())}

    def count_above(self, last_key: int, limit: int) -> int:
        """How many passages are above ``last_key``, counted no further than to ``limit``."""
        query = "SELECT count(*) FROM (SELECT 1 FROM passage WHERE key > ? LIMIT ?)"
        return int(self._db.execute(query, (last_key, limit)).fetchone()[0])

    def count_to(self, last_key: int) -> int:
        """How many passages there are up to ``last_key``."""
        query = "SELECT (SELECT count(*) FROM passage) - (SELECT count(*) FROM passage WHERE key > ?)"  # both are quick
        return int(self._db.execute(query, (last_key,)).fetchone()[0])

    def count_removed(self, since: int, last_key: int) -> int:
        """How many passages up to ``last_key`` were removed after generation ``since``."""
        query = "SELECT count(*) FROM removed WHERE generation > ? AND passage <= ?"
        return int(self._db.execute(query, (since, last_key)).fetchone()[0])

    def count_prunable(self, generation: int) -> int:
        """How many passages the catalog remembers as removed up to a generation."""
        return int(self._db.execute("SELECT count(*) FROM removed WHERE generation <= ?", (generation,)).fetchone()[0])

    def removed(self, since: int) -> Keys:
        """Passages that were removed after generation ``since``, ascending."""
        return np.sort(self._removed(since))

    def term_changes(self, since: int, last_key: int) -> TermChanges:
        """Terms of passages above ``last_key``, and passages removed after generation ``since``."""
        query = (
            "SELECT t.checksum, t.passage, t.codes, p.id, p.content, p.input FROM term t JOIN passage p ON p.key = t.passage "
            "WHERE t.passage > ? ORDER BY t.passage"
        )
        rows = self._db.execute(query, (last_key,)).fetchall()
        check_terms(rows)
        if not last_key:
            check_total(self._db, "term", [row[0] for row in rows])
        return TermChanges(_keys(rows), [_terms(row[2]) for row in rows], self._removed(since))

    def candidates(self, keys: Sequence[int]) -> Candidates:
        """What ranking reads of passages, in the order of ``keys``, all of which this commit has."""
        query = (
            "SELECT w.checksum, p.key, w.codes, p.id, p.content, p.input, t.checksum, t.codes, t.places, t.norms "
            "FROM json_each(?) k CROSS JOIN passage p ON p.key = k.value "
            "JOIN token t ON t.passage = p.key JOIN term w ON w.passage = p.key"
        )
        rows = self._rows_of(keys, query)
        check_terms(rows)
        check_tokens((row[6], row[1], *row[7:]) for row in rows)
        codes = [row[2] for row in rows]
        tokens = joined([row[7] for row in rows], [row[8] for row in rows], [row[9] for row in rows])
        lengths = np.fromiter(map(len, codes), np.int64, len(codes)) // 4
        return Candidates([(row[1], *row[3:6]) for row in rows], _terms(b"".join(codes)), lengths, tokens)

    def terms(self, keys: Sequence[int]) -> tuple[list[tuple[int, str]], Codes, npt.NDArray[np.int64]]:
        """Keys, all of which this commit has, and ids, their terms one after the other, and how many each has, int64 [n]."""
        query = (
            "SELECT w.checksum, p.key, w.codes, p.id, p.content, p.input FROM json_each(?) k "
            "CROSS JOIN passage p ON p.key = k.value JOIN term w ON w.passage = p.key"
        )
        rows = self._rows_of(keys, query)
        check_terms(rows)
        lengths = np.fromiter((len(row[2]) for row in rows), np.int64, len(rows)) // 4
        return [(row[1], row[3]) for row in rows], _terms(b"".join(row[2] for row in rows)), lengths

    def _rows_of(self, keys: Sequence[int], query: str) -> list[Any]:
        """Rows whose second column is one of ``keys``, in their order."""
        found = {row[1]: row for row in self._db.execute(query, (json.dumps([int(key) for key in keys]),))}
        if len(found) < len(keys):  # they come from what was derived of this very commit
            raise Mismatch(f"of {len(keys)} passages that were found {len(found)} can be read")
        return [found[int(key)] for key in keys]

    def copies(self, contents: Iterable[bytes]) -> dict[bytes, list[Copy]]:
        """Every passage of each text, by the hash of the text; each list by id."""
        query = "SELECT key, id, input FROM passage WHERE content = ? ORDER BY id"
        found = {content: [Copy(*row) for row in self._db.execute(query, (content,))] for content in contents}
        if not all(found.values()):
            raise Mismatch("a passage is not among those of its text")
        return found

    def languages(self) -> list[str]:
        """Every stemmer that made terms of some passage."""
        rows = self._db.execute("SELECT checksum, name FROM language ORDER BY name").fetchall()
        for row in rows:
            check("a language", *row)
        check_total(self._db, "language", [row[0] for row in rows])
        return [row[1] for row in rows]

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """Passages by key; a key that this commit lacks is left out."""
        return {
            one.key: one
            for one in self._passages("p.key IN (SELECT value FROM json_each(?))", json.dumps([int(key) for key in keys]))
        }

    def found(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The same of passages that were found in this very commit, which therefore has them all."""
        passages = self.passages(keys)
        if len(passages) < len(set(keys)):
            raise Mismatch("a passage that was found is missing")
        return passages

    def passage(self, passage_id: str) -> StoredPassage | None:
        """The passage of an id, or None."""
        return next(iter(self._passages("p.id = ?", passage_id)), None)

    def passages_with(self, content: bytes) -> list[StoredPassage]:
        """Every passage of a text, by the hash of the text; by id, none if there is none."""
        return sorted(self._passages("p.content = ?", content), key=lambda one: one.id)

    def passage_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """Ids by key."""
        among = json.dumps([int(key) for key in keys])  # one parameter: SQLite bounds how many there may be
        return dict(self._db.execute("SELECT key, id FROM passage WHERE key IN (SELECT value FROM json_each(?))", (among,)))

    def document_keys(self, keys: Sequence[int]) -> dict[int, int]:
        """The key of the document of each passage, all of which this commit has, by the passage's key."""
        among = json.dumps([int(key) for key in keys])
        query = "SELECT key, document FROM passage WHERE key IN (SELECT value FROM json_each(?))"
        found = dict(self._db.execute(query, (among,)).fetchall())
        if len(found) < len(set(keys)):
            raise Mismatch("a passage that was found is missing")
        return found

    def passages_of(self, document_id: str) -> list[StoredPassage]:
        """All passages of a document, in reading order."""
        return sorted(self._passages("d.id = ?", document_id), key=lambda one: one.ordinal)

    def extents(self, document_id: str) -> list[tuple[int, int, bytes]]:
        """Start, end and the hash of the text of each of a document's passages."""
        query = 'SELECT p.start, p."end", p.content FROM passage p JOIN document d ON d.key = p.document WHERE d.id = ?'
        return self._db.execute(query, (document_id,)).fetchall()

    def count_unread(self) -> int:
        """How many passages lack a vector, tokens or terms."""
        query = (
            "SELECT count(*) FROM passage p LEFT JOIN vector v ON v.passage = p.key LEFT JOIN token t ON t.passage = p.key "
            "LEFT JOIN term w ON w.passage = p.key WHERE v.passage IS NULL OR t.passage IS NULL OR w.passage IS NULL"
        )
        return int(self._db.execute(query).fetchone()[0])

    def document(self, document_id: str) -> Document | None:
        """The document of an id, or None."""
        row = self._db.execute(f"SELECT {DOCUMENT} FROM document d WHERE id = ?", (document_id,)).fetchone()  # noqa: S608
        return as_document(row) if row else None

    def document_ids(self, after: str = "", limit: int = -1) -> list[str]:
        """Ids in order, above ``after``; all of them if ``limit`` is negative."""
        rows = self._db.execute("SELECT id FROM document WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [row[0] for row in rows]

    def listed(self, condition: str, values: Sequence[Any], after: str, limit: int) -> list[Listed]:
        """The first ``limit`` documents ``d`` that meet an SQL condition, of ids above ``after``, by id; one text in memory at
        a time."""
        query = (
            f"SELECT {DOCUMENT}, s.name, (SELECT count(*) FROM passage p WHERE p.document = d.key) "  # noqa: S608
            f"FROM document d LEFT JOIN source s ON s.key = d.source WHERE {condition} AND d.id > ? ORDER BY d.id LIMIT ?"
        )
        rows = self._db.execute(query, [*values, after, limit])
        return [as_listed(as_document(row), name, passages) for *row, name, passages in rows]

    def count_documents(self, condition: str, values: Sequence[Any]) -> int:
        """How many documents ``d`` meet an SQL condition."""
        return int(self._db.execute(f"SELECT count(*) FROM document d WHERE {condition}", values).fetchone()[0])  # noqa: S608

    def sizes(self) -> tuple[int, int]:
        """How many documents and passages there are, without counting them."""
        known = totals(self._db)
        return known["document"].rows, known["passage"].rows

    def source_of(self, document_id: str) -> Source | None:
        """The synced file that a document came from; None if from none."""
        query = f"SELECT {SOURCE} FROM document d JOIN source s ON s.key = d.source WHERE d.id = ?"  # noqa: S608
        row = self._db.execute(query, (document_id,)).fetchone()
        return as_source(row) if row else None

    def sources(self) -> list[Source]:
        """Every synced file, by path."""
        rows = self._db.execute(f"SELECT {SOURCE} FROM source s ORDER BY s.path").fetchall()  # noqa: S608
        check_total(self._db, "source", [row[0] for row in rows])
        return [as_source(row) for row in rows]

    def documents_of(self, source: int) -> dict[str, str]:
        """Ids and hashes of a file's documents."""
        return dict(self._db.execute("SELECT id, hash FROM document WHERE source = ?", (source,)).fetchall())

    def document_counts(self) -> dict[int, int]:
        """How many documents came from each source that has any."""
        query = "SELECT source, count(*) FROM document WHERE source IS NOT NULL GROUP BY source"
        return dict(self._db.execute(query).fetchall())

    def owner(self, document_id: str) -> tuple[int | None, str] | None:
        """The source (None if none) and hash of a document; None if there is no such document."""
        row: tuple[int | None, str] | None = self._db.execute(
            "SELECT source, hash FROM document WHERE id = ?", (document_id,)
        ).fetchone()
        return row

    def encoded_of(self, document_id: str) -> list[EncodedPassage]:
        """All passages of a document, in reading order, as they were encoded."""
        passages = self.passages_of(document_id)
        keys = [one.key for one in passages]
        vectors, found = self.vectors_of(keys), self.candidates(keys)
        return [
            EncodedPassage(
                Passage(one.start, one.end, one.labels), candidate.input, np.frombuffer(vectors[one.key], "<f2"),
                candidate.tokens, candidate.terms, one.language,
            )
            for one, candidate in zip(passages, found.split(), strict=True)
        ]  # fmt: skip

    def encodings_of(self, inputs: Iterable[bytes]) -> dict[bytes, Encoding]:
        """What the encoder made of inputs that some passage was encoded from before."""
        found = {}
        query = (
            "SELECT v.checksum, p.key, v.value, t.checksum, t.codes, t.places, t.norms, w.checksum, w.codes, p.id, p.content, "
            "p.input FROM passage p JOIN vector v ON v.passage = p.key JOIN token t ON t.passage = p.key "
            "JOIN term w ON w.passage = p.key WHERE p.input = ? LIMIT 1"
        )
        for one in inputs:
            if row := self._db.execute(query, (one,)).fetchone():
                check("the vector of a passage", *row[:3])
                check("the tokens of a passage", row[3], row[1], *row[4:7])
                check("the terms of a passage", row[7], row[1], *row[8:11], one)  # the index said that its input is this one
                found[one] = Encoding(np.frombuffer(row[2], dtype="<f2"), _tokens(*row[4:7]))
        return found

    def keys_where(self, condition: str, values: Sequence[Any]) -> Keys:
        """Keys of passages whose document ``d`` meets an SQL condition (see ``filters.py``), ascending."""
        query = f"SELECT p.key FROM passage p JOIN document d ON d.key = p.document WHERE {condition} ORDER BY p.key"  # noqa: S608
        return _keys(self._db.execute(query, values).fetchall(), 0)

    def described(self) -> Iterator[dict[str, Any]]:
        """What filters know of every document: its columns by name, and its "metadata"."""
        yield from as_described(self._db.execute(f"SELECT {DESCRIBED} FROM document d"))  # noqa: S608

    def described_of(self, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The same of each passage's document, in the order of the passages. Not compared with checksums: that would read the
        texts, which can be long; the scrub finds what is damaged here, as in a field that a filter compares."""
        query = (
            f"SELECT {DESCRIBED} FROM json_each(?) k "  # noqa: S608
            "CROSS JOIN passage p ON p.key = k.value CROSS JOIN document d ON d.key = p.document"
        )
        yield from as_described(self._db.execute(query, (json.dumps([int(key) for key in keys]),)))

    def document_contents(self) -> Iterator[tuple[Any, ...]]:
        """Of every document, by id: id, title, text, date, media type, and as JSON metadata, pages and headings."""
        yield from self._db.execute(
            "SELECT id, title, text, date, media_type, metadata, pages, headings FROM document ORDER BY id"
        )

    def passage_contents(self) -> Iterator[tuple[Any, ...]]:
        """Of every passage, by document and place: document, id, ordinal, start, end, language, labels (JSON), the hash of what
        was encoded, and terms."""
        yield from self._db.execute(
            'SELECT d.id, p.id, p.ordinal, p.start, p."end", p.language, p.labels, p.input, t.codes '
            "FROM document d CROSS JOIN passage p ON p.document = d.key CROSS JOIN term t ON t.passage = p.key "
            "ORDER BY d.id, p.ordinal"
        )

    def _removed(self, since: int) -> Keys:
        return _keys(self._db.execute("SELECT passage FROM removed WHERE generation > ?", (since,)).fetchall(), 0)

    def _passages(self, condition: str, value: str | bytes) -> Iterator[StoredPassage]:
        query = (
            f"SELECT p.checksum, {_PASSAGE} FROM passage p "  # noqa: S608
            f"JOIN document d ON d.key = p.document WHERE {condition}"
        )
        rows = self._db.execute(query, (value,)).fetchall()
        documents = self._documents({row[3] for row in rows})  # each text is read once, however many of its passages
        for row in rows:
            check("a passage", *row)
            _, key, passage_id, document, ordinal, start, end, labels, _, language, _ = row
            spans = tuple(Span(*span) for span in json.loads(labels))
            yield StoredPassage(key, passage_id, ordinal, start, end, spans, language, documents[document])

    def _documents(self, keys: set[int]) -> dict[int, Document]:
        query = f"SELECT {DOCUMENT} FROM document d WHERE d.key IN (SELECT value FROM json_each(?))"  # noqa: S608
        rows = self._db.execute(query, (json.dumps(sorted(keys)),)).fetchall()
        if len(rows) < len(keys):
            raise Mismatch("the document of a passage is missing")
        return {row[1]: as_document(row) for row in rows}


def _vectors(rows: list[Any]) -> list[Any]:
    """Rows of checksum, key and vector, all of them right."""
    check_vectors(rows)
    return rows


def _tokens(codes: bytes, places: bytes, norms: bytes) -> TokenCodes:
    return joined([codes], [places], [norms]).split()[0]


def _terms(codes: bytes) -> Codes:
    return np.frombuffer(codes, dtype="<u4")


def _keys(rows: Sequence[Sequence[Any]], column: int = 1) -> Keys:
    return np.fromiter((row[column] for row in rows), dtype=np.int64, count=len(rows))
