"""Where scores tie, passages go by id: a key says when something was added, which must decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]
Names = Callable[[Keys], Sequence[str]]  # the id of each key


def best(keys: Keys, scores: npt.NDArray[np.floating], count: int, names: Names | None = None) -> Keys:
    """Which of n are the ``count`` best, best first, ties by name (without ``names``: by key); positions int64 [m].

    Names are asked for those alone that tie and could be among the best.
    """
    order = np.lexsort((keys, -scores))
    if names is None or len(order) < 2:
        return order[:count]
    if len(order) > count > 0:  # nothing below the last place's score
        order = order[scores[order] >= scores[order[count - 1]]]
    ordered = scores[order]
    same = ordered[1:] == ordered[:-1]
    tied = order[np.append(same, False) | np.append(False, same)]
    places = np.zeros(len(keys), np.int64)
    places[tied] = _ranks(names(keys[tied])) if len(tied) else 0
    return order[np.lexsort((places[order], -ordered))][:count]


def _ranks(names: Sequence[str]) -> Keys:
    """The place of each name in alphabetical order."""
    ranks = np.empty(len(names), np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks
