"""Whole trainings on small generated images."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vigia_training.app.train import Options, Result, Task, train
from vigia_training.domain.errors import BadData
from vigia_training.learning.budget import Budget
from vigia_vision import Artifact, Session

ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/plates/1"
SMALL = Options(threads=2, budget=Budget(images=96, iterations=40, folds=2, fold_iterations=30))


def run(plates, options: Options = SMALL, test_manifest: bytes | None = None, seed: int = 0) -> Result:  # type: ignore[no-untyped-def]
    told: list[tuple[str, float]] = []
    task = Task(ARN, "plates", "1", plates.manifest, test_manifest, seed)
    result = train(task, plates.read, options, lambda stage, share: told.append((stage, share)))
    for stage in {stage for stage, _ in told}:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
    assert (told[0][0], told[-1]) == ("reading", ("evaluating", 1.0))
    return result


@pytest.fixture(scope="module")
def result(plates) -> Result:  # type: ignore[no-untyped-def]
    return run(plates)


def test_a_segmentation_model_is_learnt(result: Result, plates) -> None:  # type: ignore[no-untyped-def]
    manifest = result.artifact.manifest
    assert manifest.kind == "anomaly-segmentation"
    assert [(label.name, label.color) for label in manifest.labels] == [("spot", "#D02020")]
    assert (manifest.input.image_width, manifest.input.image_height) == (96, 96)
    assert (result.metrics.training_images, result.metrics.test_images) == (28, 20)
    assert result.metrics.f1 == 1.0
    (spot,) = result.metrics.classes
    assert spot.name == "spot"
    assert spot.f1 > 0.6
    assert spot.iou > 0.4
    answer = Session(result.artifact).inspect(plates.objects["images/plate-40.jpg"])
    assert answer.is_anomalous
    assert [label.name for label in answer.labels] == ["spot"]
    assert answer.labels[0].area == pytest.approx(400 / 96**2, rel=0.6)


def test_the_artifact_is_whole_and_its_golden_samples_hold(result: Result) -> None:
    artifact = Artifact.load(result.artifact.all_files())
    session = Session(artifact)
    samples = list(artifact.golden_samples())
    assert [golden.is_anomalous for golden in artifact.manifest.golden] == [True, True, False, False]
    for sample in samples:
        assert sample.difference(session.infer(sample.tensor[None])) < 1e-4
    batch = np.stack([sample.tensor for sample in samples])
    assert session.infer(batch)["score"].shape == (4, 1)


def test_the_same_job_gives_the_same_artifact(result: Result, plates) -> None:  # type: ignore[no-untyped-def]
    assert run(plates).artifact.digest == result.artifact.digest


#: What every artifact's manifest says of how it was made.
PROVENANCE = {
    "model_arn",
    "seed",
    "training_manifest_sha256",
    "test_manifest_sha256",
    "data_sha256",
    "data_files",
    "backbone",
    "backbone_sha256",
    "budget",
    "device",
    "threads",
    "code",
    "python",
    "torch",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "onnx",
    "onnxruntime",
    "pillow",
    "simplejpeg",
}


def test_the_manifest_says_what_it_was_made_of(result: Result, plates) -> None:  # type: ignore[no-untyped-def]
    told = result.artifact.manifest.provenance
    assert set(told) == PROVENANCE | {"precision"}
    assert (told["seed"], told["device"], told["data_files"]) == ("0", "cpu", "72")
    assert told["training_manifest_sha256"] == hashlib.sha256(plates.manifest).hexdigest()
    lines = sorted((f"s3://plates/{key}", hashlib.sha256(data).hexdigest()) for key, data in plates.objects.items())
    together = "".join(f"{digest}  {address}\n" for address, digest in lines)
    assert told["data_sha256"] == hashlib.sha256(together.encode()).hexdigest()


def test_the_evaluation_files_have_the_shapes_of_the_guide(result: Result) -> None:
    lines = [json.loads(line) for line in result.evaluation_manifest.splitlines()]
    assert len(lines) == 20
    for line in lines:
        assert set(line) == {
            "source-ref",
            "source-ref-metadata",
            "anomaly-label",
            "anomaly-label-metadata",
            "anomaly-label-detected",
            "anomaly-label-detected-metadata",
        }
        assert set(line["anomaly-label-metadata"]) == {
            "class-name",
            "type",
            "human-annotated",
            "creation-date",
            "job-name",
        }
        detected = line["anomaly-label-detected-metadata"]
        assert detected["model-arn"] == ARN
        assert (detected["project-name"], detected["model-version"]) == ("plates", "1")
        assert detected["human-annotated"] == "no"
        assert 0.5 <= detected["confidence"] <= 1
        assert line["anomaly-label-detected"] == (detected["class-name"] == "anomaly")
    document = json.loads(result.evaluation_result)
    assert document["Version"] == 1
    assert document["EvaluationDetails"]["ModelArn"] == ARN
    assert document["EvaluationDetails"]["NumberOfTrainingImages"] == 28
    assert document["EvaluationDetails"]["NumberOfTestingImages"] == 20
    measures = document["AggregatedEvaluationResults"]["Metrics"]
    assert set(measures) == {
        "ROCAUC",
        "AveragePrecision",
        "Precision",
        "Recall",
        "F1Score",
        "PixelAnomalyClassMetrics",
    }
    (label,) = measures["PixelAnomalyClassMetrics"]
    assert set(label) == {"Precision", "Recall", "F1Score", "AIIOU", "ClassName"}


def test_the_report_has_the_numbers_of_the_evaluation_and_shows_images(result: Result) -> None:
    assert result.report is not None
    numbers = json.loads(result.report.json)
    assert (numbers["training_images"], numbers["test_images"]) == (28, 20)
    assert numbers["image"]["f1"]["value"] == result.metrics.f1
    assert [label["name"] for label in numbers["labels"]] == ["spot"]
    assert numbers["labels"][0]["iou"]["value"] == result.metrics.classes[0].iou
    assert {warning["kind"] for warning in numbers["warnings"]} <= {"few_images", "note"}
    page = result.report.html.decode()
    assert page.count("<img ") == len(numbers["shown"]) > 0
    assert list(result.evaluation_files("plates-1")) == [
        "EvaluationManifest-plates-1.json",
        "EvaluationResult-plates-1.json",
        "EvaluationReport-plates-1.html",
        "EvaluationReport-plates-1.json",
    ]


def test_the_report_names_test_images_that_were_learnt(make: Callable) -> None:  # type: ignore[type-arg]
    plates = make(20, 12)
    lines = plates.manifest.splitlines()
    copied = plates.changed({f"again/{key}": data for key, data in plates.objects.items()})
    result = run(copied, test_manifest=b"\n".join(lines[:3] + lines[-3:]).replace(b"/images/", b"/again/images/"))
    assert result.report is not None
    (warning,) = [w for w in json.loads(result.report.json)["warnings"] if w["kind"] == "duplicate"]
    assert warning["count"] == 6
    assert "s3://plates/again/images/plate-0.jpg" in warning["images"]


def test_without_masks_a_classification_model_is_learnt(make: Callable) -> None:  # type: ignore[type-arg]
    result = run(make(22, 22, masks=False))
    assert result.artifact.manifest.kind == "anomaly-classification"
    assert result.metrics.f1 >= 0.9
    assert result.metrics.classes == []
    assert "PixelAnomalyClassMetrics" not in result.evaluation_result.decode()


def test_normal_images_alone_are_enough_to_learn_from(make: Callable) -> None:  # type: ignore[type-arg]
    test = make(10, 10, masks=False, seed=1)
    learn = make(20, 0)
    both = learn.changed({f"test/{key}": data for key, data in test.objects.items()})
    result = run(both, test_manifest=test.manifest.replace(b"/images/", b"/test/images/"))
    assert result.artifact.manifest.kind == "anomaly-classification"
    assert result.metrics.roc_auc > 0.9
    assert result.metrics.training_images == 20


def bad_image(side: int = 96) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (1, 2, 3)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("key", "data", "problem"),
    [
        ("images/plate-3.jpg", b"", "plate-3.jpg: no bytes"),
        ("images/plate-3.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "plate-3.jpg"),
        ("images/plate-47.jpg", bad_image(80), "plate-47.jpg: 80x80"),
        ("masks/plate-30.png", bad_image(), "plate-30.png: colour #010203"),
        ("masks/plate-47.png", bad_image(80), "plate-47.png: 80x80"),
        ("masks/plate-47.png", b"GIF89a", "plate-47.png"),
        ("images/plate-3.jpg", bytes(8 * 1024 * 1024 + 1), "plate-3.jpg: 8388609 bytes; at most 8388608 are read"),
        ("images/plate-3.jpg", bad_image(4097), "plate-3.jpg: 4097x4097 pixels; the longer side may have 4096"),
        ("images/plate-3.jpg", bad_image(63), "plate-3.jpg: 63x63 pixels; the first image, s3://plates/images/plate-"),
        ("images/plate-3.jpg", None, "image s3://plates/images/plate-3.jpg: it is gone"),
        ("masks/plate-30.png", None, "mask s3://plates/masks/plate-30.png: it is gone"),
    ],
)
def test_bad_files_fail_the_job_by_name(plates, key: str, data: bytes | None, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadData, match=problem):
        run(plates.changed({key: data}))


def test_several_bad_files_are_named_together(plates) -> None:  # type: ignore[no-untyped-def]
    wrong = {"images/plate-3.jpg": b"", "masks/plate-30.png": bad_image(), "images/plate-47.jpg": bad_image(80)}
    with pytest.raises(BadData, match="3 images or masks cannot be used") as caught:
        run(plates.changed(wrong))
    assert all(key in str(caught.value) for key in wrong)
    with pytest.raises(BadData, match="10 or more images or masks cannot be used") as caught:
        run(plates.changed({f"images/plate-{n}.jpg": bad_image(80) for n in range(24, 48)}))
    assert len(str(caught.value)) < 2000


def test_images_that_are_too_small_are_refused_by_name(plates) -> None:  # type: ignore[no-untyped-def]
    small = plates.changed({key: bad_image(63) for key in plates.objects if key.startswith("images/")})
    with pytest.raises(BadData, match=r"plate-\d+.jpg: 63x63 pixels; at least 64x64 are needed"):
        run(small)


def test_no_labelled_images_are_bad_data(make: Callable) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadData, match="normal"):
        run(make(0, 20))


def test_photographs_of_one_part_do_not_teach_and_test(make: Callable) -> None:  # type: ignore[type-arg]
    plates = make(24, 24)
    lines = [dict(line, **{"part-id": number // 4}) for number, line in enumerate(plates.lines)]
    marked = replace(plates, manifest="\n".join(map(json.dumps, lines)).encode())
    result = run(marked, replace(SMALL, budget=Budget(images=48, iterations=10, folds=2, fold_iterations=10)))
    tested = {json.loads(line)["source-ref"] for line in result.evaluation_manifest.splitlines()}
    parts = {line["part-id"] for line in lines if line["source-ref"] in tested}
    assert len(tested) == 4 * len(parts)
    assert result.metrics.warnings == []
    assert "Warnings" not in json.loads(result.evaluation_result)


def test_test_images_of_parts_that_taught_are_told(make: Callable) -> None:  # type: ignore[type-arg]
    learn, test = make(20, 0), make(10, 10, masks=False, seed=1)
    objects = {f"test/{key}": data for key, data in test.objects.items()}
    objects["test/images/plate-0.jpg"] = learn.objects["images/plate-0.jpg"]
    result = run(learn.changed(objects), test_manifest=test.manifest.replace(b"/images/", b"/test/images/"))
    (warning,) = json.loads(result.evaluation_result)["Warnings"]
    assert result.metrics.warnings == [warning]
    assert warning.startswith("1 of 20 test images")


def test_of_more_images_than_the_budget_some_teach_and_it_is_told(make: Callable) -> None:  # type: ignore[type-arg]
    budget = Budget(images=48, iterations=10, folds=2, fold_iterations=10, examples=16)
    result = run(make(24, 24), replace(SMALL, budget=budget))
    assert result.metrics.training_images == 28
    assert any("of 28 training images, chosen at random" in warning for warning in result.metrics.warnings)
