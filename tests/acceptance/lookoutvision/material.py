"""Images to train on, in the form of the guide's getting-started set: photographs, masks, a manifest template."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[3]
SIDE = 96
_GIVEN = {"human-annotated": "yes", "creation-date": "2022-08-22T20:52:51"}


@dataclass(frozen=True)
class Material:
    """``folder`` holds training-images, mask-images, test-images and template.manifest; ``label`` is its one label."""

    folder: Path
    label: str
    color: str
    size: tuple[int, int]
    normal: int
    anomalous: int


COOKIES = Material(ROOT / "shared" / "samples" / "cookies", "cracked", "#23A436", (576, 768), 31, 32)


def plates(folder: Path) -> Material:
    """Grey plates of 96x96 pixels, half of them with a bright spot: learnt in seconds."""
    rng = np.random.default_rng(7)
    for name in ("training-images", "mask-images", "test-images"):
        (folder / name).mkdir(parents=True)
    lines = []
    for number in range(44):
        name = "anomaly" if number >= 22 else "normal"
        file = f"{name}-{number}"
        mask = _plate(folder / "training-images" / f"{file}.jpg", name == "anomaly", rng)
        line: dict[str, object] = {
            "source-ref": f"training-images/{file}.jpg",
            "anomaly-label": int(mask is not None),
            "anomaly-label-metadata": {"class-name": name, "type": "groundtruth/image-classification", **_GIVEN},
        }
        if mask is not None:
            mask.save(folder / "mask-images" / f"{file}.png")
            colors = {
                "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
                "1": {"class-name": "spot", "hex-color": "#d02020", "confidence": 0.0},
            }
            line["anomaly-mask-ref"] = f"mask-images/{file}.png"
            line["anomaly-mask-ref-metadata"] = {
                "internal-color-map": colors,
                "type": "groundtruth/semantic-segmentation",
                **_GIVEN,
            }
        lines.append(json.dumps(line))
    (folder / "template.manifest").write_text("\n".join(lines))
    for number in range(4):
        for name in ("normal", "anomaly"):
            _plate(folder / "test-images" / f"test-{name}-{number}.jpg", name == "anomaly", rng)
    return Material(folder, "spot", "#D02020", (SIDE, SIDE), 22, 22)


def _plate(file: Path, spotted: bool, rng: np.random.Generator) -> Image.Image | None:
    """Writes a plate; returns the mask of its spot, if it has one."""
    pixels = np.full((SIDE, SIDE, 3), 90.0) + rng.normal(0, 6, (SIDE, SIDE, 3))
    mask = None
    if spotted:
        top, left = rng.integers(8, SIDE - 28, 2)
        pixels[top : top + 20, left : left + 20] += 120
        truth = np.full((SIDE, SIDE, 3), 255, np.uint8)
        truth[top : top + 20, left : left + 20] = (0xD0, 0x20, 0x20)
        mask = Image.fromarray(truth)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return mask
