"""Small models of every kind, trained in seconds on generated plates, and plates that they never saw."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image

from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Task
from vigia_training.learning.budget import Budget
from vigia_training.learning.label_budget import ClassificationBudget, DetectionBudget
from vigia_vision import Artifact
from vigia_vision.manifest import Kind

WIDTH, HEIGHT = 128, 96
LABELS = ("bright", "dark")
KINDS: tuple[Kind, ...] = (
    "anomaly-classification",
    "anomaly-segmentation",
    "classification",
    "multilabel-classification",
    "object-detection",
)
_RED = (0xD0, 0x20, 0x20)
_SMALL = Options(
    threads=2,
    budget=Budget(images=48, iterations=20, folds=2, fold_iterations=10),
    precision="float32",
    classification=ClassificationBudget(images=16, iterations=1),
    detection=DetectionBudget(iterations=25, batch=6, crop=96),
)
_HUMAN = {"human-annotated": "yes", "creation-date": "2026-11-29T00:00:00"}
_OF_IMAGES = {"type": "groundtruth/image-classification", **_HUMAN}


@dataclass(frozen=True)
class Plate:
    """A grey plate as JPEG; ``spots``: label, left, top and side in pixels of each square on it."""

    uri: str
    image: bytes
    spots: tuple[tuple[str, int, int, int], ...]


def plates(each: Sequence[Sequence[str]], seed: int, contrast: float = 90.0) -> list[Plate]:
    """One plate with squares of these labels for each of ``each``; the less ``contrast``, the harder to see."""
    rng = np.random.default_rng(seed)
    return [_plate(f"s3://plates/{seed}/{number}.jpg", labels, contrast, rng) for number, labels in enumerate(each)]


def _plate(uri: str, labels: Sequence[str], contrast: float, rng: np.random.Generator) -> Plate:
    pixels = np.full((HEIGHT, WIDTH, 3), 115.0) + rng.normal(0, 6, (HEIGHT, WIDTH, 3))
    spots = []
    for label in labels:
        side, half = int(rng.integers(18, 28)), LABELS.index(label) * WIDTH // 2
        left, top = half + int(rng.integers(2, WIDTH // 2 - side - 2)), int(rng.integers(2, HEIGHT - side - 2))
        pixels[top : top + side, left : left + side] += contrast if label == "bright" else -contrast
        spots.append((label, left, top, side))
    return Plate(uri, _encoded(pixels, "JPEG", quality=90), tuple(spots))


def _encoded(pixels: np.ndarray, form: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, form, **options)
    return file.getvalue()


@cache
def trained(kind: Kind) -> Artifact:
    """The model of that kind, one of them in int8. Trained once in a session."""
    labels = {
        "classification": [("bright",), ("dark",)] * 6,
        "multilabel-classification": [("bright",), ("dark",), ("bright", "dark")] * 4,
        "object-detection": [("bright",), ("dark",), ("bright", "dark"), ()] * 6,
    }.get(kind, [()] * 14 + [("bright",), ("dark",)] * 6)
    learn = plates(labels, seed=1)
    objects = {plate.uri: plate.image for plate in learn}
    lines = []
    for plate in learn:
        if kind == "object-detection":
            lines.append(_boxed(plate))
        elif kind.startswith("anomaly"):
            lines.append(_judged(plate))
            if kind == "anomaly-segmentation" and plate.spots:
                uri = plate.uri.replace(".jpg", ".png")
                objects[uri] = _mask(plate)
                lines[-1] |= _masked(uri)
        else:
            lines.append(_labelled(plate))
    service = "lookoutvision" if kind.startswith("anomaly") else "rekognition"
    manifest = "\n".join(json.dumps(line) for line in lines).encode()
    task = Task(f"arn:aws:{service}:us-east-1:123456789012:model/{kind}/1", kind, "1", manifest)
    options = replace(_SMALL, precision="int8") if kind == "multilabel-classification" else _SMALL
    artifact = train_any(task, objects.__getitem__, options, lambda stage, share: None).artifact
    assert artifact.manifest.kind == kind
    return artifact


def _judged(plate: Plate) -> dict[str, object]:
    of = {**_OF_IMAGES, "class-name": "anomaly" if plate.spots else "normal"}
    return {"source-ref": plate.uri, "anomaly-label": int(bool(plate.spots)), "anomaly-label-metadata": of}


def _mask(plate: Plate) -> bytes:
    mask = np.full((HEIGHT, WIDTH, 3), 255.0)
    for _, left, top, side in plate.spots:
        mask[top : top + side, left : left + side] = _RED
    return _encoded(mask, "PNG")


def _masked(uri: str) -> dict[str, object]:
    colors = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
        "1": {"class-name": "spot", "hex-color": "#d02020", "confidence": 0.0},
    }
    of = {"type": "groundtruth/semantic-segmentation", "internal-color-map": colors}
    return {"anomaly-mask-ref": uri, "anomaly-mask-ref-metadata": of}


def _labelled(plate: Plate) -> dict[str, object]:
    line: dict[str, object] = {"source-ref": plate.uri}
    for number, (label, *_) in enumerate(plate.spots):
        line |= {f"label_{number}": 1, f"label_{number}-metadata": {**_OF_IMAGES, "class-name": label, "confidence": 1}}
    return line


def _boxed(plate: Plate) -> dict[str, object]:
    boxes = [
        {"class_id": str(LABELS.index(label)), "left": left, "top": top, "width": side, "height": side}
        for label, left, top, side in plate.spots
    ]
    return {
        "source-ref": plate.uri,
        "squares": {"image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}], "annotations": boxes},
        "squares-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {str(number): label for number, label in enumerate(LABELS)},
            "type": "groundtruth/object-detection",
            **_HUMAN,
        },
    }
