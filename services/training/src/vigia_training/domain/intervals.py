"""How far a figure measured on a few test images may be from the truth. All intervals are of 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from vigia_vision.intervals import clopper_pearson

_Z = float(norm.ppf(0.975))
_TINY = 1e-12
#: Draws of a bootstrap, and how many are held at once.
_DRAWS = 2000
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure in 0..1 with the bounds of its interval; no bounds where too little is known to give any."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``total`` with the bounds of its interval. Of nothing the value is None, the interval 0 to 1."""

    value: float | None
    low: float
    high: float
    count: int
    total: int


def rate(count: int, total: int) -> Rate:
    """Clopper-Pearson: exact, so never narrower than it says; honest also at 0 and at ``total``."""
    low, high = clopper_pearson(count, total)
    return Rate(count / total if total else None, low, high, count, total)


def f1(hits: int, false: int, missed: int) -> Estimate:
    """F1 grows with J = hits / (hits + false + missed), a rate of images, whose exact bounds give those of F1."""
    share = rate(hits, hits + false + missed)

    def of(jaccard: float) -> float:
        return 2 * jaccard / (1 + jaccard)

    return Estimate(of(share.value or 0.0), of(share.low), of(share.high))


def auroc(value: float, normal: int, anomalous: int) -> Estimate:
    """Newcombe's score interval: it does not shrink to a point where ``value`` is 1, as DeLong's and a bootstrap do.

    ``normal`` and ``anomalous``: how many images of each class there are, at least one.
    """
    mean = (normal + anomalous) / 2 - 1

    def spread(true: float) -> float:
        pairs = 1 + mean * ((1 - true) / (2 - true) + true / (1 + true))
        return _Z * math.sqrt(true * (1 - true) * pairs / (normal * anomalous))

    return _inverted(value, spread)


def average_precision(value: float, anomalous: int) -> Estimate:
    """Wilson's score interval, ``value`` taken as a share of the ``anomalous`` images, at least one."""
    return _inverted(value, lambda true: _Z * math.sqrt(true * (1 - true) / anomalous))


def mean(estimates: Sequence[Estimate | Rate]) -> Estimate:
    """The unweighted mean of figures, its bounds recovered from theirs (Zou and Donner), as if they were independent.

    A figure without a value counts as 0. At least one is needed.
    """
    values = [one.value or 0.0 for one in estimates]
    value = sum(values) / len(values)
    below = math.hypot(*(v - (one.low or 0.0) for v, one in zip(values, estimates, strict=True))) / len(values)
    above = math.hypot(
        *((1.0 if one.high is None else one.high) - v for v, one in zip(values, estimates, strict=True))
    ) / len(values)
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))


def _inverted(value: float, spread: Callable[[float], float]) -> Estimate:
    """All true values from which ``value`` is no further away than ``spread`` says of them."""
    # Where the value is 0 or 1 itself it solves the equation too; the bound sought lies before it.
    below, above = min(value, 1 - _TINY), max(value, _TINY)
    low = 0.0 if value <= 0 else float(brentq(lambda true: value - true - spread(true), 0.0, below))
    high = 1.0 if value >= 1 else float(brentq(lambda true: true - value - spread(true), above, 1.0))
    return Estimate(value, low, high)


def resampled(
    rows: NDArray[np.float64], figures: Callable[[NDArray[np.float64]], NDArray[np.float64]], seed: int
) -> list[tuple[float, float]]:
    """Bootstrap over the rows: what ``figures`` makes of sums ``[draws, columns]``, ``[draws, n]``, as n intervals."""
    rng = np.random.default_rng(seed)
    count = len(rows)
    drawn = [
        figures(rng.multinomial(count, np.full(count, 1 / count), size=_CHUNK).astype(np.float64) @ rows)
        for _ in range(_DRAWS // _CHUNK)
    ]
    bounds = np.percentile(np.concatenate(drawn), [2.5, 97.5], axis=0)
    return [(float(low), float(high)) for low, high in bounds.T]
