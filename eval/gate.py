"""Gate: floors that a small set must hold, in CI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from eval.errors import EvalError
from eval.indexes import opened
from eval.shell import Folder, IndexFolder, Model, errors, model_of

if TYPE_CHECKING:
    from eval.sets import JudgedSet
    from indexer import Collection

FLOORS = Path(__file__).with_name("gate.json")


def command(
    folder: Folder,
    without: Annotated[
        Literal["vector", "words", "tokens"] | None, typer.Option(help="Switch a reading off, to see that the gate fails.")
    ] = None,
    index_folder: IndexFolder = None,
    model: Model = None,
) -> None:
    """Measure a small set and fail, naming them, where floors of eval/gate.json are missed."""
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        needed = floors(judged.name)  # before the measurement: without floors there is nothing to measure for
        with opened(judged, index_folder, model_of(model)) as (collection, _, _told):
            values = measure(collection, judged, without)
        missed = short(needed, values)
    typer.echo(json.dumps({"what": "gate", "set": judged.name, "without": without, "measures": values, "missed": missed}))
    if missed:
        raise typer.Exit(1)


def floors(name: str) -> dict[str, float]:
    """The floors of a set, by measure. Raises :class:`EvalError` if it has none: a gate that nothing can fail is open."""
    found: dict[str, float] = json.loads(FLOORS.read_text(encoding="utf-8")).get(name, {})
    if not found:
        raise EvalError(f"{FLOORS} has no floors for {name}; write some there, or name another set")
    return found


def short(needed: Mapping[str, float], values: Mapping[str, float]) -> list[str]:
    """Each floor that is missed, in words. Raises :class:`EvalError`: a floor names no measure."""
    if unknown := sorted(needed.keys() - values.keys()):
        raise EvalError(f"{FLOORS} names {', '.join(unknown)}; a floor can be of {', '.join(values)}")
    return [f"{name} is {values[name]:.4f}, its floor {floor}" for name, floor in needed.items() if values[name] < floor]


def measure(collection: Collection, judged: JudgedSet, without: str | None = None) -> dict[str, float]:
    """The measures that floors can name. "AUROC" is of all unanswerable questions of the set, "evidence" of all questions."""
    from eval import evidence, retrieval
    from eval.answers import read_answers
    from indexer import READINGS

    readings = tuple(one for one in READINGS if one != without)
    report = retrieval.measure(collection, judged, readings=readings)
    found: dict[str, Any] = {name: one.value for name, one in report.measures.items()}
    answers = read_answers(judged, [])
    found["evidence"] = evidence.measure(collection, judged, answers, readings=readings).first.value
    found["AUROC"] = _auroc(collection, judged, readings)
    return {name: round(value, 4) for name, value in found.items()}


def _auroc(collection: Collection, judged: JudgedSet, readings: tuple[str, ...]) -> float:
    from eval.rates import auroc
    from indexer import Query, search

    answerable = {one.id for one in judged.answerable}
    best: dict[bool, list[float]] = {True: [], False: []}
    for question in judged.questions:
        results = search(collection, Query(question.text, limit=1, readings=readings)).results
        best[question.id in answerable].append(results[0].score if results else 0.0)
    return auroc(best[True], best[False]).value
