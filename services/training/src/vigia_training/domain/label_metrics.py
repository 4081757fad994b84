"""How well labels and boxes are found in test images: matches, thresholds, precision, recall, F1 and mean precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A box is right from this overlap (intersection over union) on.
MATCH = 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a model says of one label over all test images, surest first, and how much of it is so.

    ``confidences`` falling, ``right`` alike; ``true``: how often the label is there, found or not.
    """

    confidences: Floats
    right: NDArray[np.bool_]
    true: int


@dataclass(frozen=True, slots=True)
class Measures:
    """At ``threshold``: the confidence from which a claim counts."""

    threshold: float
    precision: float
    recall: float
    f1: float


def claims(confidences: Sequence[float], right: Sequence[bool], true: int) -> Claims:
    """In any order; ties keep theirs."""
    values = np.asarray(confidences, np.float64)
    order = np.argsort(-values, kind="stable")
    return Claims(values[order], np.asarray(right, bool)[order], true)


def best(found: Claims) -> Measures:
    """At the threshold with the best F1: half-way to the next lower claim, so that it does not hang on one image.

    Without a right claim the threshold is 0.5 and everything else 0.
    """
    counted = np.arange(1, len(found.confidences) + 1)
    hits = np.cumsum(found.right)
    f1 = 2 * hits / np.maximum(counted + found.true, 1)
    ends = _cuts(found)
    if not found.true or not hits.any():
        return Measures(0.5, 0.0, 0.0, 0.0)
    cut = int(ends[int(np.argmax(f1[ends]))])
    lower = float(found.confidences[cut + 1]) if cut + 1 < len(counted) else 0.0
    threshold = (float(found.confidences[cut]) + lower) / 2
    precision, recall = float(hits[cut] / counted[cut]), float(hits[cut] / found.true)
    return Measures(threshold, precision, recall, 2 * precision * recall / (precision + recall))


def curve(found: Claims) -> tuple[Floats, Floats]:
    """Recall and precision with every cut between two confidences, from the surest claim down."""
    cuts = _cuts(found)
    hits = np.cumsum(found.right)[cuts]
    return hits / max(found.true, 1), hits / (cuts + 1)


def _cuts(found: Claims) -> NDArray[np.intp]:
    """Equal confidences count together: only the last of each may be a cut."""
    different = np.diff(found.confidences) != 0
    return np.flatnonzero(np.append(different, True)) if len(found.confidences) else np.zeros(0, np.intp)


def average_precision(found: Claims) -> float:
    """Area under the curve of precision, made falling, over recall (all points); 0 where nothing is there to find."""
    if not found.true:
        return 0.0
    recall, precision = curve(found)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * falling))


def match(said: Floats, true: Floats, overlap: float = MATCH) -> list[int | None]:
    """For boxes ``[n, 4]`` (left, top, width, height) that come surest first, the index of the true box each is.

    A true box is taken by the surest that overlaps it enough; each takes the one that it overlaps most.
    """
    free = np.ones(len(true), bool)
    taken: list[int | None] = []
    for row in overlaps(said, true):
        index = int(np.argmax(np.where(free, row, -1.0))) if len(row) else -1
        if index >= 0 and free[index] and row[index] >= overlap:
            free[index] = False
            taken.append(index)
        else:
            taken.append(None)
    return taken


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair of boxes ``[n, 4]`` and ``[m, 4]`` to ``[n, m]``."""
    a, b = first[:, None, :], second[None, :, :]
    wide = np.minimum(a[..., 0] + a[..., 2], b[..., 0] + b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 1] + a[..., 3], b[..., 1] + b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    both = np.clip(wide, 0, None) * np.clip(high, 0, None)
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - both
    return np.asarray(both / np.maximum(union, 1e-12), np.float64)
