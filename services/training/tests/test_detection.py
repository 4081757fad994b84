"""Trainings of detectors on small generated boards, and what they are made of."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from structlog.testing import capture_logs

from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Result, Task
from vigia_training.domain.errors import BadData
from vigia_training.learning.detection.annotated import Annotated
from vigia_training.learning.detection.boxes import pairwise_iou, suppress
from vigia_training.learning.detection.crops import Cropper, Variation
from vigia_training.learning.detection.loss import Truth, detection_loss
from vigia_training.learning.label_budget import DetectionBudget
from vigia_vision import Artifact, Session

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/boards/version/1/1700000000000"
SMALL = Options(threads=2, detection=DetectionBudget(iterations=60, batch=6, crop=96))
WIDE, HIGH = 128, 96
NAMES = {"0": "bright", "3": "dark"}


@dataclass(frozen=True)
class Boards:
    lines: list[dict[str, object]]
    objects: Mapping[str, bytes]

    @property
    def manifest(self) -> bytes:
        return "\n".join(json.dumps(line) for line in self.lines).encode()

    def read(self, uri: str) -> bytes:
        return self.objects[uri]


def make_boards(count: int, seed: int = 0) -> Boards:
    """Grey boards of 128x96 pixels with up to two bright and dark squares; every fifth has none."""
    rng = np.random.default_rng(seed)
    lines, objects = [], {}
    for number in range(count):
        pixels = np.full((HIGH, WIDE, 3), 110, np.float64) + rng.normal(0, 6, (HIGH, WIDE, 3))
        boxes = []
        for half, identifier in enumerate((0, 3) if number % 5 else ()):
            if rng.random() < 0.8:
                side = int(rng.integers(16, 28))
                left = int(rng.integers(2, WIDE // 2 - side - 2)) + half * WIDE // 2
                top = int(rng.integers(2, HIGH - side - 2))
                pixels[top : top + side, left : left + side] += 100 if identifier == 0 else -90
                boxes.append({"class_id": identifier, "left": left, "top": top, "width": side, "height": side})
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        uri = f"s3://boards/{number}.jpg"
        objects[uri] = file.getvalue()
        lines.append(line(uri, boxes))
    return Boards(lines, objects)


def line(uri: str, boxes: list[dict[str, int]], width: int = WIDE, height: int = HIGH) -> dict[str, object]:
    return {
        "source-ref": uri,
        "defects": {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": boxes},
        "defects-metadata": {
            "objects": [{"confidence": 1} for _ in boxes],
            "class-map": NAMES,
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2013-11-18T02:53:27",
        },
    }


def run(boards: Boards, options: Options = SMALL, test_manifest: bytes | None = None) -> Result:
    told: list[tuple[str, float]] = []
    task = Task(ARN, "boards", "1", boards.manifest, test_manifest)
    result = train_any(task, boards.read, options, lambda stage, share: told.append((stage, share)))
    for stage in {stage for stage, _ in told}:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
    assert (told[0][0], told[-1]) == ("reading", ("evaluating", 1.0))
    return result


@pytest.fixture(scope="module")
def boards() -> Boards:
    return make_boards(50)


@pytest.fixture(scope="module")
def result(boards: Boards) -> Result:
    return run(boards)


def test_objects_are_found_where_they_are(result: Result, boards: Boards) -> None:
    manifest = result.artifact.manifest
    assert manifest.kind == "object-detection"
    assert [label.name for label in manifest.labels] == ["bright", "dark"]
    metrics = result.metrics
    assert metrics.training_images + metrics.test_images == 50
    assert metrics.average_precision > 0.9
    assert metrics.f1 > 0.85
    assert [label.name for label in metrics.labels] == ["bright", "dark"]
    assert manifest.decision.label_thresholds == tuple(label.threshold for label in metrics.labels)
    number = next(n for n, one in enumerate(boards.lines) if len(one["defects"]["annotations"]) == 2)  # type: ignore[index]
    session = Session(result.artifact)
    findings = session.find(boards.objects[f"s3://boards/{number}.jpg"])
    true = boards.lines[number]["defects"]["annotations"]  # type: ignore[index]
    assert {finding.label for finding in findings} == {"bright", "dark"}
    for box in true:
        best = next(f for f in findings if f.label == NAMES[str(box["class_id"])])
        assert best.box is not None
        assert best.box.left * WIDE == pytest.approx(box["left"], abs=4)
        assert best.box.height * HIGH == pytest.approx(box["height"], abs=6)


def test_images_of_other_sizes_are_examined_too(result: Result, boards: Boards) -> None:
    number = next(n for n, one in enumerate(boards.lines) if len(one["defects"]["annotations"]) == 2)  # type: ignore[index]
    with Image.open(io.BytesIO(boards.objects[f"s3://boards/{number}.jpg"])) as image:
        wide = Image.new("RGB", (WIDE * 5 // 2, HIGH * 2), (110, 110, 110))
        wide.paste(image.resize((WIDE * 2, HIGH * 2)), (0, 0))
    file = io.BytesIO()
    wide.save(file, "PNG")
    box = next(b for b in boards.lines[number]["defects"]["annotations"] if b["class_id"] == 0)  # type: ignore[index]
    best = next(f for f in Session(result.artifact).find(file.getvalue(), 0.1) if f.label == "bright")
    assert best.box is not None
    assert best.box.left * WIDE * 1.25 == pytest.approx(box["left"], abs=5)
    assert best.box.top * HIGH == pytest.approx(box["top"], abs=5)


def test_the_artifact_is_whole_and_its_golden_samples_hold(result: Result) -> None:
    artifact = Artifact.load(result.artifact.all_files())
    session = Session(artifact)
    samples = list(artifact.golden_samples())
    assert samples
    for sample in samples:
        assert sample.difference(session.infer(sample.tensor[None])) < 1e-4
    batch = np.stack([sample.tensor for sample in samples])
    together = session.infer(batch)
    for number, sample in enumerate(samples):
        assert sample.difference({name: values[number] for name, values in together.items()}) < 1e-3


def test_the_same_job_gives_the_same_artifact(boards: Boards) -> None:
    few = Options(threads=2, detection=DetectionBudget(iterations=4, batch=2, crop=64))
    assert run(boards, few).artifact.digest == run(boards, few).artifact.digest


def test_objects_that_are_hardly_seen_are_told_of_before_the_long_part() -> None:
    boards = make_boards(12, seed=2)
    thin = {"class_id": 0, "left": 20, "top": 20, "width": 2, "height": 12}
    lines = [*boards.lines, line("s3://boards/3.jpg", [thin])]
    told: list[str] = []
    few = Options(threads=2, detection=DetectionBudget(iterations=2, batch=2, crop=64))
    with capture_logs() as logs:
        result = train_any(
            Task(ARN, "boards", "1", Boards(lines, {}).manifest, boards.manifest),
            boards.read,
            few,
            lambda stage, share: told.extend(
                log["warning"] for log in logs if stage == "training" and "warning" in log
            ),
        )
    twins, warning = result.metrics.warnings  # the same boards test
    assert "near-duplicates" in twins
    assert warning.startswith("1 of ")
    assert "in 1 images, are under 4 pixels on their shorter side at the model's resolution, 192x160" in warning
    assert told[0] == warning


def test_the_evaluation_files_have_the_shapes_of_the_guide(result: Result) -> None:
    lines = [json.loads(text) for text in result.evaluation_manifest.splitlines()]
    assert len(lines) == result.metrics.test_images
    for one in lines:
        said, metadata = (
            one["rekognition-custom-labels-evaluation"],
            one["rekognition-custom-labels-evaluation-metadata"],
        )
        assert len(said["annotations"]) == len(metadata["objects"])
        assert said["image_size"] == [{"width": WIDE, "height": HIGH, "depth": 3}]
        for item in metadata["objects"]:
            details = item["rekognition-custom-labels-evaluation-details"]
            names = ("true-positive", "true-negative", "false-positive", "false-negative")
            assert sum(details[f"is-{name}"] for name in names) == 1
    document = json.loads(result.evaluation_result)
    assert document["EvaluationDetails"]["ProjectVersionArn"] == ARN
    aggregated = document["AggregatedEvaluationResults"]
    assert set(aggregated) == {"Precision", "Recall", "F1Score", "AveragePrecision", "AverageRecall"}
    assert aggregated["F1Score"] == pytest.approx(np.mean([label.f1 for label in result.metrics.labels]))
    scores = [label["Metrics"]["F1Score"] for label in document["LabelEvaluationResults"]]
    assert scores == sorted(scores, reverse=True)


def test_the_report_has_the_figures_of_the_metrics(result: Result) -> None:
    files = result.evaluation_files("boards-1")
    assert b"<figure" in files["EvaluationReport-boards-1.html"]
    report = json.loads(files["EvaluationReport-boards-1.json"])
    metrics = result.metrics
    assert (report["training_images"], report["test_images"]) == (metrics.training_images, metrics.test_images)
    assert report["overall"]["average_precision"]["value"] == pytest.approx(metrics.average_precision)
    assert [label["threshold"] for label in report["labels"]] == [label.threshold for label in metrics.labels]
    assert sum(label["right"] + label["missed"] for label in report["labels"]) == sum(
        row["found"]["total"] for row in report["sizes"] if row["measure"] == "share of the image"
    )


def boxed(**box: int) -> dict[str, object]:
    return line("s3://boards/7.jpg", [box])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (line("s3://boards/7.jpg", [], 640, 480), r"7.jpg: 128x96 pixels; manifest line 8 gives its boxes for 640x480"),
        ({"source-ref": ""}, "line 8: source-ref is missing"),
        ({"defects": {}}, "line 8: defects has no image_size"),
        (boxed(class_id=9, left=1, top=1, width=9, height=9), "line 8: class 9 of defects is not in its class-map"),
        (boxed(class_id=0, left=1), "line 8: box 1 of defects needs"),
    ],
)
def test_bad_lines_fail_the_job_by_number(boards: Boards, fields: dict[str, object], problem: str) -> None:
    lines = [one | fields if number == 7 else one for number, one in enumerate(boards.lines)]
    with pytest.raises(BadData, match=problem):
        run(Boards(lines, boards.objects))


def test_bad_images_fail_the_job_by_name(boards: Boards) -> None:
    wrong = {**boards.objects, "s3://boards/3.jpg": b"GIF89a", "s3://boards/5.jpg": b""}
    with pytest.raises(BadData, match="2 images cannot be used") as caught:
        run(Boards(boards.lines, wrong))
    assert "3.jpg" in str(caught.value)
    assert "5.jpg: no bytes" in str(caught.value)


def test_suppression_keeps_what_no_kept_box_overlaps() -> None:
    boxes = torch.tensor([[[0, 0, 10, 10], [1, 0, 11, 10], [3.4, 0, 13.4, 10], [0, 0, 10, 10], [30, 30, 40, 40]]])
    classes = torch.tensor([[0, 0, 0, 1, 0]])
    overlap = pairwise_iou(boxes, boxes)[0]
    assert overlap[0, 1] > 0.6
    assert overlap[1, 2] > 0.6
    assert overlap[0, 2] < 0.6
    # The second goes with the first, and then no longer takes the third with it.
    assert suppress(boxes, classes, 0.6, 10).tolist() == [[1, 0, 1, 1, 1]]


def test_crops_show_what_their_boxes_say() -> None:
    rng = np.random.default_rng(3)
    images = []
    for shade in (200, 250):
        pixels = np.full((150, 200, 3), 20, np.uint8)
        pixels[40:80, 120:150] = shade
        box = np.array([[120, 40, 150, 80]], np.float32)
        images.append(Annotated(pixels, box, np.array([shade == 250], np.int64), np.zeros((0, 4), np.float32)))
    cropper = Cropper(images, 96, Variation(light=0.0, contrast=0.0), rng)
    seen = 0
    for _ in range(60):
        crop = cropper.draw()
        assert crop.pixels.shape == (96, 96, 3)
        for left, top, right, bottom in np.round(crop.boxes).astype(int).tolist():
            inner = crop.pixels[top + 3 : bottom - 3, left + 3 : right - 3].astype(float)
            assert inner.size
            assert inner.mean() > 150
            seen += 1
        bright = (crop.pixels[..., 0] > 150).astype(float)
        for left, top, right, bottom in np.concatenate([crop.boxes, crop.ignored]).tolist():
            bright[max(0, int(top) - 4) : int(bottom) + 5, max(0, int(left) - 4) : int(right) + 5] = 0
        assert not bright.any()
    assert seen > 40


def test_the_loss_falls_to_little_for_the_truth() -> None:
    at = torch.tensor([[x * 8 + 4.0, y * 8 + 4.0] for y in range(8) for x in range(8)])
    stride = torch.full((64,), 8.0)
    truth = Truth(torch.tensor([[10.0, 10, 34, 34]]), torch.tensor([1]), torch.zeros(0, 4))
    boxes = truth.boxes[None].expand(1, 64, 4)
    inside = ((at > 10) & (at < 34)).all(1)
    logits = torch.full((1, 64, 2), -8.0)
    logits[0, inside, 1] = 8.0
    right = detection_loss(logits, boxes, at, stride, [truth])
    wrong = detection_loss(logits, boxes + 20, at, stride, [truth])
    assert right < 0.05
    assert wrong > right + 1
    # Nothing is taught where a region is ignored.
    nothing = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.tensor([[0.0, 0, 64, 64]]))
    assert detection_loss(logits, boxes, at, stride, [nothing]) == 0
