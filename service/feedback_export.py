"""Judged questions as files: a judged set in the layout that ``python -m eval`` measures on, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from indexer.engines.contract import Reader
from indexer.errors import PassagesError
from indexer.judged import Place, places_of
from indexer.judgements import Judgement, JudgementsError, asked, from_record

LOSSLESS = "judgements.jsonl"  # what the layout has no place for is in it: filters, when, passages that are gone
_PAGE = 1000  # ids of documents that are read at once


class Written(NamedTuple):
    """``gone`` are judged passages that stand in the index no more."""

    questions: int
    passages: int
    gone: int


def write_set(snapshot: Reader, judgements: Sequence[Judgement], folder: Path) -> Written:
    """The judged questions over one commit, and its documents: corpus.jsonl, queries.jsonl, paragraphs.jsonl, answers.jsonl and
    qrels.tsv, as docs/evaluation.md has them; and all that was said, in judgements.jsonl. Raises :class:`JudgementsError`."""
    places = {one.id: places_of(snapshot, one.passage) for one in judgements if one.passage}
    standing = [(one, places[one.id][0]) for one in judgements if places.get(one.id)]
    questions = {asked(one.question, one.filter): one for one in judgements}
    unanswered = {asked(one.question, one.filter) for one in judgements if one.verdict == "nothing"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / LOSSLESS, (one.record() for one in judgements))
        _write(folder / "corpus.jsonl", _documents(snapshot))
        _write(folder / "queries.jsonl", (_query(name, one, name in unanswered) for name, one in questions.items()))
        _write(folder / "paragraphs.jsonl", (_paragraph(*one) for one in standing))
        _write(folder / "answers.jsonl", (_answer(*one) for one in standing if one[0].verdict == "answers" and one[1].evidence))
        rows = [f"{asked(one.question, one.filter)}\t{one.id}\t{int(one.verdict == 'answers')}" for one, _ in standing]
        (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows, ""]), encoding="utf-8")
    except OSError as error:
        raise JudgementsError(f"{folder} cannot be written: {error.strerror}; make room, or name another folder") from error
    return Written(len(questions), len(standing), len(places) - len(standing))


def read_judgements(file: Path) -> list[Judgement]:
    """What export wrote into a folder or a file of JSON lines, or the JSON of ``GET /v1/feedback``. Raises
    :class:`JudgementsError`, with nothing read of it."""
    file = file / LOSSLESS if file.is_dir() else file
    try:
        return [_checked(record) for record in _records(file.read_text(encoding="utf-8"))]
    except OSError as error:
        raise JudgementsError(f"{file} cannot be read: {error.strerror}; name a file that export wrote") from error
    except (ValueError, RecursionError, PassagesError) as error:
        raise JudgementsError(f"{file} is not what passages feedback export writes ({error}); nothing was added") from error


def _checked(record: Any) -> Judgement:
    """Raises for what could be kept and never be sent: half of a surrogate pair, NaN."""
    judgement = from_record(record)
    json.dumps(judgement.record(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    return judgement


def _records(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return list(whole["judgements"]) if isinstance(whole, dict) and "judgements" in whole else [whole]


def _write(file: Path, records: Iterator[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(one) + "\n" for one in records)


def _documents(snapshot: Reader) -> Iterator[dict[str, Any]]:
    after = ""
    while ids := snapshot.document_ids(after, _PAGE):
        for one in filter(None, map(snapshot.document, ids)):
            yield {**one.metadata, "_id": one.id, "title": one.title, "text": one.text, "date": one.date}
        after = ids[-1]


def _query(name: str, one: Judgement, is_unanswered: bool) -> dict[str, Any]:
    return {"_id": name, "text": one.question, "filter": one.filter} | ({"kind": "nothing"} if is_unanswered else {})


def _paragraph(one: Judgement, place: Place) -> dict[str, Any]:
    return {"id": one.id, "document": place.document, "start": place.start, "end": place.end}


def _answer(one: Judgement, place: Place) -> dict[str, Any]:
    """The sentence that was marked, in characters of the paragraph."""
    start, end = place.evidence or (place.start, place.end)
    name = asked(one.question, one.filter)
    return {"query-id": name, "paragraph-id": one.id, "start": start - place.start, "end": end - place.start}
