"""What a detector is shown: crops with objects pasted in, large enough for the objects."""

from __future__ import annotations

import numpy as np
import pytest

from vigia_training.learning.detection.annotated import Annotated, window
from vigia_training.learning.detection.crops import Cropper, Variation
from vigia_training.learning.detection.trainer import views
from vigia_training.learning.label_budget import DetectionBudget

PLAIN = Variation(light=0.0, contrast=0.0, mosaic=0.0)


def image(*boxes: tuple[int, int, int, int], side: int = 200, shade: int = 220) -> Annotated:
    """A dark image with bright objects."""
    pixels = np.full((side, side, 3), 20, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = shade
    return Annotated(
        pixels,
        np.reshape(np.asarray(boxes, np.float32), (-1, 4)),
        np.zeros(len(boxes), np.int64),
        np.zeros((0, 4), np.float32),
    )


def test_objects_are_pasted_whole_and_hide_none() -> None:
    cropper = Cropper([image((90, 80, 110, 104)), image()], 128, PLAIN, np.random.default_rng(1))
    counts = []
    for _ in range(60):
        crop = cropper.draw()
        counts.append(len(crop.boxes))
        for index, (left, top, right, bottom) in enumerate(np.round(crop.boxes).astype(int).tolist()):
            assert crop.pixels[top + 3 : bottom - 3, left + 3 : right - 3].mean() > 180
            others = np.delete(crop.boxes, index, 0)
            covered = np.clip(others, (left, top, left, top), (right, bottom, right, bottom))
            assert not ((covered[:, 2:] - covered[:, :2]).prod(1) > 0).any()
        bright = crop.pixels[..., 0] > 120
        for left, top, right, bottom in np.concatenate([crop.boxes, crop.ignored]).tolist():
            bright[max(0, int(top) - 2) : int(bottom) + 3, max(0, int(left) - 2) : int(right) + 3] = False
        assert not bright.any()
    # Without pasting a crop would show at most the one.
    assert max(counts) > 1


def test_where_there_are_many_objects_fewer_are_pasted() -> None:
    def shown(images: int) -> float:
        cropper = Cropper([image((90, 80, 110, 104)) for _ in range(images)], 128, PLAIN, np.random.default_rng(1))
        return float(np.mean([len(cropper.draw().boxes) for _ in range(60)]))

    assert shown(2) > shown(3000) + 0.4


def test_large_objects_are_shown_whole() -> None:
    cropper = Cropper([image((40, 30, 150, 140))], 160, Variation(paste=0.0), np.random.default_rng(1))
    crops = [cropper.draw() for _ in range(40)]
    # Four small crops side by side would cut it.
    assert np.mean([len(crop.boxes) == 1 for crop in crops]) > 0.6


@pytest.mark.parametrize(
    ("place", "stretch"), [((31.4, 12.8), (1.3, 0.8)), ((-40, 170), (0.7, 0.7)), ((50, 60), (1.0, 1.0))]
)
def test_a_window_shows_the_place_at_the_factor(place: tuple[float, float], stretch: tuple[float, float]) -> None:
    y, x = np.mgrid[:200, :200]
    whole = Annotated(
        np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8),
        np.array([[60, 100, 90, 140]], np.float32),
        np.zeros(1, np.int64),
        np.zeros((0, 4), np.float32),
    )
    seen = window(whole, *place, 96, 80, stretch)
    assert seen.pixels.shape == (80, 96, 3)
    there_y, there_x = np.mgrid[:80, :96] + 0.5
    there_x, there_y = place[0] + there_x / stretch[0] - 0.5, place[1] + there_y / stretch[1] - 0.5
    inside = (there_x > 1) & (there_x < 198) & (there_y > 1) & (there_y < 198)
    assert inside.mean() > 0.1
    assert np.abs(seen.pixels[..., 0] - there_x)[inside].max() < 1.1
    assert np.abs(seen.pixels[..., 1] - there_y)[inside].max() < 1.1
    outside = (there_x < -2) | (there_x > 201) | (there_y < -2) | (there_y > 201)
    assert (seen.pixels[outside] == 127).all()


def test_crops_grow_with_the_objects_and_become_fewer() -> None:
    budget = DetectionBudget(iterations=10, batch=8, crop=96)
    assert views([image((0, 0, 20, 30))], budget) == (96, 8)
    side, batch = views([image((0, 0, 120, 60))], budget)
    assert 120 / side < 0.8
    assert batch * side**2 <= 1.3 * 8 * 96**2
    # No larger than the images, never fewer than two.
    assert views([image((0, 0, 500, 500), side=512)], budget) == (512, 2)
    assert views([image()], budget) == (96, 8)
