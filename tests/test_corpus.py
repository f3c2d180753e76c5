"""Files as people have them give the paragraphs that a reader would say they hold, and these are found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexer.collection import Collection
from indexer.documents import Document, Unreadable, read_documents, sidecar
from indexer.encoder import Encoder
from indexer.formats import FORMATS, JSON_LINES
from indexer.passages import split
from indexer.search import Query, page_of, search
from indexer.sync import Sync
from indexer.synced import Summary
from tests import files
from tests.corpus import Piece, books, mails, office, pdfs, texts, web

PIECES: list[Piece] = [piece for kind in (texts, web, mails, books, office, pdfs) for piece in kind.PIECES]


def words(text: str) -> Sequence[tuple[int, int]]:
    """Stands for the model's tokenizer, which no small file's paragraph is too long for."""
    return [match.span() for match in re.finditer(r"\w+", text)]


def written(folder: Path, piece: Piece) -> Path:
    path = folder / piece.name
    path.write_bytes(piece.data)
    if piece.sidecar is not None:
        sidecar(path).write_text(json.dumps(piece.sidecar), encoding="utf-8")
    return path


def passages(document: Document) -> list[tuple[str, int]]:
    """Each passage as the corpus writes it, and where it begins."""
    found = []
    for one in split(document.text, document.headings, words, 250):
        heading = one.heading(document.text)
        assert document.text[one.start : one.end].strip()
        found.append((f"[{heading}] " * bool(heading) + document.text[one.start : one.end], one.start))
    return found


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_file_gives_the_passages_that_it_must(tmp_path: Path, piece: Piece) -> None:
    path = written(tmp_path, piece)
    documents = [one for one in read_documents(path, piece.name) if not isinstance(one, Unreadable)]
    found = [one for document in documents for one in passages(document)]
    assert [text for text, _ in found] == list(piece.passages)
    first = documents[0]
    assert (first.title, first.date, first.metadata) == (piece.title or path.stem, piece.date, piece.metadata)
    assert [one.about for document in documents for one in document.remarks] == list(piece.remarks)
    if piece.pages:
        assert [page_of(first, start) for _, start in found] == list(piece.pages)


def test_the_corpus_is_of_forty_files_and_more_of_every_format() -> None:
    assert len({piece.name for piece in PIECES}) == len(PIECES) >= 40
    read = FORMATS.keys() | JSON_LINES
    same = {".text", ".log", ".rst", ".markdown", ".xhtml", ".ndjson"}  # are read as another suffix is
    assert {Path(piece.name).suffix for piece in PIECES} == read - same


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[tuple[Collection, Summary]]:
    """The whole corpus in a folder, indexed with no further setting."""
    folder = tmp_path_factory.mktemp("corpus")
    for piece in PIECES:
        written(folder, piece)
    (folder / "scanned.pdf").write_bytes(files.pdf([[files.SCAN], [files.SCAN]]))
    with Collection(tmp_path_factory.mktemp("corpus-index"), create=True, encoder=encoder) as collection:
        yield collection, Sync(collection).run([folder])


def test_a_folder_of_mixed_formats_is_indexed_and_what_is_missing_is_said(indexed: tuple[Collection, Summary]) -> None:
    _, summary = indexed
    assert summary.added == len(PIECES) + 3  # three rows of one table, two of a file of JSON lines
    assert [(Path(one.path).name, one.record) for one in summary.failed] == [("letters.csv", "row 4"), ("scanned.pdf", "")]
    assert "no text layer" in summary.failed[1].reason
    assert "ocrmypdf" in summary.failed[1].reason
    assert [(Path(one.path).name, one.about) for one in summary.noted] == [
        (piece.name, about) for piece in sorted(PIECES, key=lambda piece: piece.name) for about in piece.remarks
    ]


@pytest.mark.parametrize("piece", [piece for piece in PIECES if piece.question], ids=lambda piece: piece.name)
def test_a_question_finds_the_paragraph_of_its_file(indexed: tuple[Collection, Summary], piece: Piece) -> None:
    collection, _ = indexed
    [best] = search(collection, Query(piece.question, limit=1)).results
    assert best.passage.document.id.partition("#")[0] in (piece.name, "r1")
    assert best.passage.text.startswith(piece.answer)
    heading = f"[{best.passage.heading}] " if best.passage.heading else ""
    number = list(piece.passages).index(heading + best.passage.text)
    assert not piece.pages or page_of(best.passage.document, best.passage.start) == piece.pages[number]


def test_questions_are_asked_of_every_kind_of_file() -> None:
    kinds = {Path(piece.name).suffix for piece in PIECES if piece.question}
    assert {
        ".txt",
        ".md",
        ".html",
        ".pdf",
        ".docx",
        ".pptx",
        ".xlsx",
        ".epub",
        ".eml",
        ".csv",
        ".jsonl",
        ".odt",
        ".rtf",
    } == kinds
