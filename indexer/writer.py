"""Writing the catalog: what a transaction adds, replaces and deletes, each row with its checksum."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from indexer.checksums import checksum, seal
from indexer.documents import Document
from indexer.hashes import content_hash, document_hash, passage_ids
from indexer.models import ModelContract
from indexer.records import EncodedPassage
from indexer.snapshot import COLUMNS, Snapshot


class Writer(Snapshot):
    """One open write transaction. It is committed, whole, when the block that opened it ends without an error."""

    def set_contract(self, contract: ModelContract) -> None:
        """Bind the index to a model."""
        self._db.execute("UPDATE state SET contract = ?", (json.dumps(asdict(contract)),))
        self.contract = contract

    def source_key(self, path: str) -> int:
        """The key of a synced file that :meth:`put_source` has added."""
        (key,) = self._db.execute("SELECT key FROM source WHERE path = ?", (path,)).fetchone()
        return int(key)

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
        told = [*failures, *((*one, True) for one in remarks)]  # an item more tells a remark from a failure
        row = self._db.execute(
            "INSERT INTO source (path, name, stamp, hash, failure) VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE "
            "SET stamp = excluded.stamp, hash = excluded.hash, failure = excluded.failure RETURNING key",
            (path, name, stamp, digest, json.dumps(told) if told else None),
        ).fetchone()
        seal(self._db, "source", row[0])
        return int(row[0])

    def move_source(self, key: int, path: str, stamp: str, uri: str) -> None:
        """A file is at another path now: its documents keep their ids; one that showed the old path shows the new."""
        (old,) = self._db.execute("SELECT path FROM source WHERE key = ?", (key,)).fetchone()
        self._db.execute("UPDATE source SET path = ?, stamp = ? WHERE key = ?", (path, stamp, key))
        seal(self._db, "source", key)
        query = "UPDATE document SET uri = ? WHERE source = ? AND uri = ? RETURNING key"
        for (document,) in self._db.execute(query, (uri, key, Path(old).as_uri())).fetchall():
            seal(self._db, "document", document)

    def delete_source(self, key: int) -> int:
        """Forget a file and delete its documents; how many there were."""
        deleted = self._db.execute("DELETE FROM document WHERE source = ?", (key,)).rowcount
        self._db.execute("DELETE FROM source WHERE key = ?", (key,))
        return deleted

    def put_document(self, document: Document, source: int | None, passages: Sequence[EncodedPassage]) -> None:
        """Add or replace a document with its passages. Unchanged passages keep their keys and ids."""
        values = (document.id, source, *_row(document), document_hash(document))
        (key,) = self._db.execute(
            f"INSERT INTO document (id, source, {_FIELDS}, hash) VALUES ({','.join('?' * len(values))}) "  # noqa: S608
            f"ON CONFLICT (id) DO UPDATE SET source = excluded.source, {_UPDATES}, hash = excluded.hash RETURNING key",
            values,
        ).fetchone()
        seal(self._db, "document", key)
        self._put_passages(key, document, passages)

    def prune(self, generation: int) -> None:
        """Forget what was removed up to a generation: what was derived before that is derived again, not followed."""
        self._db.execute("DELETE FROM removed WHERE generation <= ?", (generation,))
        self._db.execute("UPDATE state SET pruned = max(pruned, ?)", (generation,))
        self.pruned = max(self.pruned, generation)

    def delete_document(self, document_id: str) -> bool:
        """Delete a document with its passages; whether there was one."""
        return self._db.execute("DELETE FROM document WHERE id = ?", (document_id,)).rowcount > 0

    def forget_languages(self) -> None:
        """Forget the stemmers that made no terms of what is still there: questions go through them no more."""
        self._db.execute("DELETE FROM language WHERE name NOT IN (SELECT language FROM passage)")

    def _put_passages(self, document_key: int, document: Document, passages: Sequence[EncodedPassage]) -> None:
        rows = self._db.execute("SELECT id, input, language, key FROM passage WHERE document = ?", (document_key,))
        before = {(row[0], row[1], row[2]): row[3] for row in rows}
        ids = passage_ids(document, [one.passage for one in passages])
        same = [(passage_id, one.input, one.language) for passage_id, one in zip(ids, passages, strict=True)]
        kept = {before[one] for one in same if one in before}
        gone = [(key,) for key in before.values() if key not in kept]
        self._db.executemany("DELETE FROM passage WHERE key = ?", gone)
        for ordinal, (passage_id, one) in enumerate(zip(ids, passages, strict=True)):
            place = (ordinal, one.passage.start, one.passage.end, json.dumps(one.passage.labels))
            if key := before.get(same[ordinal]):
                self._db.execute(
                    'UPDATE passage SET ordinal = ?, start = ?, "end" = ?, labels = ? WHERE key = ?', (*place, key)
                )
                seal(self._db, "passage", key)
                continue
            content = content_hash(document, one.passage)
            cursor = self._db.execute(
                'INSERT INTO passage (id, document, ordinal, start, "end", labels, input, language, content) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (passage_id, document_key, *place, one.input, one.language, content),
            )
            key = int(cursor.lastrowid or 0)
            seal(self._db, "passage", key)
            self._put_readings(key, one, (passage_id, content, one.input))

    def _put_readings(self, key: int, one: EncodedPassage, named: tuple[str, bytes, bytes]) -> None:
        vector = (key, one.vector.astype("<f2").tobytes())
        codes, places, norms = one.tokens
        token = (key, codes.tobytes(), places.astype("<u2").tobytes(), norms.astype("<f2").tobytes())
        term = (key, one.terms.astype("<u4").tobytes())
        self._db.execute("INSERT INTO vector VALUES (?, ?, ?)", (*vector, checksum(*vector)))
        self._db.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?)", (*token, checksum(*token)))
        self._db.execute("INSERT INTO term VALUES (?, ?, ?)", (*term, checksum(*term, *named)))
        self._db.execute("INSERT OR IGNORE INTO language VALUES (?, ?)", (one.language, checksum(one.language)))


_FIELDS = ", ".join(COLUMNS)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)


def _row(document: Document) -> tuple[str | None, ...]:
    metadata = json.dumps(dict(document.metadata), ensure_ascii=False)
    plain = (document.title, document.text, document.uri, document.date, metadata, document.media_type)
    return (*plain, json.dumps(document.pages), json.dumps(document.headings))
