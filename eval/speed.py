"""Speed: where a question's time goes, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eval.indexes import Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    from eval.sets import JudgedSet
    from indexer import Collection

WARM_UP = 20  # questions before those that count
QUESTIONS = 500


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None
) -> None:
    """Measure the milliseconds of each stage of a question, one question at a time, in one thread."""
    import os

    from eval.sets import read_set

    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch, faiss and numpy when they are first imported, which is below
    with errors():
        judged = read_set(folder)
        with opened(judged, index_folder, model_of(model), corpus or []) as (collection, _, told):
            record = measure(collection, judged, told)
    head = ("stage", "p50 ms", "p95 ms")
    stages = record["stages"].items()
    show(record, as_json, lambda: [head, *((name, f"{one['p50']:.2f}", f"{one['p95']:.2f}") for name, one in stages)])


def measure(collection: Collection, judged: JudgedSet, told: Told = lambda *_: None) -> dict[str, Any]:
    """Percentiles over the set's questions, first page. ``cpu`` is of the whole process, after the encoder."""
    import time

    from indexer import Query, search

    taken: list[dict[str, float]] = []
    questions = judged.questions[: QUESTIONS + WARM_UP]
    for number, question in enumerate(questions, 1):
        began = time.process_time()
        answer = search(collection, Query(question.text, explain=True))
        cpu = (time.process_time() - began) * 1000
        stages = dict(answer.stages)
        after = answer.took_ms - stages["encode"]
        taken.append(stages | {"after the encoder": after, "all": answer.took_ms, "cpu of all": cpu})
        told("asking", number, len(questions))
    names = dict.fromkeys(name for one in taken for name in one)
    columns = {name: [one.get(name, 0.0) for one in taken[WARM_UP:] or taken] for name in names}
    with collection.view() as view:
        passages = view.snapshot.counts().passages
    return {
        "what": "speed",
        "set": judged.name,
        "passages": passages,
        "questions": len(taken[WARM_UP:] or taken),
        "stages": {name: {"p50": _percentile(some, 50), "p95": _percentile(some, 95)} for name, some in columns.items()},
    }


def _percentile(values: list[float], share: int) -> float:
    import numpy as np

    return round(float(np.percentile(values, share)), 3)
