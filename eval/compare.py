"""Two reports of the same questions: which is better, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eval.measures import SEED

FLIPS = 10_000
_AT_ONCE = 500  # bounds the memory


class Comparison(NamedTuple):
    """The mean difference (this report less the baseline) over the questions that both have, and how likely chance alone gives
    one as large."""

    questions: int
    difference: float
    p: float


def compare(report: Mapping[str, Any], baseline: Mapping[str, Any], measure: str = "nDCG@10") -> Comparison:
    """Paired randomisation test, two-sided, 10,000 sign flips with a fixed seed (Smucker, Allan & Carterette 2007)."""
    differences = np.array([after - before for _, before, after in pairs(report, baseline, measure)])
    if not len(differences):
        return Comparison(0, float("nan"), float("nan"))
    random = np.random.default_rng(SEED)
    seen = abs(differences.mean()) - 1e-12
    as_large = sum(int((np.abs(_flipped(differences, random)) >= seen).sum()) for _ in range(0, FLIPS, _AT_ONCE))
    return Comparison(len(differences), float(differences.mean()), (as_large + 1) / (FLIPS + 1))


def pairs(report: Mapping[str, Any], baseline: Mapping[str, Any], measure: str = "nDCG@10") -> list[tuple[str, float, float]]:
    """Of each question that both have: its text, the baseline's measure and the report's; in the report's order."""
    before = {one["id"]: one[measure] for one in _questions(baseline)}
    return [(one["text"], before[one["id"]], one[measure]) for one in _questions(report) if one["id"] in before]


def _questions(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    questions: Sequence[Mapping[str, Any]] = report.get("per_question", ())
    return questions


def _flipped(differences: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    signs = random.integers(0, 2, (_AT_ONCE, len(differences)), dtype=np.int8) * 2 - 1
    means: npt.NDArray[np.float64] = (signs * differences).mean(axis=1)
    return means
