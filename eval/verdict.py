"""Verdict: whether the service knows when nothing answers, and whether its scores are the probabilities they claim to be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, interval, model_of, show

if TYPE_CHECKING:
    from eval.credit import Credit
    from eval.sets import JudgedSet, Question
    from indexer import Collection

SEED = 20_261_124  # of the articles that are removed
DEPTH = 10  # results whose scores are held against what came true
BINS = 10
FAR_QUESTIONS = 1000  # of each set that is asked of another's collection
ANSWERABLE, REMOVED, FAR, OTHERS = "answerable", "removed", "far", "other sets"


class Outcome(NamedTuple):
    """What a question got: its verdict, the best score (0 without a result), and (score, relevant) of its first results."""

    verdict: str
    best: float
    first: tuple[tuple[float, bool], ...]


def command(
    folder: Folder,
    far: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="A set whose questions are far from this collection. Repeatable.")
    ] = None,
    as_json: AsJson = False,
    index_folder: IndexFolder = None,
    model: Model = None,
    corpus: Corpora = None,
) -> None:
    """Measure AUROC, the errors of the verdict by band, and the calibration of the scores.

    A set without unanswerable questions of its own loses half of its articles: the index must not be shared with retrieval.
    """
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        bands = _own_bands(judged)
        removed = frozenset() if len(bands) > 1 else _removed(judged)
        if removed:
            bands = _split(judged, removed)
        elsewhere = OTHERS if FAR in bands else FAR  # a thousand of them would drown a set's own
        for other in far or []:
            bands.setdefault(elsewhere, []).extend(_sample(read_set(other).questions))
        with opened(judged, index_folder, model_of(model), corpus or [], removed) as (collection, _, told):
            record = measure(collection, judged, bands, told)
    show(record, as_json, lambda: _rows(record))


def measure(
    collection: Collection, judged: JudgedSet, bands: Mapping[str, Sequence[Question]], told: Told = lambda *_: None
) -> dict[str, Any]:
    """Ask the questions of every band; "answerable" is one of them. Raises :class:`indexer.PassagesError`."""
    from eval.credit import credit_of

    credit, relevant = credit_of(judged), judged.relevant
    outcomes: dict[str, list[Outcome]] = {band: [] for band in bands}
    total = sum(map(len, bands.values()))
    for band, questions in bands.items():
        for question in questions:
            units = relevant.get(question.id, frozenset()) if band == ANSWERABLE else frozenset()
            outcomes[band].append(_ask(collection, question.text, credit, units))
            told("asking", sum(map(len, outcomes.values())), total)
    with collection.view() as view:
        passages = view.snapshot.counts().passages
    return {
        "what": "verdict",
        "set": judged.name,
        "passages": passages,
        "bands": {band: _band(some, band == ANSWERABLE) for band, some in outcomes.items()},
        "auroc": _areas(outcomes),
        "calibration": _calibration([pair for one in outcomes[ANSWERABLE] for pair in one.first]),
    }


def _ask(collection: Collection, question: str, credit: Credit, relevant: frozenset[str]) -> Outcome:
    from eval.credit import places
    from indexer import Query, search

    answer = search(collection, Query(question, limit=DEPTH))
    first = tuple((one.score, any(unit in relevant for hit in places(one) for unit in credit(hit))) for one in answer.results)
    return Outcome(answer.verdict, first[0][0] if first else 0.0, first)


def _areas(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """How well the best score tells answerable questions from those of each other band, and from "all" of them."""
    from eval.rates import auroc

    best = {band: [one.best for one in some] for band, some in outcomes.items()}
    answerable = best.pop(ANSWERABLE)
    best |= {"all": [score for some in best.values() for score in some]} if best else {}
    return {band: auroc(answerable, some)._asdict() for band, some in best.items()}


def _band(outcomes: Sequence[Outcome], answerable: bool) -> dict[str, Any]:
    """Shares of each verdict; of the wrong one, "nothing" or "answered"; and of that or "weak"."""
    from eval.rates import share

    counts, total = Counter(one.verdict for one in outcomes), len(outcomes)
    verdicts = ("answered", "weak", "nothing", "uncalibrated")
    shares = {one: share(counts[one], total)._asdict() for one in verdicts if counts[one] or one != "uncalibrated"}
    name, wrong = ("false_reject", counts["nothing"]) if answerable else ("false_accept", counts["answered"])
    errors = {name: share(wrong, total)._asdict(), f"{name}_or_weak": share(wrong + counts["weak"], total)._asdict()}
    return {"questions": total, "verdicts": shares, "errors": errors}


def _calibration(pairs: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """The expected calibration error, and for bins of equal counts the mean score against the share that was relevant."""
    import numpy as np

    from eval.fitting import calibration_error

    scores, labels = np.array([score for score, _ in pairs]), np.array([label for _, label in pairs])
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return {
        "results": len(pairs),
        "error": round(calibration_error(scores, labels, BINS), 4),
        "bins": [[round(float(scores[part].mean()), 4), round(float(labels[part].mean()), 4)] for part in bins],
    }


def _own_bands(judged: JudgedSet) -> dict[str, list[Question]]:
    """The set's questions by whether it says that they have an answer; those without by their kind."""
    answerable = {one.id for one in judged.answerable}
    bands: dict[str, list[Question]] = {ANSWERABLE: list(judged.answerable)}
    for question in judged.questions:
        if question.id not in answerable and question.kind is not None:
            bands.setdefault(question.kind, []).append(question)
    return bands


def _removed(judged: JudgedSet) -> frozenset[str]:
    """Documents of half of the set's articles: those with the same title, or the same id up to its last hyphen."""
    from eval.lines import json_lines

    articles: dict[str, set[str]] = {}
    for _, record in json_lines(judged.folder / "corpus.jsonl"):
        name = str(record.get("_id", record.get("id")))
        articles.setdefault(str(record.get("title") or name.rpartition("-")[0]), set()).add(name)
    names = sorted(articles)
    drawn = random.Random(SEED).sample(names, len(names) // 2)  # noqa: S311
    return frozenset(document for name in drawn for document in articles[name])


def _split(judged: JudgedSet, removed: frozenset[str]) -> dict[str, list[Question]]:
    """Answerable questions, and those whose every answer was removed; one answer that is left makes a question answerable."""
    bands: dict[str, list[Question]] = {ANSWERABLE: [], REMOVED: []}
    relevant = judged.relevant
    for question in judged.answerable:
        gone = judged.documents_of(relevant[question.id]) <= removed
        bands[REMOVED if gone else ANSWERABLE].append(question)
    return bands


def _sample(questions: Sequence[Question]) -> list[Question]:
    if len(questions) <= FAR_QUESTIONS:
        return list(questions)
    return random.Random(SEED).sample(questions, FAR_QUESTIONS)  # noqa: S311


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = [("band", "questions", "what", "value", "95 % interval")]
    for band, one in record["bands"].items():
        count = str(one["questions"])
        if band in record["auroc"]:
            rows.append((band, count, "AUROC", *interval(record["auroc"][band])))
        rows += [(band, count, verdict, *interval(share)) for verdict, share in one["verdicts"].items()]
        rows += [(band, count, error.replace("_", " "), *interval(share)) for error, share in one["errors"].items()]
    if "all" in record["auroc"]:
        rows.append(("all but answerable", "", "AUROC", *interval(record["auroc"]["all"])))
    return [
        *rows,
        ("scores", str(record["calibration"]["results"]), "calibration error", f"{record['calibration']['error']:.3f}", ""),
    ]
