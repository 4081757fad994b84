"""`vigia train`: on a folder of files, with nothing else running."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vigia_training.adapters.files import folder_reader
from vigia_training.domain.errors import BadData
from vigia_training.entrypoints.local import train_files
from vigia_vision import Artifact, Session

VIGIA = Path(sys.executable).with_name("vigia")


#: So little work is enough for colours.
SMALL = {"CLASSIFICATION_IMAGES": "16", "CLASSIFICATION_ITERATIONS": "10"}


def vigia(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {f"VIGIA_TRAINING_LEARNING__{name}": value for name, value in SMALL.items()}
    return subprocess.run([VIGIA, *arguments], capture_output=True, text=True, check=False, env=environment)


def paint(folder: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(90, 130, (80, 80, 3), dtype=np.uint8)
    pixels[:, :, 0 if "red" in name else 2] = 230
    Image.fromarray(pixels).save(folder / name)


def test_a_manifest_of_local_files_becomes_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    lines = []
    for number in range(12):
        label = "red" if number % 2 else "blue"
        paint(tmp_path / "pictures", f"{label}-{number}.png", number)
        near = f"pictures/{label}-{number}.png"
        place = [near, str(tmp_path / near), f"s3://bucket/somewhere/{near}"][number % 3]
        metadata = {"class-name": label, "type": "groundtruth/image-classification", "confidence": 1}
        lines.append(json.dumps({"source-ref": place, "colour": 1, "colour-metadata": metadata}))
    manifest = tmp_path / "train.manifest"
    manifest.write_text("\n".join(lines))
    out = tmp_path / "out"
    only = vigia("train", manifest, "--out", out, "--estimate")
    assert (only.returncode, only.stdout.count("\n")) == (0, 1), only.stderr
    assert not out.exists()
    done = vigia("train", manifest, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "red: F1 1.000" in done.stdout
    estimate, first, *_ = done.stdout.splitlines()
    assert re.fullmatch(r"about [\d.]+ (s|min), \d+ MB of memory, an artifact of \d+ MB", estimate)
    assert re.search(r"reading, [\d.]+ (s|min) left$", first)
    assert not (out / "checkpoints").exists()
    artifact = Artifact.load(out / "artifact")
    assert artifact.manifest.kind == "classification"
    (best, *_) = Session(artifact).find((tmp_path / "pictures" / "red-1.png").read_bytes(), 0.0)
    assert best.label == "red"
    assert json.loads((out / "EvaluationResult-local-1.json").read_bytes())["EvaluationDetails"]["Labels"] == [
        "blue",
        "red",
    ]


def test_data_that_cannot_be_trained_on_is_told_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "train.manifest"
    metadata = {"class-name": "red", "type": "groundtruth/image-classification"}
    manifest.write_text(json.dumps({"source-ref": "gone.png", "colour": 1, "colour-metadata": metadata}))
    assert train_files(manifest, None, tmp_path, tmp_path / "out", "local", 0) == 1
    assert "1 labels; a model of the kind classification needs 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_told_before_anything_is_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "train.manifest"
    lines = []
    for number in range(24):
        label = "red" if number % 2 else "blue"
        paint(tmp_path, f"{label}.png", number)
        metadata = {"class-name": label, "type": "groundtruth/image-classification"}
        lines.append(json.dumps({"source-ref": f"{label}.png", "colour": 1, "colour-metadata": metadata}))
    manifest.write_text("\n".join(lines))
    monkeypatch.setenv("VIGIA_TRAINING_LEARNING__HOURS", "0.0001")
    assert train_files(manifest, None, tmp_path, tmp_path / "out", "local", 0) == 1
    told = capsys.readouterr()
    assert "this training does not fit: it would take about" in told.err
    assert "VIGIA_TRAINING_LEARNING__HOURS allows 0 s" in told.err
    assert not (tmp_path / "out").exists()


def test_an_image_of_a_hundred_megapixels_is_refused_unopened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A header is enough: nothing of the rest is there, so nothing of it was read.
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    large = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    for name in ("red.png", "blue.png"):
        (tmp_path / name).write_bytes(large)
    lines = []
    for label in ("red", "blue") * 6:
        metadata = {"class-name": label, "type": "groundtruth/image-classification"}
        lines.append(json.dumps({"source-ref": f"{label}.png", "colour": 1, "colour-metadata": metadata}))
    manifest = tmp_path / "train.manifest"
    manifest.write_text("\n".join(lines))
    assert train_files(manifest, None, tmp_path, tmp_path / "out", "local", 0) == 1
    assert "red.png: 10000x10000 pixels; the longer side may have 4096" in capsys.readouterr().err


def test_files_are_looked_for_in_the_folder_alone_unless_their_path_is_whole(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    read = folder_reader(inner)
    assert read("s3://bucket/x/a.png") == b"a"
    assert read(str(tmp_path / "b.png")) == b"b"
    with pytest.raises(BadData, match="it is not in"):
        read("../b.png")
