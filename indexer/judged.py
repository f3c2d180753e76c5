"""A judged passage: as a question shows it, and where it stands now.

Its id changes with its text, and its borders with the splitter, so it is found again by its document and its words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from indexer.engines.contract import Engine, Reader
from indexer.hashes import text_hash
from indexer.judgements import JudgedPassage
from indexer.records import StoredPassage
from indexer.search import Hit, Query, opened
from indexer.sentences import Span

_WORD = re.compile(r"\w+")
# Of the words of both, how many are shared (Dice 1945): under half, an edited paragraph is another one.
_ALIKE = 0.5


class Place(NamedTuple):
    """Characters ``start`` to ``end`` of a document's text; ``evidence`` is where the sentence that was marked stands, None if
    it is not there word for word."""

    document: str
    start: int
    end: int
    evidence: Span | None


def judged(collection: Engine, query: Query, passage_id: str) -> JudgedPassage | None:
    """The passage with the sentence that is marked in it for the query; None if there is none of this id. Raises what
    :func:`indexer.search` raises."""
    with opened(collection, query) as session:
        passage = session.view.snapshot.passage(passage_id)
        rows = session.ranker.scored([passage.key]) if passage else []
        if passage is None or not rows:
            return None
        (shown,) = session.results([Hit(rows[0])])
        moved = passage.start - shown.passage.start  # a copy may stand for it
        marked = shown.evidence and Span(shown.evidence.start + moved, shown.evidence.end + moved)
        document = passage.document
        return JudgedPassage(passage.id, document.id, document.title or "", passage.start, passage.end, passage.text, marked)


def places_of(snapshot: Reader, passage: JudgedPassage) -> list[Place]:
    """Where it stands in this commit: in its document word for word, or the paragraph there that is most like it; else
    wherever its text is a passage of another document. None where it is gone."""
    document = snapshot.document(passage.document)
    if document is not None:
        span = _nearest(document.text, passage.text, passage.start) or _edited(snapshot.passages_of(document.id), passage)
        if span is not None:
            return [Place(document.id, *span, _marked(document.text, span, passage))]
    found = snapshot.passages_with(text_hash(passage.text))
    return [Place(one.document.id, one.start, one.end, _shifted(passage, one.start)) for one in found]


def _nearest(text: str, wanted: str, near: int) -> Span | None:
    """The occurrence of ``wanted`` that begins nearest to ``near``."""
    starts = [match.start() for match in re.finditer(re.escape(wanted), text)]
    if not starts:
        return None
    best = min(starts, key=lambda start: abs(start - near))
    return Span(best, best + len(wanted))


def _edited(passages: Sequence[StoredPassage], passage: JudgedPassage) -> Span | None:
    """The passage of the document that has most of its words, or the sentence that was marked in it."""
    words = _words(passage.text)
    best = max(passages, key=lambda one: (_likeness(words, _words(one.text)), -one.start), default=None)
    if best is not None and _likeness(words, _words(best.text)) >= _ALIKE:
        return Span(best.start, best.end)
    marked = passage.evidence_text
    return _nearest(passages[0].document.text, marked, passage.start) if passages and marked else None


def _marked(text: str, span: Span, passage: JudgedPassage) -> Span | None:
    """The marked sentence, if it stands in the span."""
    if passage.evidence is None or passage.evidence_text is None:
        return None
    within = _nearest(text[span.start : span.end], passage.evidence_text, passage.evidence.start - passage.start)
    return within and Span(within.start + span.start, within.end + span.start)


def _shifted(passage: JudgedPassage, start: int) -> Span | None:
    by = start - passage.start
    return passage.evidence and Span(passage.evidence.start + by, passage.evidence.end + by)


def _likeness(some: Counter[str], others: Counter[str]) -> float:
    total = some.total() + others.total()
    return 2 * (some & others).total() / total if total else 0.0


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))
