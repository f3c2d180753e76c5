"""Why a passage was found, or was not: where it stood in each list, what each signal gave, and which step dropped it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from indexer.candidates import FIRST_BLOCK, Ranks, Scored
from indexer.engines.contract import Engine
from indexer.records import Keys, StoredPassage
from indexer.search import Hit, MatchedTerm, Query, Session, holds, matched_terms, opened

Step = Literal["returned", "rank", "min_score", "duplicate", "document", "filter", "phrase", "candidates"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one passage. ``rank``, from 1, is its place among the distinct texts that were ranked, None if it is not
    there; ``ranks`` its place in the whole of each list of candidates, however far down, but over a server in the first
    :attr:`View.places` of each (None: it is further down, or shares no word); ``step`` and ``reason`` say where it was dropped,
    or that it was not."""

    passage: StoredPassage
    step: Step
    reason: str
    rank: int | None
    ranks: Ranks
    score: float
    signals: Mapping[str, float]
    weights: Mapping[str, float]
    terms: tuple[MatchedTerm, ...]


class _Verdict(NamedTuple):
    step: Step
    reason: str
    rank: int | None = None


def explain(collection: Engine, query: Query, passage_id: str) -> Explanation | None:
    """What became of a passage under this query; None if there is no such passage. Raises what :func:`search` raises."""
    with opened(collection, query) as session:
        passage = session.view.snapshot.passage(passage_id)
        rows = session.ranker.scored([passage.key]) if passage else []
        if passage is None or not rows:
            return None
        row = rows[0]
        ranks = _ranks(session, row)
        what = _dropped_before(session, passage) or _ranked(session, row, ranks)
        return Explanation(
            passage, what.step, what.reason, what.rank, ranks, row.score, row.signals,
            dict(session.ranker.weights), matched_terms(session.question, row),
        )  # fmt: skip


def similar(collection: Engine, passage_id: str, limit: int) -> list[tuple[StoredPassage, float]] | None:
    """Passages that mean nearly the same as this one, with the cosine of their vectors, best first; its copies are left out.
    None if there is no such passage."""
    with collection.view() as view:
        passage = view.snapshot.passage(passage_id)
        if passage is None:
            return None
        vector = view.snapshot.vector(passage.key).astype(np.float32)
        count = limit + 1
        while True:
            near = view.nearest(vector, count)
            found = view.snapshot.found(near.keys.tolist())
            others = _distinct(passage, [found[key] for key in near.keys.tolist()], near.cosines.tolist())
            if len(others) >= limit or len(near.keys) < count:
                return others[:limit]
            count *= 2


def _distinct(
    passage: StoredPassage, near: Sequence[StoredPassage], cosines: Sequence[float]
) -> list[tuple[StoredPassage, float]]:
    seen, kept = {passage.text}, []
    for one, cosine in zip(near, cosines, strict=True):
        if one.text not in seen:
            seen.add(one.text)
            kept.append((one, round(min(cosine, 1.0), 6)))
    return kept


def _dropped_before(session: Session, passage: StoredPassage) -> _Verdict | None:
    """What keeps the passage from being ranked at all."""
    asked = session.question.asked
    if not holds(asked, passage.text):
        return _Verdict("phrase", "it lacks a quoted phrase, or has an excluded word")
    if not session.view.within([passage.key]):
        return _Verdict("filter", "its document does not meet the filter or the dates")
    return None


def _ranked(session: Session, row: Scored, ranks: Ranks) -> _Verdict:
    query = session.query
    _, everything = session._replace(query=replace(query, min_score=0.0)).hits(query.offset + query.limit)
    for rank, hit in enumerate(everything, 1):
        if hit.scored.candidate.content == row.candidate.content:
            return _placed(session, hit, rank, row)
    return _unplaced(session, ranks)


def _placed(session: Session, hit: Hit, rank: int, row: Scored) -> _Verdict:
    """Its text is among those ranked down to the page's end."""
    query, (shown,) = session.query, session.results([hit])
    if shown.passage.key != row.candidate.key:
        return _Verdict("duplicate", f"its text is the same as that of {shown.passage.id}, whose also_in names it", rank)
    if hit.scored.score < query.min_score:
        return _Verdict("min_score", f"its score is below min_score, {query.min_score}", rank)
    if rank <= query.offset:
        return _Verdict("rank", f"it is on an earlier page, in place {rank}", rank)
    return _Verdict("returned", f"it is returned, in place {rank}", rank)


def _unplaced(session: Session, ranks: Ranks) -> _Verdict:
    """It is further down than was asked for: beyond the page, or beyond the candidates that the page was chosen from."""
    among = [rank for rank in (ranks.vector, ranks.words) if rank is not None and rank <= FIRST_BLOCK]
    last = session.query.offset + session.query.limit
    if session.query.group:
        return _Verdict("document", f"another passage of its document is better, or it is beyond place {last}")
    if among:
        why = "by its score, or because its vector and words promise less"
        return _Verdict("rank", f"it is ranked beyond place {last}, {why}: ask for more with limit or offset")
    return _Verdict("candidates", f"neither its vector nor its words are among the best {FIRST_BLOCK} of their list")


def _ranks(session: Session, row: Scored) -> Ranks:
    """The place of a passage in each list, among those that filter and phrases leave."""
    view, question, key = session.view, session.question, row.candidate.key
    near = view.nearest(question.tokens.pooled, view.places)
    return Ranks(_place(near.keys, key), _place(view.matching(question.groups, question.rarity, view.places), key))


def _place(keys: Keys, key: int) -> int | None:
    found = np.flatnonzero(keys == key)
    return int(found[0]) + 1 if len(found) else None
