"""Custom Labels trainings: lines that cannot be used are told of and left out, manifests that cannot be, fail."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import SecretStr

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import OutputLocation, TrainingCompleted, TrainingFailed, TrainingRequest
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import ObjectSettings
from vigia_training.adapters.child import ChildTrainer
from vigia_training.adapters.storage import task_of
from vigia_training.app.custom_labels import lighter, train_custom_labels
from vigia_training.app.images import Read
from vigia_training.app.label_data import LabelData
from vigia_training.app.train import Options, Task
from vigia_training.app.validation import CheckFiles, datasets_of, validate
from vigia_training.domain.errors import BadData, Unreadable
from vigia_training.domain.given import (
    EMPTY,
    TOO_LARGE,
    UNREADABLE,
    ManifestLimits,
    lines_of,
    read_given,
    with_validation,
)
from vigia_training.domain.progress import Moment
from vigia_training.domain.text import sha256_of
from vigia_training.learning.label_budget import DetectionBudget
from vigia_vision import decode
from vigia_vision.decode import DEFAULT_LIMITS

VERSION = "first.v1"
ARN = f"arn:aws:rekognition:us-east-1:123456789012:project/shapes/version/{VERSION}/1700000000000"
LIMITS = ManifestLimits()
INVALID_ROWS = "The manifest file contains too many invalid rows."


def encoded(pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=90)
    return file.getvalue()


def painted(color: str, seed: int, size: tuple[int, int] = (80, 80)) -> np.ndarray:
    """An image of its own, ``size`` wide and high, mostly red, green or blue."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 150, (4, 4, 3)).repeat(-(-size[1] // 4), 0).repeat(-(-size[0] // 4), 1)
    pixels = np.clip(coarse[: size[1], : size[0]] + rng.normal(0, 4, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    pixels[:, :, ("red", "green", "blue").index(color)] = 230
    return pixels


@dataclass
class Pictures:
    """Manifest lines, and the objects that they name; an object that is an error cannot be read."""

    lines: list[object] = field(default_factory=list)
    objects: dict[str, bytes | Unreadable] = field(default_factory=dict)
    bucket: str = "pictures"

    def add(self, data: bytes | Unreadable | None, *attributes: Mapping[str, object]) -> None:
        uri = f"s3://{self.bucket}/{len(self.lines)}.jpg"
        if data is not None:
            self.objects[uri] = data
        line: dict[str, object] = {"source-ref": uri}
        for one in attributes:
            line |= one
        self.lines.append(line)

    def add_colors(self, count: int, *colors: str, seed: int = 0) -> None:
        """So many images of each colour, labelled with it."""
        for _ in range(count):
            for color in colors:
                self.add(encoded(painted(color, seed + len(self.lines))), label(color, "color"))

    @property
    def text(self) -> bytes:
        return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in self.lines)

    def read(self, uri: str) -> bytes:
        data = self.objects.get(uri)
        if data is None:
            raise Unreadable(f"{uri}: it does not exist")
        if isinstance(data, Unreadable):
            raise data
        return data


def label(name: str, attribute: str) -> dict[str, object]:
    return {
        attribute: 1,
        f"{attribute}-metadata": {
            "confidence": 1,
            "class-name": name,
            "human-annotated": "yes",
            "creation-date": "2022-01-21T14:21:05",
            "type": "groundtruth/image-classification",
        },
    }


def boxes(size: tuple[int, int], *found: tuple[int, int, int, int, int]) -> dict[str, object]:
    """Boxes: class 0 is bright, 3 is dark; left, top, width, height."""
    names = ("class_id", "left", "top", "width", "height")
    return {
        "bb": {
            "image_size": [{"width": size[0], "height": size[1], "depth": 3}],
            "annotations": [dict(zip(names, one, strict=True)) for one in found],
        },
        "bb-metadata": {
            "objects": [{"confidence": 1} for _ in found],
            "class-map": {"0": "bright", "3": "dark"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2013-11-18T02:53:27",
        },
    }


@dataclass(frozen=True)
class Checked:
    """What a validation came to: what to learn from, or why not, and what it wrote."""

    data: LabelData | None
    said: str
    files: CheckFiles

    @property
    def summary(self) -> Any:
        return json.loads(self.files.summary)

    @property
    def training(self) -> Any:
        return self.summary["statistics"]["training"]

    @property
    def testing(self) -> Any:
        return self.summary["statistics"]["testing"]

    def codes(self, part: str = "training") -> list[str]:
        return [one["code"] for one in self.summary["statistics"][part]["errors"]]


def checked(
    training: Pictures, testing: Pictures | None = None, limits: ManifestLimits = LIMITS, read: Read | None = None
) -> Checked:
    task = Task(ARN, "shapes", VERSION, training.text, testing.text if testing else None)
    both = Pictures(objects=training.objects | (testing.objects if testing else {}))
    kept: list[CheckFiles] = []
    data, said = None, ""
    try:
        data = validate(datasets_of(task, limits), read or both.read, limits, 0, lambda share: None, kept.append)
    except BadData as error:
        said = str(error)
    (files,) = kept
    return Checked(data, said, files)


def errors_in(line: bytes) -> list[str]:
    """Codes at the top of a line of a validation manifest."""
    fields = json.loads(line)
    return [one["code"] for one in (*fields.get("errors", ()), *fields.get("warnings", ()))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", EMPTY),
        (b"\xef\xbb\xbf \n\n", EMPTY),
        (b"\x89PNG\r\n\x1a\n\0\0", UNREADABLE),
        (b"image,label\na.png,red\n", UNREADABLE),
        (b"{}" * 60, TOO_LARGE),
    ],
)
def test_what_is_no_manifest_fails_before_anything_is_looked_at(text: bytes, message: str) -> None:
    with pytest.raises(BadData) as failed:
        read_given(text, ManifestLimits(manifest_bytes=100))
    assert str(failed.value) == message


@given(st.lists(st.sampled_from([b"", b" ", b"{}", b"x\r"]), max_size=6), st.booleans())
def test_lines_are_numbered_as_an_editor_does(lines: list[bytes], ended: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    found = list(lines_of(text, 100))
    expected = text.split(b"\n")
    while expected and len(expected) > len(found) and not expected[-1].strip():
        expected.pop()
    assert found == expected
    assert len(text.split(b"\n")) - len(found) <= 1


@given(st.binary(max_size=60).map(lambda text: text.replace(b"\x01", b"\n")), st.integers(1, 12))
def test_of_a_line_that_is_too_long_the_beginning_is_read(text: bytes, most: int) -> None:
    every = list(lines_of(text, 100))
    assert list(lines_of(text, most)) == [line[:most] for line in every]


def test_a_manifest_may_lie_in_a_file(tmp_path: Path) -> None:
    pictures = Pictures()
    pictures.add_colors(3, "red", "blue")
    pictures.lines += [b"[", b"x" * 5_000_000, b""]
    file = tmp_path / "some.manifest"
    file.write_bytes(pictures.text)
    held, read = read_given(pictures.text, LIMITS), read_given(file, LIMITS)
    assert (read.total, read.valid, read.wrong) == (held.total, held.valid, held.wrong)
    every = range(1, read.total + 1)
    assert list(with_validation(read, LIMITS, every)) == list(with_validation(held, LIMITS, every))
    assert sha256_of(file) == sha256_of(pictures.text)


def test_bad_lines_are_left_out_and_told_where_they_are() -> None:
    pictures = Pictures()
    pictures.add_colors(14, "red", "blue")
    unused = [{"source-ref": "s3://pictures/none.jpg"}]
    pictures.lines[2:2] = [b"{no json", *unused]
    pictures.add(b"GIF89a", label("red", "color"))
    pictures.add(None, label("red", "color"))
    found = checked(pictures)
    assert found.data is not None
    assert (found.data.kind, found.data.labels, found.said) == ("classification", ("blue", "red"), "")
    assert len(found.data.learn) + len(found.data.test) == 28
    total = {name: found.training[name] + found.testing[name] for name in found.training if name.endswith("_lines")}
    assert total == {
        "total_json_lines": 32,
        "valid_json_lines": 28,
        "invalid_json_lines": 3,
        "ignored_json_lines": 1,
    }
    assert found.summary["errors"] == found.training["errors"] == found.testing["errors"] == []
    assert (found.training["use_case"], found.testing["use_case"]) == ("IMAGE_LEVEL_LABELS", "IMAGE_LEVEL_LABELS")

    learnt, tested = list(found.files.training()), list(found.files.testing())
    assert found.testing["error_json_line_indices"] == []
    assert {json.loads(line)["source-ref"] for line in tested} == {one.uri for one in found.data.test}
    assert found.training["total_json_lines"] == len(learnt)
    indices = found.training["error_json_line_indices"]
    assert [errors_in(learnt[number - 1]) for number in indices] == [
        ["ERROR_INVALID_JSON_LINE"],
        ["ERROR_INVALID_IMAGE"],
        ["ERROR_INVALID_IMAGE"],
    ]
    assert [errors_in(line) for line in learnt].count(["WARNING_UNANNOTATED_RECORD"]) == 1
    assert json.loads(learnt[indices[0] - 1]).keys() == {"errors"}
    assert found.files.named("shapes-v1").keys() == {
        "ManifestSummary-shapes-v1.json",
        "TrainingManifestWithValidation-shapes-v1.json",
        "TestingManifestWithValidation-shapes-v1.json",
    }

    # What was written may be trained on.
    again = Pictures([line.rstrip() for line in learnt], pictures.objects)
    test = Pictures([line.rstrip() for line in tested], pictures.objects)
    anew = checked(again, test)
    assert list(anew.files.training()) == list(found.files.training())
    assert anew.data is not None
    assert {one.uri for one in anew.data.learn} == {one.uri for one in found.data.learn}


@pytest.mark.parametrize(("bad", "fails"), [(2, False), (3, True)])
def test_up_to_a_fifth_of_the_lines_may_be_invalid_whatever_is_wrong_with_them(bad: int, fails: bool) -> None:
    pictures = Pictures()
    pictures.add_colors(4, "red", "blue")
    for number in range(bad):
        if number % 2:
            pictures.lines.append(b"]")
        else:
            pictures.add(b"no image", label("red", "color"))
    pictures.lines += [{"source-ref": "s3://pictures/unlabelled.jpg"}] * (10 - 8 - min(bad, 2))
    found = checked(pictures)
    assert found.training["invalid_json_lines"] + found.testing["invalid_json_lines"] == bad
    if fails:
        assert found.said == INVALID_ROWS
        assert found.training["errors"] == [
            {"code": "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", "message": INVALID_ROWS}
        ]
        assert found.training["use_case"] == found.testing["use_case"] == "NOT_DETERMINED"
        assert found.training["error_json_line_indices"] == [9, 10, 11]
        assert found.testing["total_json_lines"] == 0
        assert list(found.files.testing()) == []
    else:
        assert found.said == ""


def test_the_guides_example_fails() -> None:
    training, testing = Pictures(), Pictures(bucket="tests")
    training.add_colors(146, "red")
    training.lines += [b"x"] * 155
    testing.add_colors(13, "red")
    testing.lines[12:12] = [b"x"]
    testing.lines += [b"x"]
    found = checked(training, testing)
    wanted = {"total_json_lines": 301, "valid_json_lines": 146, "invalid_json_lines": 155, "ignored_json_lines": 0}
    assert {name: found.training[name] for name in wanted} == wanted
    assert found.training["use_case"] == found.testing["use_case"] == "NOT_DETERMINED"
    assert (found.testing["valid_json_lines"], found.testing["error_json_line_indices"]) == (13, [13, 15])
    assert found.codes("testing") == []
    assert found.said == INVALID_ROWS


@pytest.mark.parametrize(
    ("size", "attribute", "code"),
    [
        ((63, 80), label("red", "color"), "ERROR_INVALID_IMAGE"),
        ((4097, 300), label("red", "color"), "ERROR_INVALID_IMAGE"),
        ((2100, 100), label("red", "color"), "ERROR_INVALID_IMAGE"),
        ((63, 80), boxes((80, 80), (0, 5, 5, 20, 20)), "ERROR_INVALID_IMAGE_DIMENSION"),
        ((90, 80), boxes((80, 80), (0, 5, 5, 20, 20)), "ERROR_INVALID_IMAGE_DIMENSION"),
    ],
)
def test_images_of_a_size_that_cannot_be(size: tuple[int, int], attribute: dict[str, object], code: str) -> None:
    pictures = Pictures()
    pictures.add_colors(6, "red", "blue")
    pictures.add(encoded(painted("red", 99, size), "PNG"), attribute)
    found = checked(pictures)
    assert found.data is not None
    (number,) = found.training["error_json_line_indices"]
    assert errors_in(list(found.files.training())[number - 1]) == [code]


def test_an_image_has_at_most_so_many_bytes() -> None:
    pictures = Pictures()
    pictures.add_colors(6, "red", "blue")
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    pictures.add(encoded(noise, "PNG"), label("red", "color"))
    found = checked(pictures, limits=ManifestLimits(image_bytes=40_000))
    assert found.training["invalid_json_lines"] == 1


def test_a_box_that_is_wrong_costs_its_image_nothing() -> None:
    pictures = Pictures()
    for number in range(10):
        size = (80, 80)
        wrong = ((3, 70, 70, 20, 20),) if number == 4 else ()
        pictures.add(encoded(painted("red", number)), boxes(size, (0, 5, 5, 20, 20), (3, 40, 40, 20, 20), *wrong))
    found = checked(pictures)
    assert found.data is not None
    assert (found.data.kind, found.data.labels) == ("object-detection", ("bright", "dark"))
    assert found.training["use_case"] == "OBJECT_LOCALIZATION"
    assert found.training["invalid_json_lines"] + found.testing["invalid_json_lines"] == 0
    assert len([*found.training["error_json_line_indices"], *found.testing["error_json_line_indices"]]) == 1
    assert all(len(one.boxes or ()) == 2 for one in (*found.data.learn, *found.data.test))


def test_of_mixed_lines_those_of_the_kind_that_most_have_are_used() -> None:
    pictures = Pictures()
    for number in range(12):
        attributes = [boxes((80, 80), (0, 5, 5, 20, 20))] if number % 3 else []
        pictures.add(encoded(painted("red", number)), label(("red", "blue")[number % 2], "color"), *attributes)
    found = checked(pictures)
    assert found.data is not None
    assert found.data.kind == "classification"  # every image has a label, eight have boxes
    assert len(found.data.learn) + len(found.data.test) == 12

    for line in pictures.lines[:9]:
        del line["color"], line["color-metadata"]  # type: ignore[attr-defined]
    pictures.lines = [line for line in pictures.lines if len(line) > 1]  # type: ignore[arg-type]
    found = checked(pictures)
    assert found.data is not None
    assert found.data.kind == "object-detection"
    assert found.training["use_case"] == "OBJECT_LOCALIZATION"
    assert found.training["valid_json_lines"] + found.testing["valid_json_lines"] == len(pictures.lines)
    assert len(found.data.learn) + len(found.data.test) == 8


def test_logos_alone_are_learnt_to_be_found_in_boxes() -> None:
    logos, scenes = Pictures(), Pictures(bucket="scenes")
    logos.add_colors(3, "red")
    for line in logos.lines:
        line["color-metadata"]["class-name"] = "bright"  # type: ignore[index]
    scenes.add(encoded(painted("blue", 7)), boxes((80, 80), (0, 5, 5, 20, 20)))
    found = checked(logos, scenes)
    assert found.data is not None
    assert (found.data.kind, found.data.logos, found.data.labels) == ("object-detection", True, ("bright",))
    assert (found.training["use_case"], found.testing["use_case"]) == ("IMAGE_LEVEL_LABELS", "OBJECT_LOCALIZATION")


def test_images_come_from_one_bucket() -> None:
    pictures = Pictures()
    pictures.add_colors(3, "red", "blue")
    pictures.bucket = "elsewhere"
    pictures.add_colors(1, "red", "blue")
    found = checked(pictures)
    assert found.codes() == ["ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS"]
    assert found.said == "The manifest file contains images from multiple S3 buckets."


@pytest.mark.parametrize(
    ("denied", "code", "message"),
    [
        (False, "ERROR_FAILED_IMAGES_S3_COPY", "Failed to copy images from S3 bucket."),
        (True, "ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET", "The permissions for the images S3 bucket are invalid."),
    ],
)
def test_where_no_image_can_be_got_it_is_the_buckets_fault(denied: bool, code: str, message: str) -> None:
    pictures = Pictures()
    for number in range(4):
        pictures.add(Unreadable("it may not be", denied), label(("red", "blue")[number % 2], "color"))
    found = checked(pictures)
    assert (found.codes(), found.said) == ([code], message)
    assert found.training["invalid_json_lines"] == 4


def test_images_that_are_all_too_large_are_invalid_not_missing() -> None:
    pictures = Pictures()
    pictures.add_colors(3, "red", "blue")

    def read(uri: str) -> bytes:
        raise BadData(f"{uri}: it has more than 7 bytes")

    found = checked(pictures, read=read)
    assert found.codes() == ["ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"]


def test_labels_are_counted() -> None:
    pictures = Pictures()
    pictures.add_colors(6, "red")
    found = checked(pictures)
    assert found.codes() == ["ERROR_MANIFEST_TOO_FEW_LABELS"]
    assert found.training["use_case"] == "IMAGE_LEVEL_LABELS"
    pictures.add(encoded(painted("blue", 77)), boxes((80, 80), (0, 5, 5, 20, 20)))
    found = checked(pictures)
    assert found.codes() == ["ERROR_MANIFEST_TOO_FEW_USABLE_LABELS"]
    pictures.add_colors(6, "green", "blue")
    found = checked(pictures, limits=ManifestLimits(labels=3))
    assert (found.codes(), found.said) == (["ERROR_MANIFEST_TOO_MANY_LABELS"], "The manifest file has too many labels.")
    found = checked(pictures, limits=ManifestLimits(lines=8))
    assert found.codes() == ["ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM"]
    assert found.training["total_json_lines"] == 8


def test_a_label_is_tested_with_so_many_images_at_most() -> None:
    training, testing = Pictures(), Pictures(bucket="tests")
    training.add_colors(6, "red", "blue")
    testing.add_colors(3, "red", "blue", seed=50)
    assert checked(training, testing, ManifestLimits(tests_of_label=3)).said == ""
    found = checked(training, testing, ManifestLimits(tests_of_label=2))
    assert found.codes("testing") == ["ERROR_TOO_MANY_IMAGES_PER_LABEL"]
    assert found.codes() == []
    assert found.said == "The manifest file has too many images of a label."
    # Where training divides the images itself it keeps to the limit, and its test manifest may be given back.
    training.add_colors(6, "red", "blue", seed=100)
    split = checked(training, limits=ManifestLimits(tests_of_label=1))
    assert split.data is not None
    assert [one.labels for one in sorted(split.data.test, key=lambda one: one.labels)] == [("blue",), ("red",)]
    assert len(split.data.learn) == 22


def test_an_image_that_comes_again_costs_its_line() -> None:
    pictures = Pictures()
    pictures.add_colors(5, "red", "blue")
    pictures.lines.append(pictures.lines[0])
    pictures.lines.insert(1, pictures.lines[0])
    found = checked(pictures)
    assert found.data is not None
    assert len(found.data.learn) + len(found.data.test) == 10
    assert found.training["invalid_json_lines"] == 2
    said = [errors_in(line) for line in found.files.training()]
    assert said.count(["ERROR_DUPLICATE_SOURCE_REF"]) == 2
    # They are terminal errors of content: a fifth of the lines is the most.
    pictures.lines.append(pictures.lines[0])
    found = checked(pictures)
    assert found.codes() == ["ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", "ERROR_TOO_MANY_RECORDS_IN_ERROR"]
    assert found.training["error_json_line_indices"] == [2, 12, 13]


def test_unlabelled_images_alone_teach_nothing() -> None:
    pictures = Pictures()
    for _ in range(3):
        pictures.add(None)
    found = checked(pictures)
    assert (found.codes(), found.training["use_case"]) == (["ERROR_MANIFEST_TOO_FEW_LABELS"], "NOT_DETERMINED")
    assert found.training["ignored_json_lines"] == 3


def test_half_of_the_training_labels_are_tested() -> None:
    training, testing = Pictures(), Pictures(bucket="tests")
    training.add_colors(3, "red", "green")
    for number, name in enumerate(("red", "other")):
        testing.add(encoded(painted("red", 50 + number)), label(name, "color"))
    found = checked(training, testing)
    assert found.data is not None
    assert [one.labels for one in found.data.test] == [("red",)]  # of the other label nothing was learnt
    training.add_colors(3, "blue")
    found = checked(training, testing)
    message = "Less than 50% label overlap between the training and testing manifest files."
    assert found.summary["errors"] == [{"code": "ERROR_INSUFFICIENT_LABEL_OVERLAP", "message": message}]
    assert (found.said, found.codes(), found.codes("testing")) == (message, [], [])
    testing.add(encoded(painted("green", 60)), boxes((80, 80), (0, 5, 5, 20, 20)))
    testing.lines[-1]["bb-metadata"]["class-map"]["0"] = "green"  # type: ignore[index]
    found = checked(training, testing)
    assert [one["code"] for one in found.summary["errors"]] == ["ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP"]
    assert found.said == "Less than 50% usable label overlap between the training and testing manifest files."


def test_what_cannot_be_split_is_told() -> None:
    pictures = Pictures()
    pictures.add_colors(1, "red", "blue")
    found = checked(pictures)
    assert found.codes() == ["ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT"]
    assert found.training["use_case"] == "IMAGE_LEVEL_LABELS"


def test_boxes_become_a_detector_and_its_files() -> None:
    rng = np.random.default_rng(0)
    boards = Pictures(bucket="boards")
    for number in range(12):
        pixels = np.full((96, 96, 3), 110, np.float64) + rng.normal(0, 6, (96, 96, 3))
        left, top = (int(place) for place in rng.integers(4, 60, 2))
        pixels[top : top + 24, left : left + 24] += 100 if number % 2 else -90
        boards.add(
            encoded(np.clip(pixels, 0, 255).astype(np.uint8)),
            boxes((96, 96), (3 * (1 - number % 2), left, top, 24, 24)),
        )
    boards.add(None, boxes((96, 96), (0, 5, 5, 20, 20)))
    task = Task(ARN, "boards", VERSION, boards.text)
    kept: list[CheckFiles] = []
    told: list[str] = []
    options = Options(threads=2, detection=DetectionBudget(iterations=10, batch=2, crop=96))
    result = train_custom_labels(
        task,
        datasets_of(task, LIMITS),
        boards.read,
        options,
        LIMITS,
        lambda stage, share: told.append(stage),
        kept.append,
    )
    assert len(kept) == 1
    assert list(dict.fromkeys(told)) == ["reading", "training", "exporting", "evaluating"]
    learnt = [json.loads(line) for line in (result.training_snapshot or b"").splitlines()]
    tested = [json.loads(line) for line in result.evaluation_manifest.splitlines()]
    assert len(learnt) + len(tested) == 12
    given = {line["source-ref"]: line for line in boards.lines}  # type: ignore[index]
    for line in (*learnt, *tested):
        truth = line["rekognition-custom-labels-training-0"]
        names = line["rekognition-custom-labels-training-0-metadata"]["class-map"]
        (box,), (true,) = truth["annotations"], given[line["source-ref"]]["bb"]["annotations"]
        assert {side: box[side] for side in ("left", "top", "width", "height")} == {
            side: true[side] for side in ("left", "top", "width", "height")
        }
        assert names[str(box["class_id"])] == ("bright" if true["class_id"] == 0 else "dark")
        assert truth["image_size"] == [{"width": 96, "height": 96, "depth": 3}]
    aggregated = json.loads(result.evaluation_result)["AggregatedEvaluationResults"]
    assert {"AveragePrecision", "AverageRecall"} <= aggregated.keys()
    assert "ConfusionMatrix" not in aggregated
    assert list(result.evaluation_files("boards-v1"))[:3] == [
        "TestingGroundTruth-boards-v1.json",
        "EvaluationResultSummary-boards-v1.json",
        "TrainingGroundTruth-boards-v1.json",
    ]


class Jobs:
    """A bucket with pictures, and the process that trains on them."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, bucket

    async def train(self, pictures: Pictures) -> TrainingCompleted | TrainingFailed:
        for uri, data in pictures.objects.items():
            self.client.put_object(Bucket=self.bucket, Key=uri.split("/", 3)[3], Body=data)
        text = pictures.text.replace(b"s3://pictures/", f"s3://{self.bucket}/".encode())
        self.client.put_object(Bucket=self.bucket, Key="snapshot.manifest", Body=text)

        async def tell(moment: Moment) -> None:
            pass

        return await ChildTrainer().train(self.request("snapshot.manifest"), 1, tell)

    def request(self, key: str, output: str | None = None) -> TrainingRequest:
        return TrainingRequest(
            service="rekognition",
            model_arn=ARN,
            account_id="123456789012",
            region="us-east-1",
            project="shapes",
            model_version=VERSION,
            training_manifest=ObjectRef(bucket=self.bucket, key=key),
            output=OutputLocation(bucket=output or self.bucket, prefix="out"),
            artifact_prefix=OutputLocation(bucket=self.bucket, prefix="artifacts"),
            requested_at=datetime.now(UTC),
        )

    def written(self, ref: ObjectRef | None) -> bytes:
        assert ref is not None
        assert ref.bucket == self.bucket
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=ref.key)["Body"].read()
        return body

    @property
    def files(self) -> set[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix="out/").get("Contents", [])
        return {item["Key"] for item in found}


@pytest.fixture
def jobs(object_store: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    for name, value in {
        "KAFKA__BOOTSTRAP": "localhost:9",
        "OBJECTS__ENDPOINT": object_store.endpoint,
        "OBJECTS__ACCESS_KEY_ID": object_store.access_key_id,
        "OBJECTS__SECRET_ACCESS_KEY": object_store.secret_access_key,
        "OBJECTS__SEALING_KEY": "a-root-key-of-thirty-two-characters",
        "LEARNING__CLASSIFICATION_IMAGES": "16",
        "LEARNING__CLASSIFICATION_ITERATIONS": "10",
        "LEARNING__PRECISION": "float32",
        "MANIFESTS__IMAGE_BYTES": "100000",
    }.items():
        monkeypatch.setenv(f"VIGIA_TRAINING_{name}", value)
    client, bucket = object_store.client(), f"{topic_prefix.strip('.')}-pictures"
    client.create_bucket(Bucket=bucket)
    return Jobs(client, bucket)


async def test_a_job_leaves_bad_lines_out_and_writes_the_guides_files(jobs: Jobs) -> None:
    pictures = Pictures()
    pictures.add_colors(8, "red", "blue")
    pictures.add(bytes(200_000), label("red", "color"))  # more than an image may have
    pictures.add(None, label("blue", "color"))
    outcome = await jobs.train(pictures)
    assert isinstance(outcome, TrainingCompleted), outcome
    end = f"shapes-{VERSION}"
    named = {
        f"out/EvaluationResultSummary-{end}.json": outcome.evaluation_result,
        f"out/TestingGroundTruth-{end}.json": outcome.evaluation_manifest,
        f"out/TrainingGroundTruth-{end}.json": outcome.training_snapshot,
    }
    assert outcome.checks is not None
    named |= {
        f"out/ManifestSummary-{end}.json": outcome.checks.summary,
        f"out/TrainingManifestWithValidation-{end}.json": outcome.checks.training,
        f"out/TestingManifestWithValidation-{end}.json": outcome.checks.testing,
    }
    assert {key: ref.key for key, ref in named.items() if ref is not None} == {key: key for key in named}
    assert jobs.files == named.keys() | {f"out/EvaluationReport-{end}.html", f"out/EvaluationReport-{end}.json"}

    summary = json.loads(jobs.written(outcome.checks.summary))["statistics"]["training"]
    assert (summary["invalid_json_lines"], summary["use_case"]) == (2, "IMAGE_LEVEL_LABELS")
    lines = jobs.written(outcome.checks.training).splitlines()
    assert [errors_in(lines[number - 1]) for number in summary["error_json_line_indices"]] == [
        ["ERROR_INVALID_IMAGE"],
        ["ERROR_INVALID_IMAGE"],
    ]
    details = json.loads(jobs.written(outcome.evaluation_result))
    assert details["EvaluationDetails"]["ProjectVersionArn"] == ARN
    assert details["AggregatedEvaluationResults"]["ConfusionMatrix"]
    counts = [details["EvaluationDetails"][f"NumberOf{part}Images"] for part in ("Training", "Testing")]
    assert sum(counts) == 16
    learnt = jobs.written(outcome.training_snapshot).splitlines()
    assert [len(learnt), len(jobs.written(outcome.evaluation_manifest).splitlines())] == counts
    assert json.loads(learnt[0])["rekognition-custom-labels-training-0-metadata"]["class-name"] in ("red", "blue")
    assert outcome.manifest["kind"] == "classification"


async def test_a_job_fails_with_its_checks(jobs: Jobs) -> None:
    pictures = Pictures()
    pictures.add_colors(3, "red", "blue")
    pictures.lines += [b"["] * 2
    outcome = await jobs.train(pictures)
    assert isinstance(outcome, TrainingFailed)
    assert (outcome.code, outcome.message) == ("bad_data", INVALID_ROWS)
    assert outcome.checks is not None
    summary = json.loads(jobs.written(outcome.checks.summary))["statistics"]["training"]
    assert (summary["total_json_lines"], summary["error_json_line_indices"]) == (8, [7, 8])
    assert jobs.written(outcome.checks.testing) == b""
    assert len(jobs.files) == 3


async def test_what_cannot_be_read_or_written_is_told_before_anything_is_looked_at(
    jobs: Jobs, object_store: Any, tmp_path: Path
) -> None:
    secret = SecretStr(object_store.secret_access_key)
    store = ObjectStore(
        ObjectSettings(
            endpoint=object_store.endpoint, access_key_id=object_store.access_key_id, secret_access_key=secret
        )
    )
    jobs.client.put_object(Bucket=jobs.bucket, Key="large.manifest", Body=bytes(20_000))
    for request, limits, message in (
        (jobs.request("large.manifest", "no-such-bucket-anywhere"), LIMITS, "Unable to write to output S3 bucket."),
        (jobs.request("missing.manifest"), LIMITS, UNREADABLE),
        (jobs.request("large.manifest"), ManifestLimits(manifest_bytes=10_000), TOO_LARGE),
    ):
        with pytest.raises(BadData) as failed:
            await task_of(store, request, limits, tmp_path)
        assert str(failed.value) == message


def test_images_of_up_to_15_megabytes_are_learnt_from() -> None:
    noise = np.random.default_rng(0).integers(90, 154, (2000, 2000, 3), dtype=np.uint8)
    large = encoded(noise, "PNG")
    assert DEFAULT_LIMITS.max_bytes < len(large) < LIMITS.image_bytes
    small = encoded(noise[:80, :80])
    read = lighter({"large": large, "small": small}.__getitem__, LIMITS)
    assert read("small") == small
    assert len(read("large")) < DEFAULT_LIMITS.max_bytes
    assert np.abs(decode(read("large")).astype(float) - noise).mean() < 16  # of noise a JPEG keeps little
