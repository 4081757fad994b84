"""Metrics are those of the guide's definitions, on the guide's own worked examples."""

from __future__ import annotations

import pytest

from vigia_training.domain.dataset import Entry
from vigia_training.domain.evaluation import Judged, Overlap, measure


def results(tp: int, fp: int = 0, fn: int = 0, tn: int = 0) -> list[Judged]:
    """Test images by outcome; a positive is an anomaly."""
    outcomes = [(True, True)] * tp + [(False, True)] * fp + [(True, False)] * fn + [(False, False)] * tn
    return [
        Judged(entry(number, anomalous), 1.0 if said else 0.0, said, 0.9, {})
        for number, (anomalous, said) in enumerate(outcomes)
    ]


def entry(number: int, anomalous: bool) -> Entry:
    """An image of the test set."""
    return Entry(number, f"s3://b/{number}.jpg", "anomaly" if anomalous else "normal", "anomaly-label")


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "precision", "recall", "f1"),
    [
        (85, 15, 0, 0.85, 1.0, None),
        (40, 60, 0, 0.40, 1.0, None),
        (90, 0, 10, 1.0, 0.90, None),
        (20, 0, 80, 1.0, 0.20, None),
        (90, 10, 0, 0.90, 1.0, 0.947),
        (30, 70, 0, 0.30, 1.0, 0.46),
        (19, 1, 76, 0.95, 0.20, 0.33),
    ],
)
def test_precision_recall_and_f1(tp: int, fp: int, fn: int, precision: float, recall: float, f1: float | None) -> None:
    found = measure(results(tp, fp, fn, tn=50), [], 10)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(2 * precision * recall / (precision + recall))
    if f1 is not None:
        assert found.f1 == pytest.approx(f1, abs=0.005)


def test_normal_images_judged_right_change_neither() -> None:
    few, many = measure(results(8, 2, 1, tn=0), [], 1), measure(results(8, 2, 1, tn=500), [], 1)
    assert (few.precision, few.recall, few.f1) == (many.precision, many.recall, many.f1)


def test_average_iou_is_the_mean_over_images_and_f1_counts_all_pixels() -> None:
    overlaps = [Overlap(both=50, answered=100, true=50), Overlap(both=10, answered=10, true=40)]
    judged = [Judged(entry(n, True), 1.0, True, 0.9, {"dent": overlap}) for n, overlap in enumerate(overlaps)]
    (dent,) = measure(judged, ["dent"], 1).classes
    assert dent.iou == pytest.approx((50 / 100 + 10 / 40) / 2)
    assert dent.precision == pytest.approx(60 / 110)
    assert dent.recall == pytest.approx(60 / 90)
    assert dent.f1 == pytest.approx(2 * dent.precision * dent.recall / (dent.precision + dent.recall))


def test_of_one_image_pixel_f1_follows_from_its_iou() -> None:
    judged = [Judged(entry(0, True), 1.0, True, 0.9, {"cracked": Overlap(both=7453, answered=10000, true=7453)})]
    (cracked,) = measure(judged, ["cracked"], 1).classes
    assert cracked.iou == pytest.approx(0.7453)
    assert cracked.f1 == pytest.approx(2 * cracked.iou / (1 + cracked.iou))


def test_an_image_without_the_label_in_truth_or_answer_has_no_iou() -> None:
    with_dent = Judged(entry(0, True), 1.0, True, 0.9, {"dent": Overlap(8, 10, 8)})
    without = Judged(entry(1, False), 0.0, False, 0.9, {"dent": Overlap(0, 0, 0)})
    assert measure([with_dent, without], ["dent"], 1).classes == measure([with_dent], ["dent"], 1).classes


def test_only_labels_found_in_the_test_images_have_metrics() -> None:
    judged = [Judged(entry(0, True), 1.0, True, 0.9, {"dent": Overlap(8, 10, 8), "scratch": Overlap(0, 3, 0)})]
    assert [found.name for found in measure(judged, ["dent", "scratch"], 1).classes] == ["dent"]


def test_ranking_metrics_are_one_where_scores_separate_and_one_half_where_a_class_is_missing() -> None:
    apart = measure(results(5, tn=5), [], 1)
    assert (apart.roc_auc, apart.average_precision) == (1.0, pytest.approx(1.0))
    assert measure(results(0, tn=5), [], 1).roc_auc == 0.5
