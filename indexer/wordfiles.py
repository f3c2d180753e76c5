"""The word index on disk: tantivy's files, and ``words.json`` that says what they are.

Invariants: a folder that ``words.json`` names never changes: a fold writes another one, which shares unchanged files with it by
hard links. The sha256 of every file is checked before tantivy parses it: of 150 random flipped bits tantivy panicked over 6 and
answered wrongly over 9. A panic that comes all the same is an ordinary error here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.errors import PassagesError
from indexer.files import file_hash, fresh_folder, remove_folders, replace_file, sealed, sync_folder
from indexer.terms import DIVIDER, Codes

if TYPE_CHECKING:
    import tantivy

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

FORMAT = 2
WORDS_FILE = "words.json"
_HEAP_BYTES = 64_000_000
_EACH = "1"  # the term of the field that every passage has


class WordFilesError(PassagesError):
    """The word index on disk is not what was written."""


class Disk(NamedTuple):
    """A commit of tantivy's, and what ``words.json`` says of it."""

    searcher: tantivy.Searcher
    schema: tantivy.Schema
    place: Path
    passages: int
    terms: int
    last_key: int
    files: Mapping[str, str]  # the sha256 of each by name

    @property
    def counted(self) -> int:
        """How many passages tantivy's statistics are of: deleted ones too, until their segment is merged."""
        return int(self.searcher.doc_freq("each", _EACH))

    def frequency(self, code: int) -> int:
        """How many passages tantivy counts for the term."""
        return int(self.searcher.doc_freq("terms", _word(code)))

    def ranked(self, weights: Mapping[int, float], limit: int, among: Keys | None) -> tuple[Keys, Floats]:
        """The ``limit`` best passages that hold any of the codes, which weigh as much as ``weights`` says times tantivy's own
        idf; only those of ``among``, if that is given."""
        query = _any_of(self.schema, weights)
        if among is not None:
            query = _among(self.schema, query, among)
        return self._found(query, limit)

    def phrase(self, codes: Sequence[int]) -> Keys:
        """Every passage in whose own text these terms follow one another."""
        return self._found(_phrase(self.schema, [_word(code) for code in codes]), self.searcher.num_docs)[0]

    def _found(self, query: tantivy.Query, limit: int) -> tuple[Keys, Floats]:
        with _no_panic(self.place):
            hits = self.searcher.search(query, limit=max(1, min(limit, self.searcher.num_docs + 1)), count=False).hits
            keys = self.searcher.fast_field_values("key", [address for _, address in hits])
        return np.array(keys, np.int64), np.array([score for score, _ in hits], np.float32)


def open_disk(folder: Path, record: Mapping[str, Any], known: Disk | None = None) -> Disk:
    """The files of a record, checked; ``known`` itself if the record still names what that has open. Raises whatever is wrong
    with them, as an :class:`Exception`."""
    place = folder / record["place"]
    if known and (known.place, known.files) == (place, record["files"]):
        return known
    _check_files(place, record["files"])
    return _open(place, record)


def _open(place: Path, record: Mapping[str, Any]) -> Disk:
    import tantivy

    with _no_panic(place):
        index = tantivy.Index.open(str(place))
        index.reload()
        return Disk(
            index.searcher(), index.schema, place, *(record[name] for name in ("passages", "terms", "last_key", "files"))
        )


class Change(NamedTuple):
    """What a fold brings to disk: passages ``added`` with their ``terms``, and keys ``removed``."""

    added: Keys
    terms: Sequence[Codes]
    removed: Keys


def write_disk(folder: Path, before: Disk | None, change: Change, facts: Mapping[str, Any]) -> Disk:
    """Brings the change to ``before``, or to a new folder, and writes the record, which ``facts`` go into; what was written,
    open. Raises :class:`PassagesError`."""
    place = _fresh(folder)
    try:
        _share(before, place)
        with _no_panic(place):
            passages, terms = _write(place, change)
        record = {**facts, "place": place.name, "passages": passages, "terms": terms, "files": _hashes(place, before)}
        sync_folder(place)  # tantivy syncs its files, but not the name of its last one, meta.json, which is its commit
        replace_file(folder / WORDS_FILE, sealed(json.dumps(record)))
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, (ValueError, OSError, WordFilesError)):  # ValueError: tantivy's for everything
            raise PassagesError(f"the word index in {place} cannot be written: {error}; make room, and try again") from error
        raise
    remove_folders(folder, "words", place)
    return _open(place, record)


def _share(before: Disk | None, place: Path) -> None:
    """Puts the files of ``before`` into a new folder: tantivy never writes into one but its own lists, which are copied."""
    if before is None:
        return
    for name in before.files:
        there, here = before.place / name, place / name
        try:
            if name.endswith(".json"):
                raise OSError
            os.link(there, here)
        except OSError:  # a file system without links
            shutil.copyfile(there, here)


def _fresh(folder: Path) -> Path:
    try:
        return fresh_folder(folder, "words")
    except OSError as error:
        raise PassagesError(
            f"the word index in {folder} cannot be written: {error.strerror}; make the folder, or room in it"
        ) from error


@contextmanager
def _no_panic(place: Path) -> Iterator[None]:
    """A panic of tantivy's, which is no :class:`Exception` and would end a thread or the process, as an error."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise WordFilesError(f"the word index in {place} is damaged; make it anew: passages rebuild") from error


def _write(place: Path, change: Change) -> tuple[int, int]:
    """Commits the changes; how many passages are there then, and how many terms."""
    import tantivy

    schema = _schema()
    index = tantivy.Index(schema, path=str(place))
    writer = index.writer(_HEAP_BYTES, 1)
    # By query: asked to delete by the term of an unsigned field, the Python binding takes a signed one and deletes nothing.
    writer.delete_documents_by_query(tantivy.Query.term_set_query(schema, "key", change.removed.tolist()))
    for key, terms in zip(change.added.tolist(), change.terms, strict=True):
        writer.add_document(_document(key, terms))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    found = searcher.aggregate(tantivy.Query.all_query(), {"terms": {"sum": {"field": "length"}}})
    return searcher.num_docs, int(found["terms"]["value"] or 0)


def _hashes(place: Path, before: Disk | None) -> dict[str, str]:
    """The sha256 of tantivy's files. What is shared with ``before`` is not read again: it never changes under its name."""
    known = {name: digest for name, digest in before.files.items() if not name.endswith(".json")} if before else {}
    files = [path for path in place.iterdir() if path.suffix != ".lock"]
    return {path.name: known.get(path.name) or file_hash(path) for path in sorted(files)}


def _check_files(place: Path, hashes: Mapping[str, str]) -> None:
    """Raises :class:`WordFilesError` for a changed file, and :class:`OSError` for one that cannot be read."""
    for name, expected in hashes.items():
        if file_hash(place / name) != expected:
            raise WordFilesError(f"{name} is damaged")


def _schema() -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_unsigned_field("length", fast=True)
    builder.add_text_field("terms", tokenizer_name="whitespace", index_option="freq")  # context and text
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="position")  # for phrases
    builder.add_text_field("each", tokenizer_name="raw", index_option="basic")  # for counting, see Disk.counted
    return builder.build()


def _document(key: int, terms: Codes) -> tantivy.Document:
    import tantivy

    document = tantivy.Document()
    document.add_unsigned("key", key)
    document.add_unsigned("length", len(terms) - 1)  # the divider is none
    document.add_text("terms", _words(terms[terms != DIVIDER]))
    document.add_text("text", _words(own_terms(terms)))
    document.add_text("each", _EACH)
    return document


def own_terms(terms: Codes) -> Codes:
    """The terms of the passage's own text, which stand behind the divider."""
    return terms[int(np.argmax(terms == DIVIDER)) + 1 :] if len(terms) else terms


def _any_of(schema: tantivy.Schema, weights: Mapping[int, float]) -> tantivy.Query:
    import tantivy

    queries = ((tantivy.Query.term_query(schema, "terms", _word(code), "freq"), weights[code]) for code in sorted(weights))
    return tantivy.Query.boolean_query(
        [(tantivy.Occur.Should, tantivy.Query.boost_query(query, weight)) for query, weight in queries]
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


def _word(code: int) -> str:
    return f"{code:08x}"


def _words(codes: Codes) -> str:
    """Each code as :func:`_word` writes it, one space between."""
    return codes.astype(">u4").tobytes().hex(" ", 4)
