"""Ablation: what each reading gives, alone, left out, and with the others."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, interval, model_of, show

if TYPE_CHECKING:
    from eval.sets import JudgedSet
    from indexer import Collection

MEASURES = ("nDCG@10", "success@1")


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None
) -> None:
    """Measure nDCG@10 and success@1 with every combination of readings."""
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        with opened(judged, index_folder, model_of(model), corpus or []) as (collection, _, told):
            record = measure(collection, judged, told)
    head = ("readings", "measure", "value", "95 % interval", "difference to all")
    show(record, as_json, lambda: [head, *_rows(record)])


def measure(collection: Collection, judged: JudgedSet, told: Told = lambda *_: None) -> dict[str, Any]:
    """Each combination's measures, with the mean difference to all readings and its interval, question by question."""
    from eval import retrieval
    from eval.measures import estimate
    from indexer import READINGS

    sets = [some for size in (3, 2, 1) for some in combinations(READINGS, size)]
    values: dict[str, Any] = {}
    outcome: dict[str, Any] = {}
    for number, readings in enumerate(sets, 1):
        report = retrieval.measure(collection, judged, readings=readings)
        name = " + ".join(readings)
        values[name] = {measure: retrieval.column(report, measure) for measure in MEASURES}
        every = values[" + ".join(READINGS)]
        outcome[name] = {
            measure: report.measures[measure]._asdict()
            | {"difference": estimate(values[name][measure] - every[measure])._asdict()}
            for measure in MEASURES
        }
        told("measuring", number, len(sets))
    return {"what": "ablation", "set": judged.name, "questions": len(judged.answerable), "readings": outcome}


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (name, measure, *interval(one), f"{one['difference']['value']:+.3f}")
        for name, measures in record["readings"].items()
        for measure, one in measures.items()
    ]
