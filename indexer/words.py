"""The words of passages: BM25, and which passages hold a term or a phrase. tantivy on disk, and what is newer in memory.

Derived from the catalog's terms: deleting it loses nothing. Invariants: ``words.json`` is never ahead of tantivy's commit, also
when the machine stops, so whoever opens in between sees a passage twice at most, once on disk and once in memory; a
:class:`Words` never changes, so a search goes on undisturbed over the commit that it began with, also when another process
folds.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.errors import PassagesError
from indexer.files import fresh_folder, remove_folders, replace_file, sync_folder
from indexer.terms import DIVIDER, Codes

if TYPE_CHECKING:
    import tantivy

Keys = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

log = logging.getLogger(__name__)

# Robertson & Zaragoza 2009, The Probabilistic Relevance Framework. The values are those of tantivy, which ranks on disk.
K1 = 1.2
B = 0.75
FORMAT = 1
WORDS_FILE = "words.json"
_HEAP_BYTES = 64_000_000
# Up to so many allowed keys, tantivy is told them; above, fetching more than is wanted and dropping the rest is faster.
_FEW_KEYS = 5000
# A deleted passage counts in tantivy's statistics until its segment is merged: above this share the index is made anew.
_STALE_SHARE = 0.1


def idf(passages: int, frequency: int) -> float:
    """The rarity of a word that ``frequency`` of ``passages`` hold; never below 0, as in Lucene and tantivy."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def possible(rarity: Floats) -> float:
    """What BM25 would be for a passage that holds nothing but the question's words, without end."""
    return float(rarity.sum()) * (K1 + 1)


def bm25(
    codes: Codes, lengths: Lengths, groups: Sequence[Sequence[int]], rarity: Floats, mean_length: float
) -> tuple[Floats, Bools]:
    """BM25 of n passages float32 [n], and which of w words each holds, bool [n, w].

    ``codes`` are the passages' terms, one after the other, and ``lengths`` int64 [n] how many each has, its divider included.
    A word is a group of codes, which count as one term; ``rarity`` float32 [w] is each word's idf.
    """
    counts = np.zeros((len(lengths), len(groups)), np.float32)
    ends = np.cumsum(lengths)
    for word, group in enumerate(groups):
        for code in group:
            rows = np.searchsorted(ends, np.flatnonzero(codes == code), side="right")
            counts[:, word] += np.bincount(rows, minlength=len(lengths))
    norms = K1 * (1 - B + B * (lengths - 1) / mean_length)
    weighed = counts * (K1 + 1) / (counts + norms[:, None])
    return (weighed @ rarity.astype(np.float64)).astype(np.float32), counts > 0


def own_terms(terms: Codes) -> Codes:
    """The terms of the passage's own text, which stand behind the divider."""
    return terms[int(np.argmax(terms == DIVIDER)) + 1 :] if len(terms) else terms


class _Disk(NamedTuple):
    """A commit of tantivy's, and what ``words.json`` says of it: a passage above ``last_key`` is there because of a crash
    between the two, and is not counted."""

    searcher: tantivy.Searcher
    schema: tantivy.Schema
    place: Path
    passages: int
    terms: int
    last_key: int
    dead: int  # deleted since it was made: tantivy's statistics may still count them


class _Tail(NamedTuple):
    """Passages in memory: ``keys`` ascending, their terms one after the other, and how many each has."""

    keys: Keys
    codes: Codes
    lengths: Lengths

    def without(self, removed: Keys) -> _Tail:
        """The tail less these keys: what is gone counts no more in any statistic."""
        kept = ~np.isin(self.keys, removed)
        return _Tail(self.keys[kept], self.codes[np.repeat(kept, self.lengths)], self.lengths[kept])

    def terms(self) -> list[Codes]:
        """The terms of each passage."""
        return np.split(self.codes, np.cumsum(self.lengths)[:-1]) if len(self.keys) else []


class Words(NamedTuple):
    """The words of one commit. ``removed`` (ascending) are keys on disk that are there no more."""

    disk: _Disk | None
    tail: _Tail
    removed: Keys
    generation: int
    last_key: int

    @classmethod
    def empty(cls) -> Words:
        """No words at all, of no commit yet."""
        nothing = np.empty(0, np.int64)
        return cls(None, _Tail(nothing, np.empty(0, np.uint32), nothing), nothing, -1, 0)

    @property
    def passages(self) -> int:
        """How many passages it covers."""
        return (self.disk.passages if self.disk else 0) + len(self.tail.keys) - len(self.removed)

    @property
    def tail_size(self) -> int:
        """How many of them are in memory only."""
        return len(self.tail.keys)

    @property
    def mean_length(self) -> float:
        """Terms a passage."""
        terms = (self.disk.terms if self.disk else 0) + int((self.tail.lengths - 1).sum())
        return max(1.0, terms / max(1, (self.disk.passages if self.disk else 0) + len(self.tail.keys)))

    @property
    def needs_rebuild(self) -> bool:
        """Whether so much was deleted that the statistics have drifted: fold all of the catalog into an empty one."""
        return self.disk is not None and self.disk.dead + len(self.removed) > _STALE_SHARE * self.disk.passages

    def frequency(self, code: int) -> int:
        """How many passages hold the term; those deleted since the last fold count too."""
        on_disk = self.disk.searcher.doc_freq("terms", _word(code)) if self.disk else 0
        found = np.searchsorted(np.cumsum(self.tail.lengths), np.flatnonzero(self.tail.codes == code), side="right")
        return on_disk + len(np.unique(found))

    def rarity(self, codes: Sequence[int]) -> float:
        """The idf of a word whose forms are ``codes``."""
        return idf(self.passages, min(self.passages, sum(map(self.frequency, codes))))

    def matching(self, groups: Sequence[Sequence[int]], rarity: Floats, count: int, allowed: Keys | None = None) -> Keys:
        """The ``count`` passages with the greatest BM25 among those that hold any word, best first, ties by key; none outside
        ``allowed`` (ascending), and none of these is missed. ``groups`` and ``rarity`` as for :func:`bm25`."""
        keys, scores = self._from_tail(groups, rarity, allowed)
        if self.disk:
            near, best = self._from_disk(self.disk, sorted({code for group in groups for code in group}), count, allowed)
            keys, scores = np.concatenate([near, keys]), np.concatenate([best, scores])
        order = np.lexsort((keys, -scores.round(5)))  # below that, equal passages differ by the segment that they lie in
        return keys[order][:count]

    def phrase(self, codes: Sequence[int]) -> Keys:
        """Every passage in whose own text these terms follow one another, ascending."""
        tail = zip(self.tail.keys.tolist(), self.tail.terms(), strict=True)
        found = [key for key, terms in tail if _follow(own_terms(terms), codes)]
        if self.disk:
            query = _phrase(self.disk.schema, [_word(code) for code in codes])
            found += _all(self.disk, query)
        return np.setdiff1d(np.array(found, np.int64), self.removed)

    def updated(self, keys: Keys, terms: Sequence[Codes], removed: Keys, generation: int) -> Words:
        """The words with passages added (``keys`` ascending, above all present) and ``removed`` gone, as of ``generation``."""
        lengths = np.fromiter(map(len, terms), np.int64, len(terms))
        tail = _Tail(
            np.concatenate([self.tail.keys, keys]),
            np.concatenate([self.tail.codes, *terms]),
            np.concatenate([self.tail.lengths, lengths]),
        ).without(removed)
        gone = np.union1d(self.removed, removed[removed <= (self.disk.last_key if self.disk else 0)])
        last = int(keys[-1]) if len(keys) else self.last_key
        return self._replace(tail=tail, removed=gone, generation=generation, last_key=max(last, self.last_key))

    def _from_tail(self, groups: Sequence[Sequence[int]], rarity: Floats, allowed: Keys | None) -> tuple[Keys, Floats]:
        scores, held = bm25(self.tail.codes, self.tail.lengths, groups, rarity, self.mean_length)
        found = held.any(axis=1)
        if allowed is not None:
            found &= np.isin(self.tail.keys, allowed)
        return self.tail.keys[found], scores[found]

    def _from_disk(self, disk: _Disk, codes: Sequence[int], count: int, allowed: Keys | None) -> tuple[Keys, Floats]:
        query = _any_of(disk.schema, codes)
        few = allowed is not None and len(allowed) <= _FEW_KEYS
        if few and allowed is not None:
            query = _among(disk.schema, query, allowed)
        share = 1 if allowed is None or few else max(len(allowed), 1) / max(1, self.passages)
        fetched = int((count + 16) / share) + len(self.removed)
        while True:
            hits = disk.searcher.search(query, limit=max(1, min(fetched, disk.searcher.num_docs + 1)), count=False).hits
            keys = _keys_of(disk, hits)
            kept = ~np.isin(keys, self.removed) & (keys <= disk.last_key)
            if allowed is not None:
                kept &= np.isin(keys, allowed)
            if kept.sum() >= count or len(hits) < fetched:
                scores = np.array([score for score, _ in hits], np.float32)
                return keys[kept], scores[kept]
            fetched *= 4


def open_words(folder: Path, tag: str) -> Words:
    """What is on disk of the index folder's words, if it was made for ``tag``; else nothing, which costs a rebuild."""
    said = _said(folder)
    while said is not None:
        try:
            record = json.loads(said)
            if (record["format"], record["tag"]) != (FORMAT, tag):
                return Words.empty()
            return _opened(folder / record["place"], record)
        except Exception as error:  # derived: whatever is wrong with it, it is made anew
            before, said = said, _said(folder)
            if said == before:  # else another process has made it anew, and removed what was being opened
                log.warning("the word index in %s cannot be read and will be made again: %s", folder, error)
                break
    return Words.empty()


def _said(folder: Path) -> bytes | None:
    try:
        return (folder / WORDS_FILE).read_bytes()
    except OSError:
        return None


def fold(folder: Path, words: Words, tag: str) -> Words:
    """Move the tail into tantivy and what was removed out of it. The caller holds the writer lock. Raises
    :class:`PassagesError`."""
    try:
        place = words.disk.place if words.disk else fresh_folder(folder, "words")
        passages, terms = _write(place, words)
        sync_folder(place)  # tantivy syncs its files, but not the name of its last one, meta.json, which is its commit
        record: dict[str, Any] = {
            "format": FORMAT, "tag": tag, "place": place.name, "generation": words.generation, "last_key": words.last_key,
            "passages": passages, "terms": terms, "dead": len(words.removed) + (words.disk.dead if words.disk else 0),
        }  # fmt: skip
        replace_file(folder / WORDS_FILE, json.dumps(record))
    except (OSError, ValueError) as error:  # tantivy's for everything is the latter
        raise PassagesError(
            f"the word index in {folder} cannot be written: {error}; make room, or delete {WORDS_FILE} there: it is made again"
        ) from error
    remove_folders(folder, "words", place)
    return _opened(place, record)


def _write(place: Path, words: Words) -> tuple[int, int]:
    """Commits the changes; how many passages are there then, and how many terms."""
    import tantivy

    schema = _schema()
    index = tantivy.Index(schema, path=str(place))
    writer = index.writer(_HEAP_BYTES, 1)
    # By query: asked to delete by the term of an unsigned field, the Python binding takes a signed one and deletes nothing.
    writer.delete_documents_by_query(tantivy.Query.term_set_query(schema, "key", words.removed.tolist()))
    writer.delete_documents_by_query(_above(schema, words.disk.last_key if words.disk else 0))  # what a crash left there
    for key, terms in zip(words.tail.keys.tolist(), words.tail.terms(), strict=True):
        writer.add_document(_document(key, terms))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    found = searcher.aggregate(tantivy.Query.all_query(), {"terms": {"sum": {"field": "length"}}})
    return searcher.num_docs, int(found["terms"]["value"] or 0)


def _opened(place: Path, record: dict[str, Any]) -> Words:
    import tantivy

    index = tantivy.Index.open(str(place))
    index.reload()
    disk = _Disk(index.searcher(), index.schema, place, record["passages"], record["terms"], record["last_key"], record["dead"])
    return Words.empty()._replace(disk=disk, generation=record["generation"], last_key=record["last_key"])


def _schema() -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_unsigned_field("length", fast=True)
    builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")  # context and text
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="position")  # for phrases
    return builder.build()


def _document(key: int, terms: Codes) -> tantivy.Document:
    import tantivy

    document = tantivy.Document()
    document.add_unsigned("key", key)
    document.add_unsigned("length", _length(terms))
    document.add_text("terms", " ".join(map(_word, terms[terms != DIVIDER].tolist())))
    document.add_text("text", " ".join(map(_word, own_terms(terms).tolist())))
    return document


def _any_of(schema: tantivy.Schema, codes: Sequence[int]) -> tantivy.Query:
    import tantivy

    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "terms", _word(code), "freq")) for code in codes]
    )


def _among(schema: tantivy.Schema, query: tantivy.Query, keys: Keys) -> tantivy.Query:
    """``query`` over these passages alone, with the same scores."""
    import tantivy

    only = tantivy.Query.const_score_query(tantivy.Query.term_set_query(schema, "key", keys.tolist()), 0.0)
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, only)])


def _phrase(schema: tantivy.Schema, words: list[str]) -> tantivy.Query:
    import tantivy

    if len(words) == 1:
        return tantivy.Query.term_query(schema, "text", words[0])
    return tantivy.Query.phrase_query(schema, "text", [*words])


def _above(schema: tantivy.Schema, key: int) -> tantivy.Query:
    import tantivy

    return tantivy.Query.range_query(schema, "key", tantivy.FieldType.Unsigned, lower_bound=key, include_lower=False)


def _all(disk: _Disk, query: tantivy.Query) -> list[int]:
    """Every key that the query finds."""
    hits = disk.searcher.search(query, limit=max(1, disk.searcher.num_docs), count=False).hits
    return [key for key in _keys_of(disk, hits).tolist() if key <= disk.last_key]


def _keys_of(disk: _Disk, hits: Sequence[tuple[float, tantivy.DocAddress]]) -> Keys:
    return np.array(disk.searcher.fast_field_values("key", [address for _, address in hits]), np.int64)


def _follow(terms: Codes, codes: Sequence[int]) -> bool:
    """Whether ``codes`` stand in ``terms`` one right after the other."""
    starts = np.flatnonzero(terms[: max(0, len(terms) - len(codes) + 1)] == codes[0])
    return any((terms[at : at + len(codes)] == codes).all() for at in starts.tolist())


def _length(terms: Codes) -> int:
    return len(terms) - 1  # the divider is none


def _word(code: int) -> str:
    return f"{code:08x}"
