"""A real model and real photographs at 640x480, made once and kept under the state folder."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

from PIL import Image

from vigia_stack import paths
from vigia_vision.artifact import Artifact

WIDTH, HEIGHT = 640, 480
_SAMPLES = paths.repository() / "shared" / "samples" / "cookies"


def photographs() -> list[bytes]:
    """The 22 held-back cookie photographs as JPEGs of 640x480."""
    return [resized(path.read_bytes()) for path in sorted((_SAMPLES / "test-images").glob("*.jpg"))]


def resized(data: bytes, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """The same picture as a JPEG of other sides."""
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.resize((width, height), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()


def artifact(state: Path) -> Artifact:
    """A segmentation model trained on the cookie photographs at 640x480."""
    out = state / "bench" / "model"
    if not (out / "done").exists():
        shutil.rmtree(out, ignore_errors=True)
        images = _training_set(state / "bench" / "images")
        command = [paths.script("vigia-training"), "train", str(images / "train.manifest")]
        subprocess.run([*command, "--images", str(images), "--out", str(out)], check=True)
        (out / "done").touch()
    return Artifact.load(next(path.parent for path in sorted(out.rglob("manifest.json"))))


def _training_set(folder: Path) -> Path:
    lines = [json.loads(text) for text in (_SAMPLES / "train_segmentation.manifest").read_text().splitlines()]
    for kind in ("training-images", "mask-images"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for path in (_SAMPLES / "training-images").glob("*.jpg"):
        (folder / "training-images" / path.name).write_bytes(resized(path.read_bytes()))
    for path in (_SAMPLES / "mask-images").glob("*.png"):
        with Image.open(path) as mask:
            mask.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(folder / "mask-images" / path.name)
    (folder / "train.manifest").write_text("\n".join(json.dumps(line) for line in lines))
    return folder
