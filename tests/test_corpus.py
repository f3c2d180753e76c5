"""Files as people have them give the paragraphs that a reader would say they hold, and these are found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer.documents import Document, Unreadable, read_documents, sidecar
from indexer.passages import split
from indexer.search import page_of
from tests import corpus
from tests.corpus import Piece, mails, pdfs, web

PIECES: list[Piece] = [*web.PIECES, *mails.PIECES, *pdfs.PIECES]


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
    assert corpus.__doc__
