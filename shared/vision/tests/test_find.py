"""What the numbers of models that give labels become, and how images of any size reach them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_vision import Box, Finding, Manifest, find, interpret
from vigia_vision.interpret import BadOutput
from vigia_vision.manifest import Decision, InputContract, Label, TensorSpec, Threshold
from vigia_vision.prepare import fitted, letterbox_area

LABELS = (Label(name="cap", color="#23a436"), Label(name="watch", color="#4dd8ff"))
PLACES = 4


def detector(**changes: object) -> Manifest:
    shapes = {"score": (-1, 1), "boxes": (-1, PLACES, 4), "scores": (-1, PLACES), "classes": (-1, PLACES)}
    manifest = Manifest(
        kind="object-detection",
        labels=LABELS,
        input=InputContract(
            width=64, height=64, image_width=640, image_height=640, any_size=True, preparation="letterbox-area/1"
        ),
        outputs=tuple(TensorSpec(name=name, shape=shape) for name, shape in shapes.items()),
        threshold=Threshold(value=0.3),
        decision=Decision(label_thresholds=(0.6, 0.3)),
    )
    return Manifest.model_validate(manifest.model_dump() | changes)


def classifier(kind: str) -> Manifest:
    return Manifest(
        kind=kind,
        labels=LABELS,
        input=InputContract(width=64, height=64, image_width=640, image_height=640, any_size=True),
        outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="confidences", shape=(-1, 2))),
        threshold=Threshold(value=0.3),
        decision=Decision(label_thresholds=(0.6, 0.3)),
    )


def objects(*found: tuple[list[float], float, int]) -> dict[str, np.ndarray]:
    boxes, scores, classes = np.zeros((PLACES, 4), np.float32), np.zeros(PLACES, np.float32), np.zeros(PLACES)
    for place, (box, score, label) in enumerate(found):
        boxes[place], scores[place], classes[place] = box, score, label
    return {"score": scores[:1], "boxes": boxes, "scores": scores, "classes": classes.astype(np.float32)}


def test_each_label_has_its_own_threshold_unless_the_caller_has_one() -> None:
    outputs = objects(
        ([0.25, 0.25, 0.5, 0.75], 0.75, 1),
        ([0, 0, 0.5, 0.5], 0.5, 0),
        ([0.5, 0.5, 1, 1], 0.375, 1),
        ([0, 0, 1, 1], 0.25, 1),
    )
    found = find(outputs, detector(), 100, 100)
    assert found == (
        Finding("watch", 0.75, Box(0.25, 0.25, 0.25, 0.5)),
        Finding("watch", 0.375, Box(0.5, 0.5, 0.5, 0.5)),
    )
    assert [(one.label, one.confidence) for one in find(outputs, detector(), 100, 100, 0.5)] == [
        ("watch", 0.75),
        ("cap", 0.5),
    ]
    assert len(find(outputs, detector(), 100, 100, 0.0)) == 4


def test_boxes_are_shares_of_the_image_not_of_the_tensor() -> None:
    # A wide image fills the upper half of the tensor: what lies below is its margin.
    outputs = objects(([0.5, 0.25, 1, 0.75], 0.9, 0), ([0, 0.625, 1, 1], 0.8, 0))
    (found,) = find(outputs, detector(), 800, 400)
    assert found.box == Box(0.5, 0.5, 0.5, 0.5)


@pytest.mark.parametrize("kind", ["classification", "multilabel-classification"])
def test_labels_of_an_image_come_surest_first(kind: str) -> None:
    outputs = {"score": np.array([0.65]), "confidences": np.array([0.35, 0.65], np.float32)}
    assert [one.label for one in find(outputs, classifier(kind), 10, 10)] == ["watch"]
    assert [one.label for one in find(outputs, classifier(kind), 10, 10, 0.1)] == ["watch", "cap"]
    assert all(one.box is None for one in find(outputs, classifier(kind), 10, 10, 0.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": np.array([np.nan, 0, 0, 0])},
        {"scores": np.array([1.5, 0, 0, 0])},
        {"boxes": np.zeros((PLACES, 3))},
        {"classes": np.array([2.0, 0, 0, 0])},
        {"classes": np.array([0.5, 0, 0, 0])},
    ],
)
def test_numbers_that_break_the_promise_are_refused(changes: dict[str, np.ndarray]) -> None:
    with pytest.raises(BadOutput):
        find(objects(([0, 0, 1, 1], 0.9, 0)) | changes, detector(), 10, 10)


def test_models_answer_for_their_own_kind_alone() -> None:
    with pytest.raises(BadOutput, match="does not judge"):
        interpret(objects(), detector(), 0.5, 10, 10)
    verdicts = Manifest(
        kind="anomaly-classification",
        input=InputContract(width=8, height=8, image_width=8, image_height=8),
        outputs=(TensorSpec(name="score", shape=(-1, 1)),),
        threshold=Threshold(value=0.5),
    )
    with pytest.raises(BadOutput, match="finds no labels"):
        find({"score": np.array([0.5])}, verdicts, 8, 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ()},
        {"decision": {"label_thresholds": (0.5,)}},
        {"outputs": [{"name": "score", "shape": (-1, 1)}]},
        {"kind": "classification"},
    ],
)
def test_a_manifest_that_lacks_what_its_kind_needs_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs"):
        detector(**changes)


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_letterboxed_image_keeps_its_shape_and_is_grey_around(width: int, height: int) -> None:
    tensor = letterbox_area(np.full((height, width, 3), 255, np.uint8), 96, 64)
    wide, high = fitted(width, height, 96, 64)
    assert tensor.shape == (64, 96, 3)
    assert wide == 96 or high == 64
    scale = min(96 / width, 64 / height)
    assert (wide, high) == (
        pytest.approx(max(width * scale, 1), abs=0.5),
        pytest.approx(max(height * scale, 1), abs=0.5),
    )
    assert (tensor[:high, :wide] == 255).all()
    assert (tensor[high:] == 127).all()
    assert (tensor[:, wide:] == 127).all()
