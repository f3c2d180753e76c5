"""Shares, and how well a score tells two groups apart: pure functions, each with an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eval.measures import RESAMPLES, SEED, Estimate
from indexer import wilson


def share(count: float, total: int) -> Estimate:
    """``count`` of ``total``, or the mean of values from 0 to 1 whose sum that is, with Wilson's 95 % interval; NaN if none.
    That of a bootstrap is far too narrow for a dozen values, and has no width at all where they are equal."""
    if not total:
        return Estimate(np.nan, np.nan, np.nan)
    return Estimate(count / total, *wilson(count, total))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> Estimate:
    """How often a score of the first group is above one of the second (ties count half), with a 95 % bootstrap interval.

    Hanley & McNeil 1982; the resamples are of both groups, 1,000, with a fixed seed.
    """
    first, second = np.asarray(positive, float), np.asarray(negative, float)
    if not len(first) or not len(second):
        return Estimate(np.nan, np.nan, np.nan)
    random = np.random.default_rng(SEED)
    drawn = [
        _above(first[random.integers(0, len(first), len(first))], second[random.integers(0, len(second), len(second))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(_above(first, second), float(low), float(high))


def _above(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    ascending = np.sort(second)
    below = np.searchsorted(ascending, first, side="left") + np.searchsorted(ascending, first, side="right")
    return float(below.mean() / 2 / len(second))
