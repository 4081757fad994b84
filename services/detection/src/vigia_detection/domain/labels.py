"""What a label model found in an image, as it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vigia_vision.find import Box, Finding


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the image, or of the ``box`` in it. ``confidence`` is 0..100, in single precision."""

    name: str
    confidence: float
    box: Box | None


@dataclass(frozen=True, slots=True)
class Wish:
    """Which labels the caller wants: all from ``min_confidence`` (0..100) on, or without it those from each label's own
    threshold on; at most ``max_results`` of them."""

    min_confidence: float | None = None
    max_results: int | None = None


def told(found: tuple[Finding, ...], wish: Wish) -> tuple[Label, ...]:
    """The labels that the caller gets, surest first. ``found``: surest first, and all there are where the wish has a
    confidence, which is compared with what is told: who asks again with a confidence that he was told gets that label.
    """
    labels = [Label(one.label, float(np.float32(100 * one.confidence)), one.box) for one in found]
    least = wish.min_confidence
    kept = labels if least is None else [label for label in labels if label.confidence >= least]
    return tuple(kept[: wish.max_results])
