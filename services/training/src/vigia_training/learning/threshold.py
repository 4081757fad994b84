"""Where normal ends, chosen on scores of training images that the scoring model had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Scores = NDArray[np.float64]

#: Standard deviations above the mean of unseen normal images, where there are no anomalous ones to learn from.
_ONE_CLASS_SIGMAS = 2.6
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


def one_class(normal: Scores) -> Calibration:
    """From normal images alone: so far above them that about one in a hundred is rejected."""
    deviation = max(_spread(normal), 1e-6)
    offset = max(float(np.median(normal)) + _ONE_CLASS_SIGMAS * deviation, float(np.quantile(normal, 0.98)))
    return Calibration(offset, max((offset - float(np.median(normal))) / TYPICAL_Z, 1e-6))


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
