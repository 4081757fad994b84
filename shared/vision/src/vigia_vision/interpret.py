"""The graph's numbers to an answer: class, confidence, labels with their areas, mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vigia_vision.manifest import BACKGROUND_COLOR, AnomalyKind, Manifest
from vigia_vision.masks import draw_mask

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundLabel:
    """One anomaly label in the image; ``area`` is its share of the image's pixels, above 0."""

    name: str
    area: float
    color: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says about one image.

    ``confidence`` is confidence in the class given, 0.5 to 1. ``background_area`` and the labels' areas sum to 1.
    ``mask`` is uint8 ``[H, W]`` in image pixels, 0 for background and 1.. for ``manifest.labels`` in order; None for
    a classification model. An image found normal is all background.
    """

    score: float
    is_anomalous: bool
    confidence: float
    labels: tuple[FoundLabel, ...]
    background_area: float
    mask: NDArray[np.uint8] | None


class BadOutput(ValueError):  # noqa: N818 - names what is wrong
    """The graph's output has not the shape or the range that the manifest promises."""


def confidence(score: float, threshold: float) -> float:
    """Confidence in the class that ``score`` falls in (anomalous from ``threshold`` on), 0.5 to 1.

    Linear from 0.5 at the threshold to 1 at the end of the range, so strictly monotone on each side: ranking images by
    the answer (confidence, or 1 - confidence where normal) is ranking them by the score.
    """
    if score >= threshold:
        return 0.5 + 0.5 * (score - threshold) / (1 - threshold) if threshold < 1 else 1.0
    return 0.5 + 0.5 * (threshold - score) / threshold


def score_of(confidence: float, anomalous: bool, threshold: float) -> float:
    """The score that gave this answer by ``threshold``: the way back from ``confidence``, but for rounding."""
    share = 2 * confidence - 1
    return threshold + share * (1 - threshold) if anomalous else threshold - share * threshold


def interpret(outputs: Mapping[str, Floats], manifest: Manifest, threshold: float, width: int, height: int) -> Answer:
    """Reads the outputs of one image: ``score`` ``[1]``, for segmentation also ``maps`` ``[labels, h, w]``.

    ``threshold``: score from which the image is anomalous (``manifest.threshold.value`` unless a record replaced it).
    ``width`` and ``height``: pixels of the image, which the mask will have. BadOutput when the numbers break the
    manifest's promise.
    """
    if manifest.kind not in get_args(AnomalyKind):
        raise BadOutput(f"a model of the kind {manifest.kind} finds labels; it does not judge images")
    score = float(np.asarray(outputs["score"], dtype=np.float32).reshape(-1)[0])
    if not 0 <= score <= 1:
        raise BadOutput(f"score {score} is not in 0..1")
    anomalous = score >= threshold
    sure = confidence(score, threshold)
    if manifest.kind == "anomaly-classification":
        return Answer(score, anomalous, sure, (), 1.0, None)
    if not anomalous:
        return Answer(score, False, sure, (), 1.0, np.zeros((height, width), np.uint8))
    mask = _mask(np.asarray(outputs["maps"], dtype=np.float32), manifest, width, height)
    counts = [int(np.count_nonzero(mask == index)) for index in range(len(manifest.labels) + 1)]
    found = tuple(
        FoundLabel(label.name, count / mask.size, label.color)
        for label, count in zip(manifest.labels, counts[1:], strict=True)
        if count
    )
    return Answer(score, True, sure, found, counts[0] / mask.size, mask)


def _mask(maps: Floats, manifest: Manifest, width: int, height: int) -> NDArray[np.uint8]:
    """Label index per image pixel: of the labels that reach their threshold there, the one that exceeds it most."""
    if maps.ndim != 3 or len(maps) != len(manifest.labels):
        raise BadOutput(f"maps have the shape {maps.shape}; there are {len(manifest.labels)} labels")
    mask = np.zeros((height, width), np.uint8)
    best = np.full((height, width), -np.inf, np.float32)
    for index, (coarse, limit) in enumerate(zip(maps, manifest.decision.pixel_thresholds, strict=True), start=1):
        if not np.isfinite(coarse).all():
            raise BadOutput("maps hold numbers that are not finite")
        fine = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
        excess = fine - np.float32(limit)
        np.copyto(mask, np.uint8(index), where=(excess >= 0) & (excess > best))
        np.maximum(best, excess, out=best)
    return mask


def mask_png(answer: Answer, manifest: Manifest) -> bytes | None:
    """The mask as an 8-bit RGB PNG of the image's size: labels in their colours on white. None without a mask."""
    if answer.mask is None:
        return None
    if not answer.labels:
        height, width = answer.mask.shape
        return _blank_png(width, height)
    return draw_mask(answer.mask, [BACKGROUND_COLOR, *(label.color for label in manifest.labels)])


@lru_cache(maxsize=64)
def _blank_png(width: int, height: int) -> bytes:
    """The mask of a normal image. Most parts are good, so this is asked for most."""
    return draw_mask(np.zeros((height, width), np.uint8), [BACKGROUND_COLOR])
