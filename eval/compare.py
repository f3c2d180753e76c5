"""Two reports of the same questions: which is better, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eval.measures import SEED

FLIPS = 10_000
_AT_ONCE = 500  # bounds the memory
_ENUMERATED = 14  # differences, of which there are 16,384 sign flips
_POWER = (1.959964 + 0.841621) ** 2


class Comparison(NamedTuple):
    """The mean difference (this report less the baseline) over the questions that both have, and how likely chance alone gives
    one as large."""

    questions: int
    difference: float
    p: float


def compare(report: Mapping[str, Any], baseline: Mapping[str, Any], measure: str = "nDCG@10") -> Comparison:
    """By the paired randomisation test: see :func:`randomised`."""
    differences = np.array([after - before for _, before, after in pairs(report, baseline, measure)])
    if not len(differences):
        return Comparison(0, float("nan"), float("nan"))
    return Comparison(len(differences), float(differences.mean()), randomised(differences))


def randomised(differences: npt.NDArray[np.float64]) -> float:
    """How likely chance alone gives a mean as far from 0 as that of ``differences``, float64 [questions] with at least one: the
    paired randomisation test, two-sided (Fisher 1935; Smucker, Allan & Carterette 2007). All sign flips are tried where that
    is feasible, else 10,000 drawn ones with a fixed seed."""
    told = differences[differences != 0]  # the others are the same however they are flipped
    seen = abs(told.sum()) - 1e-9
    if len(told) <= _ENUMERATED:
        signs = (np.arange(2 ** len(told))[:, None] >> np.arange(len(told)) & 1) * 2 - 1
        return float((np.abs(signs @ told) >= seen).mean())
    random = np.random.default_rng(SEED)
    as_large = sum(int((np.abs(_flipped(told, random)) >= seen).sum()) for _ in range(0, FLIPS, _AT_ONCE))
    return (as_large + 1) / (FLIPS + 1)


def needed(differences: npt.NDArray[np.float64]) -> int | None:
    """How many questions would show such a difference in four of five samples, at a level of .05: the sample size of the paired
    t-test in its normal approximation, (1.960 + 0.842)² variance / mean² (Cohen 1988, section 2.4; for retrieval Sakai 2016).
    The difference is an estimate itself, so this is a rough figure. None where there is no difference, or but one question."""
    if len(differences) < 2 or not differences.mean():
        return None
    return int(np.ceil(_POWER * differences.var(ddof=1) / differences.mean() ** 2))


def pairs(report: Mapping[str, Any], baseline: Mapping[str, Any], measure: str = "nDCG@10") -> list[tuple[str, float, float]]:
    """Of each question that both have: its text, the baseline's measure and the report's; in the report's order."""
    before = {one["id"]: one[measure] for one in _questions(baseline)}
    return [(one["text"], before[one["id"]], one[measure]) for one in _questions(report) if one["id"] in before]


def _questions(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    questions: Sequence[Mapping[str, Any]] = report.get("per_question", ())
    return questions


def _flipped(differences: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """The sum of the differences under ``_AT_ONCE`` drawn sign flips."""
    signs = random.integers(0, 2, (_AT_ONCE, len(differences)), dtype=np.int8) * 2 - 1
    sums: npt.NDArray[np.float64] = signs @ differences
    return sums
