"""Where a judged set's answers stand: spans of documents' texts, for each question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eval.errors import EvalError
from eval.lines import json_lines
from eval.sets import JudgedSet


class Span(NamedTuple):
    """Characters ``start`` to ``end`` of a document's text."""

    document: str
    start: int
    end: int


def read_answers(judged: JudgedSet, files: Sequence[Path]) -> Mapping[str, Sequence[Span]]:
    """Every place of each question's answers. ``files`` are the set's corpora, for answers that are given as text alone.

    Lines of ``answers.jsonl`` are ``{"_id", "corpus_id", "spans"}``, or ``"answers"`` in place of spans, or, where paragraphs
    are judged, ``{"query-id", "paragraph-id", "start", "end"}`` in characters of the paragraph. Raises :class:`EvalError`.
    """
    path = judged.folder / "answers.jsonl"
    if not path.is_file():
        raise EvalError(f"{judged.folder} has no answers.jsonl; evidence is measured where a set says what the answers are")
    records = [record for _, record in json_lines(path)]
    wanted = {str(record["corpus_id"]) for record in records if "corpus_id" in record and not record.get("spans")}
    texts = _texts(files, wanted) if wanted else {}
    begins = {one.id: one for some in (judged.paragraphs or {}).values() for one in some}
    found: dict[str, list[Span]] = {}
    for record in records:
        if "paragraph-id" in record:
            paragraph = begins[record["paragraph-id"]]
            spans = [Span(paragraph.document, paragraph.start + record["start"], paragraph.start + record["end"])]
            found.setdefault(record["query-id"], []).extend(spans)
        else:
            found.setdefault(str(record["_id"]), []).extend(_of_document(record, texts))
    return found


def _of_document(record: Mapping[str, object], texts: Mapping[str, str]) -> Iterator[Span]:
    document = str(record["corpus_id"])
    spans, answers = record.get("spans"), record.get("answers")
    if isinstance(spans, list) and spans:
        yield from (Span(document, start, end) for start, end in spans)
    elif isinstance(answers, list):
        text = texts.get(document, "")
        for answer in filter(None, answers):
            at = text.find(answer)
            while at >= 0:
                yield Span(document, at, at + len(answer))
                at = text.find(answer, at + 1)


def _texts(files: Sequence[Path], wanted: set[str]) -> dict[str, str]:
    return {
        name: record["text"]
        for file in files
        for _, record in json_lines(file)
        if (name := str(record.get("_id", record.get("id")))) in wanted
    }
