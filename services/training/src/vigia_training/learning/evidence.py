"""What is put together to judge an image: how far it lies from normal ones, and what looks like a defect in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor, nn

from vigia_training.learning.gaussian import GaussianHead
from vigia_training.learning.heads import SegmentationHead

Floats = NDArray[np.float64]

#: What distance from normal and known defects count before their worth is seen, and after how many parts of either
#: class that is half forgotten. Distance keeps a say where the defects at hand do not need it: others will come.
_PRIOR = np.array([0.15, 0.5])
_PRIOR_PARTS = 4.0
#: What they count where no defect is at hand, and those known are made up.
_UNSEEN = np.array([0.5, 0.25])


@dataclass(frozen=True, slots=True)
class Weighing:
    """The logit is the sum of ``weights`` times (score - ``middle``) / ``spread`` over distance and known defects."""

    middle: Floats
    spread: Floats
    weights: Floats

    def logits(self, scores: Floats) -> Floats:
        """``[N, 2]`` to ``[N]``."""
        standard: Floats = (scores - self.middle) / self.spread
        return np.asarray(standard @ self.weights)


class Evidence(nn.Module):
    """A head that judges by its distance from normal and by defects that it knows, each with its weight."""

    def __init__(self, gaussian: GaussianHead, known: SegmentationHead, weighing: Weighing) -> None:
        super().__init__()
        self.gaussian, self.known = gaussian, known
        self.register_buffer("gain", torch.from_numpy(weighing.weights / weighing.spread).float())
        self.register_buffer("middle", torch.from_numpy(weighing.middle).float())
        self.gain: Tensor
        self.middle: Tensor

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The image logit ``[N]``, and label logits ``[N, labels, H/4, W/4]`` where there are labels."""
        distance, _ = self.gaussian(features)
        known, maps = self.known(features)
        logit = self.gain[0] * (distance - self.middle[0]) + self.gain[1] * (known - self.middle[1])
        return logit, maps


def weigh(scores: Floats, anomalous: NDArray[np.bool_], groups: NDArray[np.int64]) -> Weighing:
    """How far to believe each kind of evidence, from ``scores`` ``[N, 2]`` of images that neither had learnt from.

    Logistic regression with weights that are not negative: more evidence of a defect never speaks for a part. The fewer
    parts (``groups``) of either class there are, the less they change what is believed beforehand. Without anomalous
    images the weights are fixed.
    """
    normal = scores[~anomalous]
    middle = np.median(normal, 0)
    spread = np.maximum(np.quantile(normal, 0.75, 0) - np.quantile(normal, 0.25, 0), 1e-6)
    if not anomalous.any():
        return Weighing(middle, spread, _UNSEEN)
    x = (scores - middle) / spread
    y = np.where(anomalous, 1.0, -1.0)
    importance = np.zeros(len(y))
    parts = []
    for flag in (False, True):
        mine = anomalous == flag
        names, number, count = np.unique(groups[mine], return_inverse=True, return_counts=True)
        importance[mine] = 1 / (count[number] * len(names))
        parts.append(len(names))
    pull = _PRIOR_PARTS / min(parts)

    def loss(values: Floats) -> tuple[float, Floats]:
        weights, bias = values[:-1], values[-1]
        margin = y * (x @ weights + bias)
        wrong = importance * expit(-margin) * y
        off = weights - _PRIOR
        value = float(importance @ np.logaddexp(0, -margin) + pull * off @ off)
        return value, np.append(2 * pull * off - wrong @ x, -wrong.sum())

    start = np.append(_PRIOR, 0.0)
    bounds = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = found.x[:-1]
    if weights.sum() <= 0:
        weights = _PRIOR
    return Weighing(middle, spread, weights)
