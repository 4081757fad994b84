"""Where normal ends, chosen on scores of training images that the scoring model had not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

Scores = NDArray[np.float64]

#: So many of the highest scores of normal images say how the rest goes on above them.
_LEAST_TAIL, _MOST_TAIL = 5, 50
_LEAST_WITNESSES = 3
#: On each side of the bounds of a share. Together less than a twentieth: the threshold was chosen on the same scores.
_BEYOND = 0.01
#: A typical image gets this confidence: 0.5 + 0.5 z / (1 + z) with z = 9.
TYPICAL_Z = 9.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """``0.5 + 0.5 softsign((logit - offset) / scale)`` is the score; 0.5 is the threshold.

    Softsign does not saturate, so images far from the threshold keep their order and distinct scores.
    """

    offset: float
    scale: float

    def moved(self, shift: float) -> Calibration:
        """The same for logits that are higher by ``shift``."""
        return Calibration(self.offset + shift, self.scale)


def two_class(normal: Scores, anomalous: Scores) -> Calibration:
    """Least expected error, both classes weighing the same, when each score is blurred by half its class's spread.

    With classes apart this lies between them, nearer to the tighter one; a few stray images do not drag it along.
    """
    grid = np.linspace(min(normal.min(), anomalous.min()), max(normal.max(), anomalous.max()), 1001)
    wide, other = (max(0.5 * _spread(scores), 1e-6) for scores in (normal, anomalous))
    errors = norm.sf((grid[:, None] - normal) / wide).mean(1) + norm.cdf((grid[:, None] - anomalous) / other).mean(1)
    offset = float(grid[np.flatnonzero(errors <= errors.min() + 1e-9)].mean())
    distances = np.abs(np.concatenate([normal, anomalous]) - offset)
    return Calibration(offset, max(float(np.median(distances)) / TYPICAL_Z, 1e-6))


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of images, as expected, and between which bounds it lies with 95 % confidence."""

    expected: float
    low: float
    high: float


def one_class(normal: Scores, groups: NDArray[np.int64], false_rejects: float) -> tuple[Calibration, Rate]:
    """From scores of unseen normal images alone: the share ``false_rejects`` of further ones is expected above.

    Above the highest quarter of the scores, excesses are taken as exponential, and the share is that of the next one
    given so few of them (a Pareto distribution): the threshold lies the higher, the fewer there are. ``groups``: images
    of one part are no independent witnesses.
    """
    count = len(normal)
    ordered = np.sort(normal)[::-1]
    tail = min(max(_LEAST_TAIL, math.ceil(count / 4)), _MOST_TAIL, count - 1)
    start, share = float(ordered[tail]), tail / count
    middle = float(np.median(normal))
    if false_rejects >= share:
        offset = float(np.quantile(normal, 1 - false_rejects))
    else:
        excess = max(float((ordered[:tail] - start).mean()), 1e-6)
        witnesses = max(len(np.unique(groups[normal > start])), _LEAST_WITNESSES)
        offset = start + witnesses * excess * ((share / false_rejects) ** (1 / witnesses) - 1)
    scale = max((offset - middle) / TYPICAL_Z, 1e-6)
    bounds = rate(normal > offset, groups)
    return Calibration(offset, scale), Rate(max(false_rejects, bounds.expected), bounds.low, bounds.high)


def rate(hit: NDArray[np.bool_], groups: NDArray[np.int64]) -> Rate:
    """The share of ``hit``, with Clopper and Pearson's bounds for as many images as there are ``groups``."""
    count = len(np.unique(groups))
    share = float(hit.mean())
    fewer, more = math.floor(share * count), math.ceil(share * count)
    low = float(beta.ppf(_BEYOND, fewer, count - fewer + 1)) if fewer else 0.0
    high = float(beta.ppf(1 - _BEYOND, more + 1, count - more)) if more < count else 1.0
    return Rate(share, low, high)


def best_pixel_threshold(predicted: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """The probability from which a cell belongs to a label.

    Half-way between 0.5 and where F1 over unseen training images is best (shares as weights): the heads that made these
    predictions saw fewer images than the final one, and are less sure than it will be.
    """
    candidates = np.linspace(0.25, 0.75, 21)
    total = float(truth.sum())
    scores = []
    for limit in candidates:
        inside = predicted >= limit
        hit = float(truth[inside].sum())
        scores.append(2 * hit / (float(inside.sum()) + total) if total else 0.0)
    best = float(candidates[int(np.argmax(scores))]) if max(scores) > 0 else 0.5
    return 0.5 * (best + 0.5)


def _spread(scores: Scores) -> float:
    """Standard deviation, or a robust one where a few stray images would blow it up."""
    robust = 1.4826 * float(np.median(np.abs(scores - np.median(scores))))
    plain = float(scores.std())
    return min(plain, 1.5 * robust) if robust > 0 else plain
