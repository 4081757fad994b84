"""The threshold lies between the classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.learning.threshold import best_pixel_threshold, one_class, two_class


@given(st.integers(0, 1000), st.floats(0.1, 3), st.floats(0.1, 3), st.floats(6, 30))
def test_separate_classes_are_separated_with_room_on_both_sides(
    seed: int, normal_spread: float, anomalous_spread: float, apart: float
) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.normal(0, normal_spread, 60)
    anomalous = rng.normal(apart * (normal_spread + anomalous_spread), anomalous_spread, 60)
    gap = anomalous.min() - normal.max()
    calibration = two_class(normal, anomalous)
    assert normal.max() < calibration.offset < anomalous.min()
    # Nearer to the tighter class: beside a much wider one, one and a half of its own spread is room enough.
    assert calibration.offset - normal.max() > min(0.05 * gap, 1.5 * normal_spread)
    assert anomalous.min() - calibration.offset > min(0.05 * gap, 1.5 * anomalous_spread)


def test_one_stray_image_does_not_drag_the_threshold_along() -> None:
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(-5, 1, 200), rng.normal(5, 1, 200)
    clean = two_class(normal, anomalous).offset
    assert abs(two_class(np.append(normal, 7.0), anomalous).offset - clean) < 1.5


@pytest.mark.parametrize("count", [10, 40, 200, 1500])
@pytest.mark.parametrize("wanted", [0.02, 0.005])
@pytest.mark.parametrize("draw", ["normal", "gumbel", "exponential"])
def test_from_normal_images_alone_as_few_are_rejected_as_asked(count: int, wanted: float, draw: str) -> None:
    rng = np.random.default_rng(0)
    real, inside = [], 0
    for _ in range(100):
        seen, unseen = getattr(rng, draw)(size=count), getattr(rng, draw)(size=4000)
        calibration, rate = one_class(seen, np.arange(count), wanted)
        real.append(float((unseen > calibration.offset).mean()))
        inside += rate.low <= real[-1] <= rate.high
        assert rate.expected >= wanted
    assert float(np.mean(real)) < 1.6 * wanted
    assert inside >= 90


def test_photographs_of_few_parts_are_few_witnesses() -> None:
    rng = np.random.default_rng(0)
    one_each, several_each = [], []
    for _ in range(200):
        parts = rng.normal(0, 1, 20)
        seen, unseen = parts.repeat(10) + rng.normal(0, 0.1, 200), rng.normal(0, 1, 4000)
        for groups, real in ((np.arange(200), one_each), (np.arange(20).repeat(10), several_each)):
            calibration, rate = one_class(seen, groups, 0.02)
            real.append((float((unseen > calibration.offset).mean()), rate.high))
    assert np.mean([share for share, _ in several_each]) < np.mean([share for share, _ in one_each])
    assert min(high for _, high in several_each) > 0.15
    assert np.mean([share <= high for share, high in several_each]) >= 0.95


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=60))
def test_any_scores_give_a_threshold_at_or_above_most(scores: list[float]) -> None:
    seen = np.array(scores)
    calibration, _ = one_class(seen, np.arange(len(seen)), 0.005)
    assert np.isfinite(calibration.offset)
    assert calibration.offset >= np.median(seen)
    assert calibration.scale > 0


def test_equal_scores_give_a_threshold_too() -> None:
    assert np.isfinite(two_class(np.ones(5), np.ones(5)).offset)
    assert one_class(np.ones(5), np.arange(5), 0.01)[0].offset > 1


def test_the_pixel_threshold_has_the_best_overlap() -> None:
    truth = np.zeros((1, 40, 40), np.float32)
    truth[0, :10] = 1
    predicted = np.where(truth > 0, 0.9, 0.4).astype(np.float32)
    assert 0.4 < best_pixel_threshold(predicted, truth) <= 0.9
    assert best_pixel_threshold(predicted, np.zeros_like(truth)) == 0.5
