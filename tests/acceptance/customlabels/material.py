"""Images to train on, made here: discs and squares on grey, whole images' labels and boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96
LABELS = ("disc", "square")
_PER_LABEL = 14
_TESTED = 4
_BOXED = 24


@dataclass(frozen=True)
class Material:
    """``folder`` holds training-images, test-images and template.manifest, whose addresses begin in the folder."""

    folder: Path


def classes(folder: Path) -> Material:
    """Images of 96x96 pixels with a disc or a square, labelled as a whole: learnt in seconds."""
    rng = np.random.default_rng(11)
    for name in ("training-images", "test-images"):
        (folder / name).mkdir(parents=True)
    lines = []
    for number in range(_PER_LABEL):
        for label in LABELS:
            file = f"training-images/{label}-{number}.jpg"
            _save(folder / file, [(label, *_place(rng))], rng)
            lines.append({"source-ref": file, **image_label("shape", label)})
    for number in range(_TESTED):
        for label in LABELS:
            _save(folder / f"test-images/{label}-{number}.jpg", [(label, *_place(rng))], rng)
    (folder / "template.manifest").write_text("\n".join(map(json.dumps, lines)))
    return Material(folder)


def boxes(folder: Path) -> Material:
    """Images of 160x160 pixels with one or two shapes, each in a box."""
    rng = np.random.default_rng(12)
    for name in ("training-images", "test-images"):
        (folder / name).mkdir(parents=True)
    lines = []
    for number in range(_BOXED + _TESTED):
        shapes = [
            (LABELS[(number + k) % 2], 10 + 75 * k + int(rng.integers(0, 20)), int(rng.integers(10, 110)), 40)
            for k in range(1 + number % 2)
        ]
        tested = number >= _BOXED
        file = f"{'test' if tested else 'training'}-images/{number}.jpg"
        _save(folder / file, shapes, rng, 160)
        if not tested:
            lines.append({"source-ref": file, **box_label("bounding-box", shapes, 160)})
    (folder / "template.manifest").write_text("\n".join(map(json.dumps, lines)))
    return Material(folder)


def image_label(attribute: str, label: str, kind: str = "groundtruth/image-classification") -> dict[str, object]:
    """One image-level label, as Ground Truth writes it."""
    return {
        attribute: 1,
        f"{attribute}-metadata": {
            "confidence": 1,
            "job-name": f"labeling-job/{attribute}",
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": "2021-07-11T03:32:13.456000",
            "type": kind,
        },
    }


def changes(root: str) -> list[dict[str, object]]:
    """Two lines for an update: one with a label, and one whose only label cannot be read."""
    odd = image_label("odd", "square", "groundtruth/text-classification")
    return [
        {"source-ref": f"{root}test-images/disc-0.jpg", **image_label("shape", "disc")},
        {"source-ref": f"{root}test-images/square-1.jpg", **odd},
    ]


def box_label(attribute: str, shapes: list[tuple[str, int, int, int]], side: int) -> dict[str, object]:
    """Boxes around shapes (label, left, top, side), as Ground Truth writes them."""
    return {
        attribute: {
            "image_size": [{"width": side, "height": side, "depth": 3}],
            "annotations": [
                {"class_id": LABELS.index(label), "left": left, "top": top, "width": size, "height": size}
                for label, left, top, size in shapes
            ],
        },
        f"{attribute}-metadata": {
            "objects": [{"confidence": 1} for _ in shapes],
            "class-map": {str(number): label for number, label in enumerate(LABELS)},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2013-11-18T02:53:27",
            "job-name": "shapes",
        },
    }


def _place(rng: np.random.Generator) -> tuple[int, int, int]:
    """Left, top and side of a shape."""
    size = int(rng.integers(40, 56))
    left, top = (int(value) for value in rng.integers(4, SIDE - size - 4, 2))
    return left, top, size


def _save(file: Path, shapes: list[tuple[str, int, int, int]], rng: np.random.Generator, side: int = SIDE) -> None:
    pixels = np.full((side, side, 3), 90.0) + rng.normal(0, 6, (side, side, 3))
    for label, left, top, size in shapes:
        pixels[top : top + size, left : left + size][_inside(label, size)] += 110
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)


def _inside(label: str, size: int) -> NDArray[np.bool_]:
    if label == "square":
        return np.ones((size, size), np.bool_)
    across = np.linspace(-1, 1, size)
    return across[:, None] ** 2 + across[None, :] ** 2 <= 1
