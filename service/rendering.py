"""An answer as it is sent, with what is counted of it: bytes and numbers, which travel between processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from indexer.search import Answer
from service.contract import search_response


class Rendered(NamedTuple):
    """``body`` is the answer as JSON; ``stages`` are seconds by stage, "render" among them, and ``seconds`` all of them."""

    body: bytes
    verdict: str
    exact: bool
    seconds: float
    stages: Mapping[str, float]


def rendered(answer: Answer) -> Rendered:
    """The answer as JSON."""
    began = time.perf_counter()
    body = search_response(answer).model_dump_json().encode()
    render_s = time.perf_counter() - began
    stages = {stage: took_ms / 1000 for stage, took_ms in answer.stages.items()} | {"render": render_s}
    return Rendered(body, answer.verdict, answer.exact, answer.took_ms / 1000 + render_s, stages)
