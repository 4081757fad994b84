"""The threshold lies between the classes."""

from __future__ import annotations

import numpy as np
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


@given(st.integers(0, 200))
def test_from_normal_images_alone_few_are_rejected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen, unseen = rng.normal(10, 2, 200), rng.normal(10, 2, 5000)
    assert 0.0005 < float((unseen > one_class(seen).offset).mean()) < 0.03


def test_equal_scores_give_a_threshold_too() -> None:
    assert np.isfinite(two_class(np.ones(5), np.ones(5)).offset)
    assert one_class(np.ones(5)).offset > 1


def test_the_pixel_threshold_has_the_best_overlap() -> None:
    truth = np.zeros((1, 40, 40), np.float32)
    truth[0, :10] = 1
    predicted = np.where(truth > 0, 0.9, 0.4).astype(np.float32)
    assert 0.4 < best_pixel_threshold(predicted, truth) <= 0.9
    assert best_pixel_threshold(predicted, np.zeros_like(truth)) == 0.5
