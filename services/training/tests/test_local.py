"""`vigia train`: on a folder of files, with nothing else running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
    done = vigia("train", manifest, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "red: F1 1.000" in done.stdout
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
