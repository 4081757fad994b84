"""How well logos are found in photographs by what is learnt from images of the logos alone."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.models.logos import HIGH, LOGOS, WIDE, Scene, logo_images, manifest, photographs, scenes
from tests.bench.models.rows import Goal, Row
from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Task
from vigia_training.domain.label_metrics import Claims, claims, match
from vigia_vision import Finding, Session

_SCENES = 120
#: Logos whose sides have a geometric mean of fewer pixels in scenes of 640x480 are small.
_SMALL = 48.0


def measure(folder: Path, draw: int) -> dict[str, float]:
    """One draw: other scenes, and another seed for training."""
    with tempfile.TemporaryDirectory() as name:
        images = Path(name)
        training = logo_images(images)
        made = scenes(images, photographs(folder), _SCENES, np.random.default_rng(1000 + draw))
        task = Task("arn:local:model/brand/1", "brand", "1", training, manifest(made), draw)
        began, used = time.monotonic(), time.process_time()
        result = train_any(task, _read, Options(threads=len(os.sched_getaffinity(0))), lambda stage, share: None)
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        session = Session(result.artifact)
        found = [session.find(scene.file.read_bytes(), 0.0) for scene in made]
    together = _together(made, found)
    return {
        "mAP50": result.metrics.average_precision,
        "recall at 0.9 precision": recall_at(together, 0.9),
        "recall of small ones": _recall(made, found, small=True),
        "recall of others": _recall(made, found, small=False),
        "worst label's AP50": min(label.average_precision for label in result.metrics.labels),
        "logos": float(together.true),
        "seconds": seconds,
        "of CPU": cpu,
    }


def _read(uri: str) -> bytes:
    return Path(uri.removeprefix("s3://local")).read_bytes()


def _pixels(finding: Finding) -> list[float]:
    box = finding.box
    assert box is not None
    return [box.left * WIDE, box.top * HIGH, box.width * WIDE, box.height * HIGH]


def _true(scene: Scene, name: str) -> np.ndarray:
    return np.reshape([box[1:] for box in scene.boxes if box[0] == name], (-1, 4)).astype(np.float64)


def _together(made: list[Scene], found: list[tuple[Finding, ...]]) -> Claims:
    """Claims of all labels, as one."""
    confidences: list[float] = []
    right: list[bool] = []
    for scene, findings in zip(made, found, strict=True):
        for name in LOGOS:
            said = [item for item in findings if item.label == name]
            taken = match(np.reshape([_pixels(item) for item in said], (-1, 4)), _true(scene, name))
            confidences += [item.confidence for item in said]
            right += [index is not None for index in taken]
    return claims(confidences, right, sum(len(scene.boxes) for scene in made))


def recall_at(found: Claims, precision: float) -> float:
    """Of the logos, how many are found at the lowest confidence that keeps the precision."""
    hits = np.cumsum(found.right)
    kept = hits / np.arange(1, len(hits) + 1) >= precision
    return float(hits[kept].max() / found.true) if kept.any() else 0.0


def _recall(made: list[Scene], found: list[tuple[Finding, ...]], small: bool) -> float:
    """Share of the logos of a size that are found with a confidence of at least 0.3."""
    hits = count = 0
    for scene, findings in zip(made, found, strict=True):
        for name in LOGOS:
            true = _true(scene, name)
            said = [item for item in findings if item.label == name and item.confidence >= 0.3]
            taken = match(np.reshape([_pixels(item) for item in said], (-1, 4)), true)
            for number, box in enumerate(true):
                if (float(np.sqrt(box[2] * box[3])) < _SMALL) == small:
                    hits, count = hits + (number in taken), count + 1
    return hits / max(count, 1)


ROWS = (
    Row(
        "brand",
        "8 invented logos, learnt from 4 images of each alone, found in photographs",
        1,
        (
            Goal("mAP50", "≥ 0.8"),
            Goal("recall at 0.9 precision", ""),
            Goal("recall of small ones", ""),
            Goal("recall of others", ""),
            Goal("worst label's AP50", ""),
            Goal("logos", ""),
            Goal("seconds", "≤ 900"),
            Goal("of CPU", ""),
        ),
        measure,
    ),
)
