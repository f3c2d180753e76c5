"""What an index makes of a collection's own questions: outcomes by question, and their measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eval.indexes import Told

if TYPE_CHECKING:  # these are loaded when they are first used: --help must be instant
    from eval.measures import Estimate
    from eval.questions import OwnQuestion, Standing
    from indexer import Collection, Result

DEPTH = 10
REACH = 100  # results that are looked at for the rank of what answers
SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question got. ``ndcg`` and ``rank`` (of the first passage that answers, from 1; None: not among the first 100)
    are of a question that something answers, ``marked`` of one whose answering passage is among the first ten and whose
    sentence is known. ``gone``: what answered it is not in this index. ``unjudged``: nobody said anything of the first result.
    ``refused``: why this index cannot be asked that."""

    question: OwnQuestion
    verdict: str = ""
    ndcg: float = 0.0
    rank: int | None = None
    marked: bool | None = None
    gone: bool = False
    unjudged: bool = False
    first: Result | None = None
    took_ms: float = 0.0
    refused: str | None = None

    @property
    def answerable(self) -> bool:
        """Whether something answers it, by who judged."""
        return bool(self.question.answers)

    @property
    def wrong_verdict(self) -> bool:
        """Whether the verdict is the opposite of the truth; "weak" never is."""
        return self.verdict == ("nothing" if self.answerable else "answered") and not self.gone

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        found = self.first and {
            "document": self.first.passage.document.id, "start": self.first.passage.start, "end": self.first.passage.end,
            "score": self.first.score, "text": self.first.passage.text[:SHOWN_CHARS],
        }  # fmt: skip
        return {
            "question": self.question.text, "filter": dict(self.question.filter), "answerable": self.answerable,
            "verdict": self.verdict, "nDCG@10": round(self.ndcg, 4) if self.answerable else None, "rank": self.rank,
            "evidence": self.marked, "gone": self.gone, "unjudged": self.unjudged, "refused": self.refused,
            "wanted": [{"document": one.source, "text": one.shown[:SHOWN_CHARS]} for one in self.question.answers],
            "first": found, "took_ms": round(self.took_ms, 2),
        }  # fmt: skip


def ask(collection: Collection, questions: Sequence[OwnQuestion], told: Told = lambda *_: None) -> list[Outcome]:
    """Ask every question, one at a time. Raises :class:`indexer.PassagesError`, but not for a question that this index's model
    cannot read."""
    _ = collection.encoder  # what is wrong with the model is wrong for all of them
    outcomes = []
    for number, question in enumerate(questions, 1):
        outcomes.append(_ask(collection, question))
        told(f"asking {collection.folder.name}", number, len(questions))
    return outcomes


def _ask(collection: Collection, question: OwnQuestion) -> Outcome:
    from eval.questions import standing
    from indexer import PassagesError, Query, encoded, search

    query = Query(question.text, limit=REACH, filter=question.filter)
    try:
        encoding = encoded(collection, query)
    except PassagesError as error:
        return Outcome(question, refused=str(error))
    answer = search(collection, query, encoding)
    answers = [standing(collection, one) for one in question.answers]
    rejected = [standing(collection, one) for one in question.rejected]
    found = _found(answer.results, answers)
    first = answer.results[0] if answer.results else None
    return Outcome(
        question, answer.verdict, _ndcg(found, len(answers)), found.index(True) + 1 if True in found else None,
        _marked(answer.results[:DEPTH], answers), bool(answers) and not any(one.is_there for one in answers),
        first is not None and not any(one.is_in(first) for one in [*answers, *rejected]), first, answer.took_ms,
    )  # fmt: skip


def measures(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, Estimate | None]]:
    """Each measure with the number of questions that it is over; None where this model's verdicts claim nothing."""
    from eval.rates import share

    answerable = [one for one in outcomes if one.answerable]
    marked = [one.marked for one in answerable if one.marked is not None]
    sums: dict[str, tuple[float, int]] = {
        "success@1": (sum(one.rank == 1 for one in answerable), len(answerable)),
        "nDCG@10": (sum(one.ndcg for one in answerable), len(answerable)),
        "evidence": (sum(marked), len(marked)),
    }
    found: dict[str, tuple[int, Estimate | None]] = {name: (of, share(count, of)) for name, (count, of) in sums.items()}
    bands = {"false_reject": [one for one in answerable if not one.gone]}
    bands["false_accept"] = [one for one in outcomes if not one.answerable]
    for name, band in bands.items():
        claims = all(one.verdict != "uncalibrated" for one in band)
        found[name] = len(band), share(sum(one.wrong_verdict for one in band), len(band)) if claims else None
    return found


def _found(results: Sequence[Result], answers: Sequence[Standing]) -> list[bool]:
    """Whether each rank is something that answers. As in :mod:`eval.credit`: each of these is credited at its first passage,
    and further passages of it take no rank."""
    ranks: list[bool] = []
    credited: set[int] = set()
    for result in results:
        here = {number for number, one in enumerate(answers) if one.is_in(result)}
        ranks += [True] * len(here - credited) if here else [False]
        credited |= here
    return ranks


def _ndcg(found: Sequence[bool], relevant: int) -> float:
    from eval.measures import ndcg

    return ndcg(found, relevant, DEPTH) if relevant else 0.0


def _marked(results: Sequence[Result], answers: Sequence[Standing]) -> bool | None:
    """Whether the highest passage that answers has the right sentence marked."""
    for result in results:
        known = [marked for one in answers if one.is_in(result) and (marked := one.is_marked(result)) is not None]
        if known:
            return any(known)
    return None
