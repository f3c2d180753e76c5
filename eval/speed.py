"""Speed: where a question's time goes, stage by stage, and how fast documents are indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.indexes import Runtime, Told, opened
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    from eval.sets import JudgedSet
    from indexer import Collection, Encoder

WARM_UP = 20  # questions before those that count
QUESTIONS = 500


Indexing = Annotated[bool, typer.Option("--indexing/--no-indexing", help="Also how fast documents are indexed: minutes.")]
RuntimeKind = Annotated[Runtime, typer.Option(help="What runs the model.")]


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None,
    indexing: Indexing = True, runtime: RuntimeKind = "auto",
) -> None:  # fmt: skip
    """Measure the milliseconds of each stage of a question, one at a time, and passages indexed a second."""
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        with opened(judged, index_folder, model_of(model), corpus or [], runtime=runtime) as (collection, _, told):
            record = measure(collection, judged, told)
            if indexing:
                from eval import indexing as rate

                record["indexing"] = rate.measure(collection, told)
    show(record, as_json, lambda: _rows(record))


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    head = ("stage", "p50 ms", "p95 ms", "p99 ms")
    rows = [(name, *(f"{one[share]:.2f}" for share in ("p50", "p95", "p99"))) for name, one in record["stages"].items()]
    if rate := record.get("indexing"):
        ratio = rate["ratio"]
        rows.append((f"indexing: {rate['per_second']:.0f} passages/s", f"{ratio['value']:.2f} times encode", "", ""))
    return [head, *rows]


def measure(collection: Collection, judged: JudgedSet, told: Told = lambda *_: None) -> dict[str, Any]:
    """Percentiles over the set's questions, first page. ``cpu of all`` is of the whole process; ``encode, new lengths`` encodes
    texts of every number of words once, as many as the model reads."""
    import time

    from indexer import Query, search

    encoder = collection.encoder
    encoder.warm()
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
    columns["encode, new lengths"] = _new_lengths(encoder)
    with collection.view() as view:
        passages = view.snapshot.counts().passages
    return {
        "what": "speed",
        "set": judged.name,
        "passages": passages,
        "runtime": encoder.runtime.name,
        "questions": len(taken[WARM_UP:] or taken),
        "stages": {name: {f"p{share}": _percentile(some, share) for share in (50, 95, 99)} for name, some in columns.items()},
    }


def _new_lengths(encoder: Encoder) -> list[float]:
    import time

    taken = []
    for count in range(1, encoder.question_tokens + 1):
        text = f"{count} " + "word " * (count - 1)
        began = time.perf_counter()
        encoder.question(text)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _percentile(values: list[float], share: int) -> float:
    import numpy as np

    return round(float(np.percentile(values, share)), 3)
