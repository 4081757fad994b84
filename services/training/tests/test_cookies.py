"""The goal: the sample photographs, judged right as files and as a camera's compressed video."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.video import filmed

from vigia_training.adapters.files import folder_reader
from vigia_training.app.train import Options, Result, Task, train
from vigia_vision import Session

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "cookies"
PHOTOGRAPHS = sorted((SAMPLES / "test-images").glob("*.jpg"))


@pytest.fixture(scope="module")
def result() -> Result:
    manifest = (SAMPLES / "train_segmentation.manifest").read_bytes()
    task = Task("arn:aws:lookoutvision:us-east-1:1:model/cookies/1", "cookies", "1", manifest)
    started = time.monotonic()
    result = train(task, folder_reader(SAMPLES), Options(threads=2), lambda stage, share: None)
    print(f"trained in {time.monotonic() - started:.0f} s: {result.metrics}")
    return result


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_held_back_images_are_all_right_and_the_cracks_are_found(result: Result) -> None:
    metrics = result.metrics
    assert (metrics.training_images, metrics.test_images) == (43, 20)
    assert metrics.f1 == 1.0
    (cracked,) = metrics.classes
    assert cracked.name == "cracked"
    assert cracked.f1 >= 0.8
    assert cracked.iou >= 0.65


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("camera", [False, True], ids=["files", "video"])
def test_the_further_photographs_are_right(result: Result, camera: bool) -> None:
    session = Session(result.artifact)
    assert len(PHOTOGRAPHS) == 22
    wrong = []
    for path in PHOTOGRAPHS:
        data = path.read_bytes()
        answer = session.inspect(filmed(data) if camera else data)
        if answer.is_anomalous != ("anomaly" in path.name):
            wrong.append((path.name, answer.score))
    assert len(wrong) <= 1, wrong
