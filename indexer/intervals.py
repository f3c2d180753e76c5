"""How sure a measured share is."""

from __future__ import annotations

import math

_Z = 1.959964  # of the normal distribution, for 95 %


def wilson(count: float, total: int) -> tuple[float, float]:
    """The 95 % interval of ``count`` of ``total``, of which there is at least one: Wilson (1927), which holds for shares near 0
    and 1. Also for the mean of values from 0 to 1, ``count`` being their sum: no such values vary more than zeros and ones of
    the same mean do, so the interval is rather too wide."""
    share, square = count / total, _Z**2 / total
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total)) / (1 + square)
    return max(0.0, middle - reach), min(1.0, middle + reach)
