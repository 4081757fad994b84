"""The graph's numbers to labels and boxes, of the kinds of models that give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigia_vision.interpret import BadOutput
from vigia_vision.manifest import LETTERBOX, Manifest
from vigia_vision.prepare import fitted

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an image: left, top, width and height as shares of the image's sides."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Finding:
    """A label that an image has, or an object in it with its ``box``; ``confidence`` is 0..1."""

    label: str
    confidence: float
    box: Box | None = None


def find(
    outputs: Mapping[str, Floats], manifest: Manifest, width: int, height: int, min_confidence: float | None = None
) -> tuple[Finding, ...]:
    """What the graph found in one image, given its outputs without batch axis, surest first.

    ``width`` and ``height`` are the image's pixels. Without ``min_confidence`` (0..1) each label's own threshold
    decides, with it that alone. BadOutput when the numbers break the manifest's promise, or it promises none of this.
    """
    if manifest.kind == "object-detection":
        found = _objects(outputs, manifest, width, height)
    elif manifest.kind in ("classification", "multilabel-classification"):
        found = _labels(outputs, manifest)
    else:
        raise BadOutput(f"a model of the kind {manifest.kind} judges images; it finds no labels in them")
    limits = dict(zip((label.name for label in manifest.labels), manifest.decision.label_thresholds, strict=True))
    kept = [
        item for item in found if item.confidence >= (limits[item.label] if min_confidence is None else min_confidence)
    ]
    return tuple(sorted(kept, key=lambda item: -item.confidence))


def _labels(outputs: Mapping[str, Floats], manifest: Manifest) -> Iterator[Finding]:
    confidences = _numbers(outputs, "confidences", (len(manifest.labels),))
    for label, confidence in zip(manifest.labels, confidences.tolist(), strict=True):
        yield Finding(label.name, confidence)


def _objects(outputs: Mapping[str, Floats], manifest: Manifest, width: int, height: int) -> Iterator[Finding]:
    places = next(output.shape[1] for output in manifest.outputs if output.name == "scores")
    boxes = _numbers(outputs, "boxes", (places, 4))
    scores = _numbers(outputs, "scores", (places,))
    classes = np.asarray(outputs["classes"], np.float32)
    contract = manifest.input
    wide, high = contract.width, contract.height
    if contract.preparation == LETTERBOX:
        wide, high = fitted(width, height, contract.width, contract.height)
    shares = np.array([contract.width / wide, contract.height / high] * 2, np.float64)
    corners = np.clip(boxes * shares, 0, 1)
    for (left, top, right, bottom), score, index in zip(
        corners.tolist(), scores.tolist(), classes.tolist(), strict=True
    ):
        if score == 0:
            continue
        if index not in range(len(manifest.labels)):
            raise BadOutput(f"class {index} is none of {len(manifest.labels)} labels")
        # What lies in the tensor's margin alone is outside the image.
        if right > left and bottom > top:
            label = manifest.labels[int(index)].name
            yield Finding(label, score, Box(left, top, right - left, bottom - top))


def _numbers(outputs: Mapping[str, Floats], name: str, shape: tuple[int, ...]) -> Floats:
    """The output ``name``, whose numbers all are shares."""
    values = np.asarray(outputs[name], dtype=np.float32)
    if values.shape != shape:
        raise BadOutput(f"{name} have the shape {values.shape}; {shape} was promised")
    if not ((values >= 0) & (values <= 1)).all():  # also false for NaN
        raise BadOutput(f"{name} hold numbers that are not in 0..1")
    return values
