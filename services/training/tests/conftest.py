"""Small generated parts: grey plates, some with a bright spot, and a manifest that says so."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from vigia_training.domain.errors import BadData

# As in the worker's children; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

settings.register_profile("vigia", deadline=None)
settings.load_profile("vigia")

BUCKET = "plates"
SIDE = 96
RED = (0xD0, 0x20, 0x20)
_IMAGE = {"type": "groundtruth/image-classification", "human-annotated": "yes", "creation-date": "2022-08-22T20:52:51"}


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Plates:
    """``manifest`` in JSON Lines, and the objects that it names, by key; None is one that is not there."""

    manifest: bytes
    objects: Mapping[str, bytes | None]

    def read(self, uri: str) -> bytes:
        data = self.objects[uri.removeprefix(f"s3://{BUCKET}/")]
        if data is None:
            raise BadData(f"{uri}: it is gone")
        return data

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.manifest.splitlines()]

    def changed(self, objects: Mapping[str, bytes | None]) -> Plates:
        return Plates(self.manifest, {**self.objects, **objects})


def make_plates(normal: int, anomalous: int, masks: bool = True, seed: int = 0) -> Plates:
    """Plates of 96x96 pixels; an anomalous one has a bright spot of 20 pixels somewhere."""
    rng = np.random.default_rng(seed)
    objects: dict[str, bytes] = {}
    lines = []
    for number in range(normal + anomalous):
        pixels = np.full((SIDE, SIDE, 3), 90, np.float64) + rng.normal(0, 6, (SIDE, SIDE, 3))
        name = f"plate-{number}"
        line: dict[str, object] = {"source-ref": f"s3://{BUCKET}/images/{name}.jpg"}
        bad = number >= normal
        line |= {"anomaly-label": int(bad), "anomaly-label-metadata": {**_IMAGE, "class-name": _class(bad)}}
        if bad:
            top, left = rng.integers(8, SIDE - 28, 2)
            pixels[top : top + 20, left : left + 20] += 120
            if masks:
                mask = np.full((SIDE, SIDE, 3), 255, np.uint8)
                mask[top : top + 20, left : left + 20] = RED
                objects[f"masks/{name}.png"] = png(mask)
                line["anomaly-mask-ref"] = f"s3://{BUCKET}/masks/{name}.png"
                line["anomaly-mask-ref-metadata"] = {
                    "type": "groundtruth/semantic-segmentation",
                    "internal-color-map": {
                        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
                        "1": {"class-name": "spot", "hex-color": "#d02020", "confidence": 0.0},
                    },
                }
        objects[f"images/{name}.jpg"] = jpeg(np.clip(pixels, 0, 255).astype(np.uint8))
        lines.append(json.dumps(line))
    return Plates("\n".join(lines).encode(), objects)


def _class(bad: bool) -> str:
    return "anomaly" if bad else "normal"


@pytest.fixture(scope="session")
def plates() -> Plates:
    """24 normal and 24 with a spot and its mask."""
    return make_plates(24, 24)


@pytest.fixture(scope="session")
def make() -> Callable[..., Plates]:
    """Makes other sets of plates: ``make(normal, anomalous, masks=True, seed=0)``."""
    return make_plates
