"""Matches, thresholds and metrics of labels and boxes, against counts made by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from vigia_training.domain.annotations import Annotation, Boxed
from vigia_training.domain.label_evaluation import measure_labels, summary
from vigia_training.domain.label_metrics import average_precision, best, claims, match
from vigia_training.domain.label_outcomes import Examined
from vigia_vision import Box, Finding


def test_a_true_box_is_taken_once_by_the_surest() -> None:
    true = np.array([[0, 0, 10, 10], [20, 0, 10, 10]], float)
    said = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [24, 0, 10, 10], [26, 0, 10, 10], [50, 50, 5, 5]], float)
    assert match(said, true) == [0, None, None, None, None]
    assert match(said, true, 0.4) == [0, None, 1, None, None]
    assert match(np.zeros((0, 4)), true) == []
    assert match(said[:2], np.zeros((0, 4))) == [None, None]


def test_the_threshold_is_where_f1_is_best() -> None:
    found = best(claims([0.9, 0.8, 0.6, 0.4, 0.2], [True, True, False, True, False], 4))
    assert (found.precision, found.recall, found.f1) == (0.75, 0.75, 0.75)
    assert found.threshold == pytest.approx(0.3)
    nothing = best(claims([0.9], [False], 2))
    assert (nothing.threshold, nothing.f1) == (0.5, 0.0)
    assert best(claims([], [], 3)).recall == 0


@pytest.mark.parametrize(
    ("right", "wrong", "missed", "precision", "recall", "f1"),
    [
        (8, 1, 0, 0.89, 1.0, 0.94),
        (8, 5, 0, 0.62, 1.0, 0.76),
        (5, 0, 3, 1.0, 0.62, 0.77),
        (8, 0, 0, 1.0, 1.0, 1.0),
        (9, 1, 0, 0.9, 1.0, 0.947),
        (3, 7, 0, 0.3, 1.0, 0.46),
        (19, 1, 76, 0.95, 0.2, 0.33),
    ],
)
def test_the_examples_of_custom_labels_guide(
    right: int, wrong: int, missed: int, precision: float, recall: float, f1: float
) -> None:
    found = best(claims([0.9] * (right + wrong), [True] * right + [False] * wrong, right + missed))
    assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1), abs=0.006)


def test_the_summary_of_custom_labels_guide_to_its_last_digit() -> None:
    def seen(label: str, count: int, *said: str) -> list[Examined]:
        findings = tuple(Finding(name, 0.9) for name in said)
        return [Examined(Annotation(1, "s3://b/1.jpg", (label,), None), 10, 10, findings)] * count

    results = [*seen("CAP", 381, "CAP"), *seen("CAP", 9, "WATCH"), *seen("WATCH", 227, "WATCH")]
    results += seen("WATCH", 7, "CAP")
    metrics = measure_labels(results, ["CAP", "WATCH"], "classification", 5216)
    at = datetime(2019, 11, 21, 7, 30, 23, 910943, UTC)
    document = json.loads(summary(results, metrics, "classification", "arn", at))
    overall = document["AggregatedEvaluationResults"]
    assert {name: overall[name] for name in ("F1Score", "Precision", "Recall")} == {
        "F1Score": 0.9726959470546408,
        "Precision": 0.9719115848331294,
        "Recall": 0.9735042735042735,
    }
    assert overall["ConfusionMatrix"] == [
        {"GroundTruthLabel": "CAP", "PredictedLabel": "CAP", "Value": 381 / 390},
        {"GroundTruthLabel": "CAP", "PredictedLabel": "WATCH", "Value": 9 / 390},
        {"GroundTruthLabel": "WATCH", "PredictedLabel": "CAP", "Value": 7 / 234},
        {"GroundTruthLabel": "WATCH", "PredictedLabel": "WATCH", "Value": 227 / 234},
    ]
    assert document["EvaluationDetails"] == {
        "EvaluationEndTimestamp": "2019-11-21T07:30:23.910943",
        "Labels": ["CAP", "WATCH"],
        "NumberOfTestingImages": 624,
        "NumberOfTrainingImages": 5216,
        "ProjectVersionArn": "arn",
    }
    cap, watch = document["LabelEvaluationResults"]
    for label, name, images in ((cap, "CAP", 390), (watch, "WATCH", 234)):
        assert (label["Label"], label["NumberOfTestingImages"], len(label["Metrics"])) == (name, images, 4)
    assert {name: cap["Metrics"][name] for name in ("F1Score", "Precision", "Recall")} == {
        "F1Score": 0.9794344473007711,
        "Precision": 0.9819587628865979,
        "Recall": 0.9769230769230769,
    }
    assert {name: watch["Metrics"][name] for name in ("F1Score", "Precision", "Recall")} == {
        "F1Score": 0.9659574468085106,
        "Precision": 0.961864406779661,
        "Recall": 0.9700854700854701,
    }


def test_claims_that_are_equally_sure_count_together() -> None:
    found = best(claims([0.7, 0.7, 0.7], [True, False, False], 1))
    assert found.precision == pytest.approx(1 / 3)
    assert found.threshold < 0.7


def test_average_precision_is_the_area_under_the_falling_curve() -> None:
    assert average_precision(claims([0.9, 0.8, 0.7], [True, False, True], 2)) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(claims([0.9], [True], 2)) == 0.5
    assert average_precision(claims([], [], 0)) == 0
    # Claims that are equally sure have no order that could help.
    assert average_precision(claims([0.9, 0.9], [True, False], 1)) == 0.5


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=40))
def test_metrics_of_images_agree_with_scikit_learn(items: list[tuple[int, bool]]) -> None:
    scores, truth = [s / 50 for s, _ in items], [t for _, t in items]
    found = claims(scores, truth, sum(truth))
    at = best(found)
    if any(truth):
        said = [score >= at.threshold for score in scores]
        p, r, f, _ = precision_recall_fscore_support(truth, said, average="binary", zero_division=0)
        assert (at.precision, at.recall, at.f1) == pytest.approx((p, r, f))
        for cut in set(scores):
            other = precision_recall_fscore_support(
                truth, [s >= cut for s in scores], average="binary", zero_division=0
            )
            assert at.f1 >= other[2] - 1e-12
        # A falling curve lies above scikit-learn's, and on it where that falls too.
        assert average_precision(found) >= average_precision_score(truth, scores) - 1e-9


def image(number: int, boxes: list[Boxed], findings: list[Finding]) -> Examined:
    return Examined(Annotation(number, f"s3://b/{number}.jpg", (), tuple(boxes)), 100, 50, tuple(findings))


def test_boxes_are_measured_per_label_and_averaged_over_labels() -> None:
    cap, hat = Boxed("cap", 10, 10, 20, 20), Boxed("hat", 60, 10, 20, 20)
    right = Box(0.1, 0.2, 0.2, 0.4)
    results = [
        image(1, [cap, hat], [Finding("cap", 0.9, right), Finding("cap", 0.6, Box(0.5, 0.2, 0.2, 0.4))]),
        image(2, [cap], [Finding("cap", 0.8, right), Finding("hat", 0.3, right)]),
    ]
    metrics = measure_labels(results, ["bag", "cap", "hat"], "object-detection", 7)
    of = {label.name: label for label in metrics.labels}
    assert (of["cap"].f1, of["cap"].average_precision, of["cap"].test_images) == (1.0, 1.0, 2)
    assert (of["hat"].f1, of["hat"].recall, of["hat"].test_images) == (0.0, 0.0, 1)
    # A label that no test image has says nothing about the model.
    assert (metrics.f1, metrics.average_precision, metrics.training_images) == (0.5, 0.5, 7)


def test_overall_f1_is_the_mean_of_the_labels() -> None:
    def seen(label: str, **confidences: float) -> Examined:
        findings = tuple(Finding(name, value) for name, value in confidences.items())
        return Examined(Annotation(1, "s3://b/1.jpg", (label,), None), 10, 10, findings)

    results = [seen("a", a=0.9, b=0.1), seen("a", a=0.4, b=0.6), seen("b", a=0.5, b=0.5)]
    metrics = measure_labels(results, ["a", "b"], "classification", 3)
    a, b = metrics.labels
    assert metrics.f1 == pytest.approx((a.f1 + b.f1) / 2)
    assert metrics.precision == pytest.approx((a.precision + b.precision) / 2)
    assert (a.precision, a.recall) == (pytest.approx(2 / 3), 1.0)
