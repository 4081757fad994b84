"""What a customer of the closed service might hold: small images, masks and manifests, in every layout."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

CRACK, DENT = (0x23, 0xA4, 0x36), (0x1F, 0x77, 0xB4)
COLORS = {"cracked": "#23A436", "dent": "#1f77b4"}
SIDE = 64


def photo(seed: int, size: tuple[int, int] = (SIDE, SIDE), kind: str = "JPEG") -> bytes:
    """An image that no other seed has."""
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def mask(*colors: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE), kind: str = "PNG") -> bytes:
    """A white mask with a bar of each colour."""
    image = Image.new("RGB", size, "white")
    for number, color in enumerate(colors):
        ImageDraw.Draw(image).rectangle((4, 4 + 12 * number, 40, 10 + 12 * number), fill=color)
    data = io.BytesIO()
    image.save(data, kind, **({"quality": 20} if kind == "JPEG" else {}))
    return data.getvalue()


def entry(image: str, name: str | None, mask: str | None = None, label: str = "anomaly-label", **more: Any) -> str:
    """A manifest line as Ground Truth writes it; ``name`` is the class, None leaves the image unlabelled."""
    fields: dict[str, Any] = {"source-ref": image}
    if name is not None:
        fields[label] = int(name == "anomaly")
        fields[f"{label}-metadata"] = {
            "confidence": 1,
            "job-name": "labeling-job/of-the-plant",
            "class-name": name,
            "human-annotated": "yes",
            "creation-date": "2021-11-10T03:37:09.600",
            "type": "groundtruth/image-classification",
        }
    if mask is not None:
        fields["anomaly-mask-ref"] = mask
        fields["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {
                "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
                "1": {"class-name": "cracked", "hex-color": COLORS["cracked"], "confidence": 0.0},
                "2": {"class-name": "dent", "hex-color": COLORS["dent"], "confidence": 0.0},
            },
            "type": "groundtruth/semantic-segmentation",
            "human-annotated": "yes",
            "creation-date": "2021-11-23T20:31:57.758889",
            "job-name": "labeling-job/segmentation-job",
        }
    return json.dumps(fields | more)


def result(project: str, version: int, f1: float = 0.8, label: str | None = None) -> str:
    """An EvaluationResult file."""
    metrics: dict[str, Any] = {
        "ROCAUC": 0.95, "AveragePrecision": 0.9, "Precision": 0.9, "Recall": 0.75, "F1Score": f1,
    }  # fmt: skip
    if label is not None:
        metrics["PixelAnomalyClassMetrics"] = [
            {"Precision": 0.8, "Recall": 0.9, "F1Score": 0.861, "AIIOU": 0.7453, "ClassName": label}
        ]
    details = {
        "ModelArn": f"arn:aws:lookoutvision:us-east-1:111122223333:model/{project}/{version}",
        "EvaluationEndTimestamp": "2022-10-01T00:00:00.000000",
        "NumberOfTrainingImages": 43,
        "NumberOfTestingImages": 20,
    }
    return json.dumps({"Version": 1, "EvaluationDetails": details, "AggregatedEvaluationResults": {"Metrics": metrics}})


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    """The files below ``root``, which is returned."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def lines(entries: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in entries)


def digests(root: Path) -> dict[str, tuple[str, int]]:
    """Every file with its content and its time of change."""
    return {
        path.relative_to(root).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
