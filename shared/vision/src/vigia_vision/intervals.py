"""How far a rate that was counted may be from the true one: the interval of Clopper and Pearson, 95 %.

It is exact: of a hundred such intervals at least 95 hold the truth, however few were counted and however rare what is
counted is. Others that keep this only on average (Wilson's, among others) are narrower, and too narrow where hits are
rare, which is where the error rates of a good model lie.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

#: Chance of the truth on either side.
_BEYOND: Final = 0.025
_STEPS = 48
_EXACT = 1e-14
_MOST_TERMS = 100_000


@lru_cache(maxsize=4096)
def clopper_pearson(count: int, total: int) -> tuple[float, float]:
    """Bounds of the rate of which ``count`` of ``total`` is a sample; 0 and 1 of nothing."""
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no rate")
    low = _solved(count, total - count + 1, _BEYOND) if count else 0.0
    high = _solved(count + 1, total - count, 1 - _BEYOND) if count < total else 1.0
    return low, high


def _solved(a: int, b: int, share: float) -> float:
    """The ``x`` below which lies that share of the beta distribution with ``a`` and ``b``."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _below(x: float, a: int, b: int) -> float:
    """The regularised incomplete beta function: its continued fraction, on the side where that is short."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _below(1 - x, b, a)
    if x <= 0:
        return 0.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # 1 / (1 + d1 / (1 + d2 / (1 + ...))), from the front (Lentz): numerator and denominator grow by one term a step.
    upper, lower, value = 1.0, 0.0, 1.0
    for term in range(_MOST_TERMS):
        m = term // 2
        if term == 0:
            factor = 1.0
        elif term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / (1 + factor * lower or 1e-300)
        upper = 1 + factor / upper or 1e-300
        change = upper * lower
        value *= change
        if term and abs(change - 1) < _EXACT:
            break
    return math.exp(front) * (value - 1) / a
