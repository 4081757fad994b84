"""How large a detector's tensor is, which objects are too small for it, and how many images are kept for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vigia_training.app.detector import fitting
from vigia_training.domain.scale import detector_size, tiny
from vigia_training.learning.detection.annotated import Annotated
from vigia_training.learning.detection.keeping import Keeping


@pytest.mark.parametrize(
    ("image", "side", "tensor"),
    [
        ((640, 480), 60, (640, 480)),
        ((1280, 960), 200, (736, 576)),  # large objects: the usual number of pixels
        ((1280, 960), 30, (1024, 768)),  # smaller ones are shown larger
        ((640, 480), 10, (1184, 896)),  # at most at twice their size, within a megapixel
        ((4000, 3000), 60, (1184, 896)),  # 18 pixels do
        ((4000, 3000), 16, (2368, 1792)),  # 5 do not
        ((4000, 3000), 8, (2368, 1792)),
    ],
)
def test_small_objects_get_a_large_tensor(image: tuple[int, int], side: int, tensor: tuple[int, int]) -> None:
    assert detector_size([image], [[(side, side)] * 5]) == tensor


def test_objects_that_are_hardly_seen_are_counted() -> None:
    images = [(1000, 500), (500, 500), (1000, 1000)]
    objects = [[(7.0, 90.0), (9.0, 9.0)], [(7.0, 7.0)], [(7.0, 7.0), (7.5, 20.0)]]
    # The first and the last are made half as large, the second is not.
    assert tiny(images, objects, (512, 512)) == (3, 2)
    assert tiny(images, objects, (1024, 1024)) == (0, 0)


def test_images_beyond_the_bound_are_left_out_at_random_but_no_label_is() -> None:
    labels = [("rare",)] + [("often",)] * 99
    weights = [10] * 100
    assert fitting(labels, weights, 1000, 0) == list(range(100))
    some = fitting(labels, weights, 420, 0)
    assert 35 <= len(some) <= 42
    assert 0 in some
    assert some == sorted(set(some))
    assert some == fitting(labels, weights, 420, 0) != fitting(labels, weights, 420, 1)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_images_that_do_not_fit_in_memory_are_kept_all_the_same() -> None:
    rng = np.random.default_rng(0)
    shapes = [(int(rng.integers(5, 40)), int(rng.integers(5, 40)), 3) for _ in range(60)]
    images = [
        Annotated(
            rng.integers(0, 256, shape, np.uint8),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.int64),
            np.zeros((0, 4), np.float32),
        )
        for shape in shapes
    ]
    sizes = [image.pixels.size for image in images]
    files = _open_files()
    keeping = Keeping(sizes, memory=sum(sizes[:20]) + 5)
    kept = [keeping.keep(image) for image in images]
    assert [one.pixels is image.pixels for one, image in zip(kept, images, strict=True)] == [True] * 20 + [False] * 40
    for one, image in zip(kept, images, strict=True):
        assert np.array_equal(one.pixels, image.pixels)
    # However many images: one file.
    assert _open_files() - files <= 2
    assert all(isinstance(one.pixels.base, np.memmap) or one.pixels.base is None for one in kept)
