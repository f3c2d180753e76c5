"""Signals and judgements -> the few constants of a score: pure functions.

Two steps: the direction that ranks best, then the scale and bias that make it a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DEPTH = 10  # results whose scores are to be probabilities: those that people see
_PENALTY = 1e-3  # on squared weights of standardised signals: keeps the fit finite where a signal decides alone


class Judged(NamedTuple):
    """A question's results, in the order of the ranking that found them: ``signals`` float64 [n, k], ``relevant`` bool [n]."""

    signals: Floats
    relevant: Bools


Pool = Sequence[Judged]  # of one set


class _Lists(NamedTuple):
    """Results of many questions in one array: of each the share of its question's relevance, of each question where its
    results begin, and its weight: every set counts alike, and every question of a set."""

    signals: Floats
    shares: Floats
    firsts: npt.NDArray[np.int64]
    weights: Floats


def direction(pools: Sequence[Pool]) -> Floats:
    """The weights float64 [k], not negative, under which relevant results are likeliest first.

    Softmax cross entropy over each question's results (Cao et al. 2007, ListNet), questions without a relevant result left out.
    """
    from scipy.optimize import minimize

    lists = _lists(pools)
    spread = np.maximum(lists.signals.std(axis=0), 1e-9)
    lists = lists._replace(signals=lists.signals / spread)
    found = minimize(
        _loss, np.ones(lists.signals.shape[1]), args=(lists,), jac=True, method="L-BFGS-B",
        bounds=[(0, None)] * lists.signals.shape[1],
    )  # fmt: skip
    return np.asarray(found.x / spread, np.float64)


def scale(pools: Sequence[Pool], weights: Floats, free: Sequence[int] = ()) -> tuple[Floats, float]:
    """The weights made a logit, and its bias: logistic regression on the first results by them (Platt 1999).

    Signals ``free`` get a weight of their own here: those that are the same for all results of a question rank nothing.
    """
    from scipy.optimize import minimize

    values, labels, importance = _first_results(pools, weights)
    inputs = np.column_stack([values @ weights, values[:, free], np.ones(len(values))])

    def loss(constants: Floats) -> tuple[float, Floats]:
        logits = inputs @ constants
        chances = 1 / (1 + np.exp(-logits))
        surprise = np.logaddexp(0, logits) - labels * logits
        return float(importance @ surprise), inputs.T @ (importance * (chances - labels))

    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    scaled = weights * found[0]
    scaled[list(free)] += found[1:-1]
    return scaled, float(found[-1])


def calibration_error(chances: Floats, labels: npt.ArrayLike, bins: int = 10) -> float:
    """Expected calibration error over bins of equal counts (Guo et al. 2017): how far a stated probability is from what came
    true, on average."""
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    truth = np.asarray(labels, np.float64)
    gaps = [abs(chances[part].mean() - truth[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / max(1, len(chances)))


def ranked(judged: Judged, weights: Floats) -> Judged:
    """The results in the order of these weights."""
    order = np.argsort(-(judged.signals @ weights), kind="stable")
    return Judged(judged.signals[order], judged.relevant[order])


def _first_results(pools: Sequence[Pool], weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Signals, labels and importance of each question's first results; every set has the same importance."""
    rows: list[tuple[Floats, Bools, float]] = []
    for pool in pools:
        firsts = [ranked(one, weights) for one in pool if len(one.relevant)]
        total = sum(min(DEPTH, len(one.relevant)) for one in firsts)
        rows += [(one.signals[:DEPTH], one.relevant[:DEPTH], 1 / total / len(pools)) for one in firsts]
    return (
        np.concatenate([row[0] for row in rows]),
        np.concatenate([row[1] for row in rows]).astype(np.float64),
        np.concatenate([np.full(len(row[1]), row[2]) for row in rows]),
    )


def _lists(pools: Sequence[Pool]) -> _Lists:
    kept = [[one for one in pool if one.relevant.any()] for pool in pools]
    flat = [(one, 1 / len(pool) / len(pools)) for pool in kept for one in pool]
    lengths = [len(one.relevant) for one, _ in flat]
    return _Lists(
        np.concatenate([one.signals for one, _ in flat]),
        np.concatenate([one.relevant / one.relevant.sum() for one, _ in flat]),
        np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
        np.array([weight for _, weight in flat]),
    )


def _loss(weights: Floats, lists: _Lists) -> tuple[float, Floats]:
    """The cross entropy and its gradient."""
    sizes = np.diff(np.append(lists.firsts, len(lists.signals)))
    logits = lists.signals @ weights
    top = np.maximum.reduceat(logits, lists.firsts)
    powers = np.exp(logits - np.repeat(top, sizes))
    totals = np.add.reduceat(powers, lists.firsts)
    logs = logits - np.repeat(top + np.log(totals), sizes)
    importance = np.repeat(lists.weights, sizes)
    off = importance * (powers / np.repeat(totals, sizes) - lists.shares)
    value = -float(importance @ (lists.shares * logs)) + _PENALTY * float(weights @ weights)
    return value, lists.signals.T @ off + 2 * _PENALTY * weights
