"""Defects that are pasted or made up: what the masks say is what has changed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.learning.paste import paste
from vigia_training.learning.synthetic import spoil

HIGH, WIDE = 96, 128


def surface(level: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(level, 2, (HIGH, WIDE, 1))
    return np.repeat(np.clip(noise, 0, 255), 3, 2).astype(np.uint8)


def nothing() -> np.ndarray:
    return np.zeros((2, HIGH, WIDE), np.float32)


def scratched() -> tuple[np.ndarray, np.ndarray]:
    """A surface with a dark scratch of the second label."""
    pixels, masks = surface(120), nothing()
    pixels[40:46, 30:60] = 10
    masks[1, 40:46, 30:60] = 1
    return pixels, masks


@given(seed=st.integers(0, 10_000))
def test_a_pasted_defect_is_where_its_mask_says(seed: int) -> None:
    image = surface(200, 1)
    pixels, masks = paste(image, nothing(), *scratched(), np.random.default_rng(seed))
    changed = np.abs(pixels.astype(int) - image).max(2)
    assert masks.shape == (2, HIGH, WIDE)
    assert not masks[0].any()
    assert masks[1].max() > 0.9
    assert changed[masks[1] > 0.9].min() > 50
    # What is far from it stays as it was.
    rows, columns = np.flatnonzero(masks[1].any(1)), np.flatnonzero(masks[1].any(0))
    outside = np.ones((HIGH, WIDE), bool)
    outside[max(0, rows[0] - 25) : rows[-1] + 26, max(0, columns[0] - 25) : columns[-1] + 26] = False
    assert not changed[outside].any()


@given(seed=st.integers(0, 10_000))
def test_it_is_as_dark_against_its_new_surroundings(seed: int) -> None:
    """On a surface lighter by 80 it becomes lighter itself, so that light is no sign of a pasted piece."""
    rng = np.random.default_rng(seed)
    pixels, masks = paste(surface(200, 1), nothing(), *scratched(), rng)
    assert 10 + 0.4 * 80 < pixels[masks[1] > 0.9].mean() < 10 + 80 + 15


def test_without_a_defect_nothing_is_pasted() -> None:
    image = surface(120)
    pixels, masks = paste(image, nothing(), surface(10), nothing(), np.random.default_rng(0))
    assert np.array_equal(pixels, image)
    assert not masks.any()


def test_a_defect_as_large_as_its_image_fits_a_smaller_one() -> None:
    masks = nothing()
    masks[0] = 1
    small = surface(120)[:64, :64]
    pixels, found = paste(small, nothing()[:, :64, :64], surface(10), masks, np.random.default_rng(3))
    assert pixels.shape == (64, 64, 3)
    assert found[0].max() > 0.9


def test_what_was_there_gives_way_to_what_is_pasted_over_it() -> None:
    image, masks = surface(200), nothing()
    masks[0] = 1
    _, found = paste(image, masks, *scratched(), np.random.default_rng(0))
    covered = found[1] > 0.9
    assert found[0][covered].max() < 0.2
    assert masks[0].min() == 1


@given(seed=st.integers(0, 10_000))
def test_a_made_up_defect_changes_what_its_mask_covers_and_little_else(seed: int) -> None:
    image = surface(120)
    pixels, where = spoil(image, [surface(60, 2)], np.random.default_rng(seed))
    assert pixels.dtype == np.uint8
    assert pixels.shape == image.shape
    assert where.shape == (HIGH, WIDE)
    assert set(np.unique(where)) <= {0.0, 1.0}
    assert where.any()
    changed = np.abs(pixels.astype(float) - image).mean(2)
    assert changed[where > 0].mean() > 3 * max(changed[where == 0].mean(), 0.5)
