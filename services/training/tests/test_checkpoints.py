"""A training that was killed goes on from where it was, and ends as if nothing had happened."""

from __future__ import annotations

import io
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vigia_runtime.errors import Transient
from vigia_training.adapters.checkpoints import FolderCheckpoints
from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Task
from vigia_training.learning.backbone import load_network
from vigia_training.learning.checkpoints import NONE, Checkpoints, Part, Store
from vigia_training.learning.classification.trainer import Labelled
from vigia_training.learning.classification.trainer import fit as classify
from vigia_training.learning.features import Pool
from vigia_training.learning.fit import fit_head
from vigia_training.learning.label_budget import ClassificationBudget, DetectionBudget

ARN = "arn:local:vigia:local:000000000000:model/parts/1"
FEW = ClassificationBudget(images=16, iterations=8)


def made() -> tuple[bytes, Callable[[str], bytes]]:
    """Grey boards with a bright square: a manifest of where it is, and a reader."""
    lines, images = [], {}
    for number in range(12):
        rng = np.random.default_rng(number)
        left, top = (int(value) for value in rng.integers(4, 60, 2))
        pixels = rng.integers(90, 120, (96, 128, 3), np.uint8)
        pixels[top : top + 24, left : left + 24] += 100
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        images[f"s3://boards/{number}.png"] = file.getvalue()
        box = {"class_id": 0, "left": left, "top": top, "width": 24, "height": 24}
        size = [{"width": 128, "height": 96, "depth": 3}]
        line = {
            "source-ref": f"s3://boards/{number}.png",
            "of": {"image_size": size, "annotations": [box]},
            "of-metadata": {"type": "groundtruth/object-detection", "class-map": {"0": "square"}, "objects": []},
        }
        lines.append(json.dumps(line))
    return "\n".join(lines).encode(), images.__getitem__


class Stopped(BaseException):
    pass


def ticking(store: Store) -> Checkpoints:
    """What is learnt is kept at every third step or so, so that a death costs some."""
    return Checkpoints(store, every=3.0, clock=itertools.count().__next__)


def boards_until(folder: Path, stop: Callable[[], None] | None) -> tuple[str, float]:
    """The digest of a small detector, and from where it was learnt; ``stop`` is called when half of it is learnt."""
    manifest, read = made()
    shares = []

    def tell(stage: str, share: float) -> None:
        if stage == "training":
            shares.append(share)
        if stop is not None and stage == "training" and share >= 0.55:
            stop()

    budget = DetectionBudget(iterations=12, batch=2, crop=64)
    options = Options(threads=2, detection=budget, checkpoints=ticking(FolderCheckpoints(folder)))
    task = Task(ARN, "boards", "1", manifest)
    return train_any(task, read, options, tell).artifact.digest, min(shares)


def test_a_detector_that_was_killed_comes_out_the_same(tmp_path: Path) -> None:
    undisturbed, start = boards_until(tmp_path / "whole", None)
    killed = subprocess.run([sys.executable, __file__, tmp_path / "killed"], check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert [file.name for file in (tmp_path / "killed").iterdir()] == ["detector"]
    digest, resumed = boards_until(tmp_path / "killed", None)
    assert digest == undisturbed
    assert resumed > start, "nothing was taken from the checkpoint"


def stop(share: float) -> None:
    if share >= 0.9:
        raise Stopped


def stop_while_tuning(share: float) -> None:
    """Of a classifier: in the middle of the first tuning."""
    if share >= 0.55:
        raise Stopped


def test_a_head_goes_on_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pool = Pool(
        features=[torch.from_numpy(rng.normal(size=(12, side, side, 4))).half() for side in (16, 8, 4, 2)],
        source=np.arange(12),
        donor=np.arange(12),
        making=np.array(["plain"] * 12),
        anomalous=torch.tensor([0.0, 1.0] * 6),
        maps=torch.from_numpy(rng.integers(0, 255, (12, 1, 16, 16), np.uint8)),
        mapped=torch.ones(12, dtype=torch.bool),
        defects=torch.from_numpy(rng.integers(0, 255, (12, 1, 8, 8), np.uint8)),
        located=torch.ones(12, dtype=torch.bool),
    )

    def fit(tell: Callable[[float], None], checkpoints: Checkpoints = NONE) -> list[Any]:
        head = fit_head(pool, np.arange(12), 1, 20, 0, torch.device("cpu"), tell, checkpoints)
        return [value.tolist() for value in head.state_dict().values()]

    undisturbed = fit(lambda _: None)
    with pytest.raises(Stopped):
        fit(stop, ticking(FolderCheckpoints(tmp_path)))
    heard: list[float] = []
    assert fit(heard.append, ticking(FolderCheckpoints(tmp_path))) == undisturbed
    assert len(heard) < 10


def test_a_classifier_goes_on_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [
        Labelled(rng.integers(0, 255, (64, 64, 3), np.uint8), np.eye(2, dtype=np.float32)[number % 2])
        for number in range(8)
    ]
    given = load_network()

    def fit(tell: Callable[[float], None], checkpoints: Checkpoints = NONE) -> list[Any]:
        found = classify(given, images, [0, 1], True, FEW, 0, torch.device("cpu"), tell, checkpoints)
        return [value.tolist() for value in found.classifier.state_dict().values()]

    undisturbed = fit(lambda _: None)
    with pytest.raises(Stopped):
        fit(stop_while_tuning, ticking(FolderCheckpoints(tmp_path)))
    assert list(tmp_path.iterdir())
    assert fit(lambda _: None, ticking(FolderCheckpoints(tmp_path))) == undisturbed


class Memory:
    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.fails: Exception | None = None

    def get(self, name: str) -> bytes | None:
        if self.fails:
            raise self.fails
        return self.data.get(name)

    def put(self, name: str, data: bytes) -> None:
        if self.fails:
            raise self.fails
        self.data[name] = data


def learnt(seed: int) -> tuple[dict[str, Part], np.random.Generator]:
    """A layer with its optimiser, some steps on."""
    torch.manual_seed(seed)
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(layer.parameters())
    rng = np.random.default_rng(seed)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.from_numpy(rng.normal(size=(4, 2))).float()).sum().backward()
        optimizer.step()
    return {"layer": layer, "optimizer": optimizer}, rng


def test_everything_comes_back() -> None:
    store = Memory()
    parts, rng = learnt(0)
    checkpoints = Checkpoints(store).of("a")
    assert checkpoints.resume("x", parts, rng) == 0
    checkpoints.keep("x", parts, rng.bit_generator.state, 7, 8)
    assert not store.data  # it was not time
    checkpoints.keep("x", parts, rng.bit_generator.state, 8, 8)
    expected = (rng.random(), torch.rand(1).item(), parts["layer"].state_dict()["weight"].tolist())
    others, other = learnt(1)
    assert Checkpoints(store).of("a").resume("x", others, other) == 8
    assert (other.random(), torch.rand(1).item(), others["layer"].state_dict()["weight"].tolist()) == expected
    assert others["optimizer"].state_dict()["state"][0]["step"] == 3


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-10],
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"",
        lambda data: b"nonsense" * 20,
    ],
)
def test_a_damaged_one_is_left_aside(harm: Callable[[bytes], bytes]) -> None:
    store = Memory()
    parts, rng = learnt(0)
    Checkpoints(store).of("a").keep("x", parts, rng.bit_generator.state, 8, 8)
    store.data["x"] = harm(store.data["x"])
    assert Checkpoints(store).of("a").resume("x", parts, rng) == 0


def test_one_of_another_training_is_left_aside() -> None:
    store = Memory()
    parts, rng = learnt(0)
    Checkpoints(store).of("a").keep("x", parts, rng.bit_generator.state, 8, 8)
    assert Checkpoints(store).of("b").resume("x", parts, rng) == 0


@pytest.mark.parametrize("error", [OSError("disk full"), Transient("no store")])
def test_a_store_that_fails_ends_no_training(error: Exception) -> None:
    store = Memory()
    store.fails = error
    parts, rng = learnt(0)
    checkpoints = Checkpoints(store).of("a")
    assert checkpoints.resume("x", parts, rng) == 0
    checkpoints.keep("x", parts, rng.bit_generator.state, 8, 8)


def _kill() -> None:
    signal.raise_signal(signal.SIGKILL)


if __name__ == "__main__":
    boards_until(Path(sys.argv[1]), _kill)
