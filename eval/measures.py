"""Rankings and judgements -> measures, each with an interval over the questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eval.sets import Judgement

Floats = npt.NDArray[np.float64]

# Our name -> what ir_measures calls it (https://ir-measur.es). nDCG takes the grade itself as the gain.
MEASURES = {"nDCG@10": "nDCG@10", "success@1": "Success@1", "recall@100": "R@100", "MRR": "RR"}
DEPTH = 100  # ranks that any of them looks at

RESAMPLES = 1000
SEED = 20_240_501
_RESAMPLES_AT_ONCE = 100  # bounds the memory: 100 x 10,000 questions are 8 MB


class Estimate(NamedTuple):
    """A mean over questions and the 95 % interval around it."""

    value: float
    low: float
    high: float


def per_question(rankings: Mapping[str, Sequence[str]], judgements: Iterable[Judgement]) -> dict[str, Floats]:
    """Each measure of each ranking: name -> float64 [questions], in the order of ``rankings``.

    ``rankings`` are question -> units, best first. A question without a relevant judgement has 0 throughout.
    """
    import ir_measures

    qrels = [ir_measures.Qrel(*one) for one in judgements if one.question in rankings]
    # Falling scores without ties, so that the tool cannot order units in another way than they were returned.
    run = [
        ir_measures.ScoredDoc(question, unit, -float(rank))
        for question, units in rankings.items()
        for rank, unit in enumerate(units[:DEPTH])
    ]
    ours = {ir_measures.parse_measure(theirs): name for name, theirs in MEASURES.items()}
    place = {question: at for at, question in enumerate(rankings)}
    values = {name: np.zeros(len(rankings)) for name in MEASURES}
    for metric in ir_measures.iter_calc(list(ours), qrels, run):
        values[ours[metric.measure]][place[metric.query_id]] = metric.value
    return values


def ndcg(found: Sequence[bool], relevant: int, depth: int = 10) -> float:
    """nDCG of one ranking whose ranks hold something relevant or do not; ``relevant`` is how many there are in all.

    Järvelin & Kekäläinen 2002, with gains of 0 and 1. ir_measures gives the same, and is not in a plain install.
    """
    gain = sum(1 / np.log2(rank + 1) for rank, one in enumerate(found[:depth], 1) if one)
    return float(gain / sum(1 / np.log2(rank + 1) for rank in range(1, min(relevant, depth) + 1)))


def estimate(values: Floats, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """The mean of ``values``, float64 [questions], and its 95 % percentile bootstrap interval; NaN without a question.

    Efron & Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    means = np.concatenate([_means(values, count, random) for count in _parts(resamples)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))


def _means(values: Floats, count: int, random: np.random.Generator) -> Floats:
    """Means of ``count`` resamples of ``values``, float64 [count]."""
    drawn = random.integers(0, len(values), (count, len(values)))
    means: Floats = values[drawn].mean(axis=1)
    return means


def _parts(resamples: int) -> list[int]:
    return [min(_RESAMPLES_AT_ONCE, resamples - done) for done in range(0, resamples, _RESAMPLES_AT_ONCE)]
