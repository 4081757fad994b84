"""How large a tensor a detector gets: large enough for its smallest objects, within what a core can do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_STEP = 32
#: Pixels of the tensor where objects are large.
_USUAL = 640 * 640
#: Sides that four objects in five should have in the tensor, pixels, and how many pixels it may have for that: to be
#: found well they should be large, to be found at all they must not be tiny, and that may cost much more time.
_WANTED = ((24.0, 1024 * 1024), (10.0, 2048 * 2048))
#: Enlarging images further shows nothing more.
_ENLARGE = 2.0
#: Objects whose shorter side is under so many pixels of the tensor are hardly seen.
TINY = 4.0

#: Width and height.
Size = tuple[float, float]


def detector_size(images: Sequence[tuple[int, int]], objects: Sequence[Sequence[Size]]) -> tuple[int, int]:
    """Width and height, multiples of 32, for images of the given widths and heights with ``objects`` in each.

    Where small objects lie in large images the tensor grows to 2048x2048 pixels: the network slides over it, so this
    is the same as cutting an image into overlapping parts and putting together what is found, without the borders.
    """
    wide, high = max(width for width, _ in images), max(height for _, height in images)
    factor = min(1.0, math.sqrt(_USUAL / (wide * high)))
    sides = [
        math.sqrt(width * height) * min(wide / image[0], high / image[1])
        for image, boxes in zip(images, objects, strict=True)
        for width, height in boxes
    ]
    if sides:
        small = max(float(np.quantile(sides, 0.2)), 1e-6)
        for side, most in _WANTED:
            factor = max(factor, min(side / small, _ENLARGE, math.sqrt(most / (wide * high))))
    factor = min(factor, _ENLARGE)
    return _stepped(wide * factor), _stepped(high * factor)


def tiny(
    images: Sequence[tuple[int, int]], objects: Sequence[Sequence[Size]], tensor: tuple[int, int]
) -> tuple[int, int]:
    """How many objects are hardly seen when images are fitted into the tensor, and in how many images they lie."""
    counts = [
        sum(min(box) * min(tensor[0] / image[0], tensor[1] / image[1]) < TINY for box in boxes)
        for image, boxes in zip(images, objects, strict=True)
    ]
    return sum(counts), sum(count > 0 for count in counts)


def _stepped(side: float) -> int:
    return max(_STEP * math.ceil(side / _STEP - 0.25), 2 * _STEP)
