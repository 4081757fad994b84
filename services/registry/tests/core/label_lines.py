"""Lines of manifests of Custom Labels for the tests."""

from __future__ import annotations

import json
from typing import Any

IMAGES = "registry-tests-images"


def image(key: str, *names: str, bucket: str = IMAGES, name: str = "label", **more: Any) -> str:
    """A line with labels of the whole image; without any, the image alone."""
    line: dict[str, Any] = {"source-ref": f"s3://{bucket}/images/{key}", **more}
    for number, label in enumerate(names):
        attribute = name if number == 0 else f"{name}-{number}"
        line[attribute] = 1
        line[f"{attribute}-metadata"] = {
            "confidence": 1,
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": "2022-08-22T20:52:51.123456",
            "type": "groundtruth/image-classification",
        }
    return json.dumps(line, ensure_ascii=False)


def boxes(key: str, *names: str, bucket: str = IMAGES, side: int = 640, left: float = 10.5, **more: Any) -> str:
    """A line with a box of each label; ``left`` is that of the first one, the others lie in the image's middle."""
    metadata: dict[str, Any] = {
        "objects": [{"confidence": 1}] * len(names),
        "class-map": {str(number): label for number, label in enumerate(names)},
        "human-annotated": "yes",
        "creation-date": "2022-08-22T20:52:51",
        "type": "groundtruth/object-detection",
    }
    box = {"top": 10, "width": 20, "height": 20}
    line: dict[str, Any] = {
        "source-ref": f"s3://{bucket}/images/{key}",
        "BB": {
            "image_size": [{"width": side, "height": side, "depth": 3}],
            "annotations": [
                {"class_id": number, "left": 30 if number else left, **box} for number in range(len(names))
            ],
        },
        "BB-metadata": metadata,
    }
    return json.dumps({**line, **more}, ensure_ascii=False)
