"""Manifests for the tests."""

from __future__ import annotations

import json
from typing import Any

IMAGES = "registry-tests-images"


def line(name: str, anomaly: bool | None, label: str | None = None, bucket: str = IMAGES, **more: Any) -> str:
    """One entry: normal, anomalous (with a mask of ``label`` where given), or unlabelled."""
    entry: dict[str, Any] = {"source-ref": f"s3://{bucket}/images/{name}.jpg"}
    if anomaly is not None:
        entry["anomaly-label"] = int(anomaly)
        entry["anomaly-label-metadata"] = {
            "class-name": "anomaly" if anomaly else "normal",
            "human-annotated": "yes",
            "type": "groundtruth/image-classification",
            "creation-date": "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)",
        }
    if label is not None:
        entry["anomaly-mask-ref"] = f"s3://{bucket}/masks/{name}.png"
        entry["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {"0": {"class-name": label, "hex-color": "#23A436"}},
            "human-annotated": "yes",
            "type": "groundtruth/semantic-segmentation",
        }
    return json.dumps({**entry, **more})


def manifest(normal: int, anomaly: int, label: str | None = None, prefix: str = "", bucket: str = IMAGES) -> bytes:
    """JSON Lines with so many normal and anomalous images."""
    lines = [line(f"{prefix}normal-{n}", False, bucket=bucket) for n in range(normal)]
    lines += [line(f"{prefix}anomaly-{n}", True, label, bucket) for n in range(anomaly)]
    return "\n".join(lines).encode() + b"\n"
