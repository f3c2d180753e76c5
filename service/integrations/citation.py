"""What every framework's document says of the passage that it holds, by the same names."""

from __future__ import annotations

from typing import Any

from service.client import Answer, Result

# What tells places apart, and is of no use in a prompt.
PLACE = ("passage_id", "document_id", "start", "end", "verdict", "score")


def citation(answer: Answer, result: Result) -> dict[str, Any]:
    """Where the passage stands, the sentence that carries the answer, and the verdict on the whole answer. The document's own
    fields come with it, but for those whose names are taken."""
    document = result.document
    own = {
        "passage_id": result.id,
        "document_id": document.id,
        "title": document.title,
        "uri": document.uri,
        "date": document.date,
        "heading": result.heading,
        "page": result.page,
        "start": result.start,
        "end": result.end,
        "evidence": result.evidence.text if result.evidence else None,
        "score": result.score,
        "verdict": answer.verdict,
    }
    return {**document.metadata, **own}


def kept(answer: Answer, drop_unanswered: bool) -> tuple[Result, ...]:
    """The results, or none if nothing answers and that is to be so."""
    return () if drop_unanswered and answer.verdict == "nothing" else answer.results
