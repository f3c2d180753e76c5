"""Where a judged set's answers stand: spans of documents' texts, for each question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import EvalError
from eval.lines import Line, json_lines, text_of
from eval.sets import JudgedSet, Paragraph


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
    lines = list(json_lines(path))
    wanted = {str(record["corpus_id"]) for _, record in lines if "corpus_id" in record and not record.get("spans")}
    texts = _texts(files, wanted) if wanted else {}
    paragraphs = {one.id: one for some in (judged.paragraphs or {}).values() for one in some}
    found: dict[str, list[Span]] = {}
    for line, record in lines:
        spans = _of_paragraph(line, record, paragraphs) if "paragraph-id" in record else _of_document(line, record, texts)
        found.setdefault(text_of(line, record, "_id", "query-id"), []).extend(spans)
    return found


def _of_paragraph(line: Line, record: Mapping[str, Any], paragraphs: Mapping[str, Paragraph]) -> Iterator[Span]:
    paragraph = paragraphs.get(record["paragraph-id"])
    if paragraph is None:
        raise line.error(f"names the paragraph {record['paragraph-id']}, which the paragraphs file lacks; mend or remove it")
    start, end = _bounds(line, (record.get("start"), record.get("end")))
    yield Span(paragraph.document, paragraph.start + start, paragraph.start + end)


def _of_document(line: Line, record: dict[str, Any], texts: Mapping[str, str]) -> Iterator[Span]:
    document = text_of(line, record, "corpus_id")
    if spans := record.get("spans"):
        yield from (Span(document, *_bounds(line, span)) for span in spans)
        return
    text = texts.get(document, "")
    for answer in filter(None, (answer.strip() for answer in record.get("answers", ()))):
        at = text.find(answer)
        while at >= 0:
            yield Span(document, at, at + len(answer))
            at = text.find(answer, at + 1)


def _bounds(line: Line, span: Sequence[Any]) -> tuple[int, int]:
    match span:
        case [int(start), int(end)] if 0 <= start < end:
            return start, end
    raise line.error("has a span that is not two characters' places with 0 <= start < end; mend or remove it")


def _texts(files: Sequence[Path], wanted: set[str]) -> dict[str, str]:
    return {
        name: record["text"]
        for file in files
        for _, record in json_lines(file)
        if (name := str(record.get("_id", record.get("id")))) in wanted
    }
