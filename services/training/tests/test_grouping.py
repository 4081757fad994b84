"""Images of one part are found and kept together."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.domain.grouping import group, thumbnail
from vigia_training.domain.split import folds, split


def surface(rng: np.random.Generator) -> np.ndarray:
    """A part: the same plate every time, with structure of its own."""
    plate = 90 + 60 * np.sin(np.arange(96) / 9)[:, None] * np.cos(np.arange(96) / 7)
    own = rng.normal(0, 14, (8, 8)).repeat(12, 0).repeat(12, 1)
    return np.clip(plate + own, 0, 255)[..., None].repeat(3, 2)


def photograph(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other light, noise, and a pixel or two moved."""
    moved = np.roll(part, rng.integers(-1, 2, 2), (0, 1)) * rng.uniform(0.7, 1.3) + rng.normal(0, 6, part.shape)
    return np.clip(moved, 0, 255).astype(np.uint8)


def thumbnails(images: list[np.ndarray]) -> np.ndarray:
    return np.stack([thumbnail(image) for image in images])


@pytest.mark.parametrize("parts", [4, 12, 60])
def test_photographs_of_one_part_are_one_group(parts: int) -> None:
    rng = np.random.default_rng(parts)
    truth = np.arange(parts).repeat(4)
    surfaces = [surface(rng) for _ in range(parts)]
    found = group(thumbnails([photograph(surfaces[i], rng) for i in truth]), [None] * len(truth))
    same = truth[:, None] == truth
    grouped = found[:, None] == found
    assert not (grouped & ~same).any()
    assert grouped[same].mean() > 0.9


def test_parts_that_only_look_alike_are_apart() -> None:
    rng = np.random.default_rng(0)
    found = group(thumbnails([photograph(surface(rng), rng) for _ in range(80)]), [None] * 80)
    assert len(np.unique(found)) >= 78


def test_a_part_id_decides_and_others_may_join() -> None:
    rng = np.random.default_rng(0)
    surfaces = [surface(rng) for _ in range(60)]
    images = [photograph(part, rng) for part in surfaces]
    images += [photograph(surfaces[0], rng), photograph(surfaces[1], rng), photograph(surfaces[2], rng)]
    parts: list[str | None] = [None] * len(images)
    parts[0], parts[1], parts[5], parts[60] = "a", "b", "b", "c"
    found = group(thumbnails(images), parts)
    assert found[1] == found[5]  # by their id, however different they look
    assert found[0] != found[60]  # the same part by looks, two by their ids
    assert found[1] == found[61]  # joins by looks
    assert found[2] == found[62]


def test_a_set_in_which_everything_is_alike_is_no_single_group() -> None:
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(0, 1, (100, 16, 16)), 0).repeat(6, 1).repeat(6, 2)
    frames = [np.clip(128 + 4 * f, 0, 255).astype(np.uint8)[..., None].repeat(3, 2) for f in slow]
    found = group(thumbnails(frames), [None] * 100)
    assert len(np.unique(found)) >= 5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_or_empty_images_are_no_problem(count: int) -> None:
    blank = np.full((96, 96, 3), 7, np.uint8)
    assert len(group(thumbnails([blank] * count), [None] * count)) == count


def test_as_many_images_as_a_dataset_may_have_take_seconds() -> None:
    rng = np.random.default_rng(0)
    many = rng.standard_normal((16_000, 144)).astype(np.float32)
    many[8000:] = many[:8000] + 0.1 * many[8000:]
    began = time.process_time()
    found = group(many, [None] * 16_000)
    assert time.process_time() - began < 60
    assert len(np.unique(found)) == 8000


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=120), st.integers(0, 100))
def test_groups_stay_on_one_side(images: list[tuple[bool, int]], seed: int) -> None:
    flags, groups = [bad for bad, _ in images], [number for _, number in images]
    learn, test = split(flags, seed, groups)
    assert sorted(learn + test) == list(range(len(images)))
    assert not {groups[i] for i in learn} & {groups[i] for i in test}
    for flag in (True, False):
        assert sum(flags[i] is flag for i in test) <= flags.count(flag) // 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=120), st.integers(2, 5))
def test_folds_keep_groups_and_spread_classes(images: list[tuple[bool, int]], count: int) -> None:
    flags = np.array([bad for bad, _ in images])
    groups = np.array([number for _, number in images])
    fold = folds(flags, groups, count, 0)
    for number in np.unique(groups):
        assert len(np.unique(fold[groups == number])) == 1
    single = folds(flags, np.arange(len(flags)), count, 0)
    for flag in (True, False):
        counts = np.bincount(single[flags == flag], minlength=count)
        assert counts.max() - counts.min() <= 1
