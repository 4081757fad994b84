"""Whether confidence is what it says: of answers given with confidence 0.9, nine in ten should be right."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vigia_training.domain import intervals
from vigia_training.domain.intervals import Rate


@dataclass(frozen=True, slots=True)
class Reliability:
    """Answers whose confidence lies in ``low``..``high``: its mean, and how many were right."""

    low: float
    high: float
    confidence: float | None
    right: Rate


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], lowest: float, bins: int
) -> tuple[list[Reliability], float]:
    """Bins of the same width from ``lowest`` to 1, and the expected calibration error.

    That is the distance of mean confidence from the share of right answers in a bin, averaged over the answers; 0
    without any.
    """
    edges = np.linspace(lowest, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, confidence, "right") - 1, 0, bins - 1)
    found, error = [], 0.0
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        here = places == number
        hits = intervals.rate(int(right[here].sum()), int(here.sum()))
        mean = float(confidence[here].mean()) if hits.total else None
        if mean is not None and hits.value is not None:
            error += hits.total / len(confidence) * abs(mean - hits.value)
        found.append(Reliability(low, high, mean, hits))
    return found, error
