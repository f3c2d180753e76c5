"""Calibrate: the few constants that turn a model's signals into a score and a verdict, fitted on judged sets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.errors import EvalError
from eval.shell import AsJson, Model, errors, model_of

if TYPE_CHECKING:
    import numpy as np

    from eval.fitting import Floats, Judged, Pool
    from eval.sets import JudgedSet, Question
    from indexer import Answer, Collection

QUESTIONS = 400  # of a set, drawn with a fixed seed: more move no constant
REMOVED = 150  # of these are asked a second time, with what answers them left out of the search
SEED = 20_261_124
# The verdict's bounds, as shares of questions: answerable ones that any set may have called "nothing", and ones whose answer
# was taken out of the collection, the hardest to tell, that are called "answered" on average. That one is large because a
# passage beside the answer often is one too, and because "weak" for every second good answer would help nobody.
FALSE_REJECTS = 0.05
FALSE_ACCEPTS = 0.2
# What one question's results share: it ranks nothing, so it has no part in the first step of the fit.
SHARED = ("unread",)


class Asked(NamedTuple):
    """A set's questions with their results, and those that were asked again without their answers. Sets with the same
    ``questions`` (ids) are translations of each other."""

    name: str
    questions: frozenset[str]
    answerable: Pool
    removed: Pool


class Fit(NamedTuple):
    """Constants by name; ``errors`` is each set's calibration error under a fit on the other sets."""

    constants: dict[str, float]
    errors: dict[str, float]


def command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Judged sets in BEIR layout.")],
    index_folder: Annotated[Path, typer.Option("--index", metavar="FOLDER", help="Where the sets' indexes are kept.")],
    as_json: AsJson = False,
    model: Model = None,
    apply: Annotated[
        Path | None, typer.Option(metavar="INDEX", help="Store the constants in this index, which was made with the model.")
    ] = None,
) -> None:
    """Fit a model's constants on judged sets, and tell how far its probabilities are off on sets left out of the fit."""
    from indexer import Collection

    with errors():
        asked = [_asked(folder, index_folder, model_of(model)) for folder in folders]
        found = fit(asked)
        if apply:
            with Collection(apply, model_of(model)) as collection:
                collection.calibrate(found.constants)
    typer.echo(json.dumps({"what": "calibrate", **found._asdict()}, indent=None if as_json else 2))


def fit(asked: Sequence[Asked]) -> Fit:
    """The constants, and the calibration error of each set left out of a fit on the others."""
    names = _signal_names(asked)
    errors = {}
    for left_out in asked if len(asked) > 1 else ():
        weights, bias = _weights([one for one in asked if one is not left_out], names)
        errors[left_out.name] = round(_error(left_out.answerable, weights, bias), 4)
    weights, bias = _weights(asked, names)
    constants = dict(zip(names, weights.tolist(), strict=True)) | {"bias": bias} | _bounds(asked, weights, bias)
    return Fit({name: round(float(value), 4) for name, value in constants.items()}, errors)


def _asked(folder: Path, indexes: Path, model: str) -> Asked:
    from eval.indexes import opened
    from eval.sets import read_set

    judged = read_set(folder)
    with opened(judged, indexes / judged.name, model) as (collection, _, told):
        questions = list(judged.answerable)
        if len(questions) > QUESTIONS:
            questions = random.Random(SEED).sample(questions, QUESTIONS)  # noqa: S311
        answerable = []
        for question in questions:
            answerable.append(_judged(collection, judged, question))
            told("asking", len(answerable), len(questions))
        removed = [_without_answers(collection, judged, question) for question in questions[:REMOVED]]
    return Asked(judged.name, frozenset(one.id for one in judged.questions), answerable, removed)


def _judged(collection: Collection, judged: JudgedSet, question: Question) -> Judged:
    """The question's first results, and which of them are relevant: a text is, if it is in one of its places."""
    import numpy as np

    from eval.credit import credit_of, places
    from eval.fitting import Judged

    answer, credit, relevant = _ask(collection, question.text), credit_of(judged), judged.relevant[question.id]
    labels = [any(unit in relevant for hit in places(one) for unit in credit(hit)) for one in answer.results]
    return Judged(_signals(answer), np.array(labels, dtype=bool))


def _without_answers(collection: Collection, judged: JudgedSet, question: Question) -> Judged:
    """The question's results when the documents that answer it are left out: none of them is relevant."""
    import numpy as np

    from eval.fitting import Judged

    documents = judged.documents_of(judged.relevant[question.id])
    answer = _ask(collection, question.text, {"id": {"not": sorted(documents)}})
    return Judged(_signals(answer), np.zeros(len(answer.results), dtype=bool))


def _ask(collection: Collection, question: str, where: dict[str, Any] | None = None) -> Answer:
    from indexer import Query, search

    return search(collection, Query(question, limit=100, filter=where or {}, explain=True))


def _signals(answer: Answer) -> Floats:
    """Of each result, float64 [n, k]; n is 0 where a quoted phrase occurs nowhere."""
    import numpy as np

    from indexer import SIGNALS

    rows = [list((one.signals or {}).values()) for one in answer.results]
    return np.array(rows, np.float64).reshape(len(rows), len(SIGNALS))


def _weights(asked: Sequence[Asked], names: Sequence[str]) -> tuple[Floats, float]:
    """What ranks best over the sets, of which translations count as one; then its scale, for which each is a set."""
    from eval.fitting import direction, scale

    groups: dict[frozenset[str], list[Judged]] = {}
    for one in asked:
        groups.setdefault(one.questions, []).extend(one.answerable)
    ranking = direction(list(groups.values()))
    return scale([one.answerable for one in asked], ranking, [names.index(name) for name in SHARED])


def _error(pool: Pool, weights: Floats, bias: float) -> float:
    import numpy as np

    from eval.fitting import DEPTH, calibration_error, ranked

    firsts = [ranked(one, weights) for one in pool]
    chances = np.concatenate([_chance(one.signals[:DEPTH] @ weights + bias) for one in firsts])
    return calibration_error(chances, np.concatenate([one.relevant[:DEPTH] for one in firsts]))


def _bounds(asked: Sequence[Asked], weights: Floats, bias: float) -> dict[str, float]:
    """The verdict's bounds on the best score: quantiles over questions, see above."""
    import numpy as np

    def best(pool: Pool) -> Floats:
        return np.array([_chance(float((one.signals @ weights).max()) + bias) for one in pool if len(one.relevant)])

    nothing = np.min([np.quantile(best(one.answerable), FALSE_REJECTS) for one in asked])
    answered = np.mean([np.quantile(best(one.removed), 1 - FALSE_ACCEPTS) for one in asked])
    return {"nothing": float(min(nothing, answered)), "answered": float(answered)}


def _chance(logits: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-logits)))


def _signal_names(asked: Sequence[Asked]) -> list[str]:
    from indexer import SIGNALS

    width = {one.signals.shape[1] for some in asked for one in some.answerable if len(one.relevant)}
    if width != {len(SIGNALS)}:
        raise EvalError("a set has no results to fit on; index it first, or leave it out")
    return list(SIGNALS)
