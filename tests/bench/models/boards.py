"""Defects of circuit boards as boxes (DeepPCB's tested images, without their templates).

Not in the repository: a folder ``deeppcb`` with ``train`` and ``test``, in each JPEGs and beside each a text file with
a line per box: left, top, right, bottom, and the number of the class, from 1 on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.models.row import Goal, Row
from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Task

NAMES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


def lines(folder: Path, images: int, draw: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Lines of so many images to learn from, drawn at random, and of all to test with; none where none are there."""
    learn, test = (sorted((folder / "deeppcb" / part).glob("*.jpg")) for part in ("train", "test"))
    chosen = sorted(np.random.default_rng(draw).permutation(len(learn))[:images].tolist())
    return [_line(learn[index]) for index in chosen], [_line(file) for file in test]


def _manifest(lines: Iterable[dict[str, object]]) -> bytes:
    return "\n".join(map(json.dumps, lines)).encode()


def _line(file: Path) -> dict[str, object]:
    with Image.open(file) as image:
        width, height = image.size
    boxes = []
    for text in file.with_suffix(".txt").read_text().splitlines():
        left, top, right, bottom, number = map(int, text.split())
        box = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        boxes.append({"class_id": number - 1, **box})
    return {
        "source-ref": f"s3://local{file}",
        "defects": {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": boxes},
        "defects-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": {str(number): name for number, name in enumerate(NAMES)},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2019-02-16T00:00:00",
        },
    }


def _measure(images: int, folder: Path, draw: int) -> dict[str, float] | None:
    learn, test = lines(folder, images, draw)
    if not learn or not test:
        return None
    task = Task(
        "arn:local:rekognition:local:000000000000:project/boards/version/bench/1",
        "boards",
        "bench",
        _manifest(learn),
        _manifest(test),
        draw,
    )
    began, used = time.monotonic(), time.process_time()
    options = Options(threads=len(os.sched_getaffinity(0)))
    result = train_any(task, lambda uri: Path(uri.removeprefix("s3://local")).read_bytes(), options, _quiet)
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    precisions = {label.name: label.average_precision for label in result.metrics.labels}
    # A class that the drawn images do not show is one that the model never finds.
    return {
        "mAP50": sum(precisions.values()) / len(NAMES),
        "worst class": min(precisions.get(name, 0.0) for name in NAMES),
        "F1": result.metrics.f1,
        "seconds": seconds,
        "of CPU": cpu,
    }


def _quiet(stage: str, share: float) -> None:
    pass


def _row(images: int, goal: str, reference: str) -> Row:
    goals = (
        Goal("mAP50", goal, reference),
        Goal("worst class", ""),
        Goal("F1", ""),
        Goal("seconds", ""),
        Goal("of CPU", ""),
    )
    return Row(
        f"boards-{images}",
        f"circuit boards, 6 defect types as boxes, {images} images learnt from, 60 tested",
        1,
        goals,
        partial(_measure, images),
    )


BOARDS = (
    _row(120, "≥ 0.96", "0.923 published"),
    _row(50, "≥ 0.93", "0.848 published"),
    _row(10, "≥ 0.80", "0.502 published"),
)
