"""How large a tensor a detector gets: large enough for its smallest objects, within what a core can do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_STEP = 32
#: Pixels of the tensor where objects are large, and at most, however small they are.
_USUAL = 640 * 640
_MOST = 1024 * 1024
#: Sides that four objects in five should have in the tensor, pixels.
_OBJECT = 24.0
#: Enlarging images further shows nothing more.
_ENLARGE = 2.0


def detector_size(
    images: Sequence[tuple[int, int]], objects: Sequence[Sequence[tuple[float, float]]]
) -> tuple[int, int]:
    """Width and height, multiples of 32, for images of the given widths and heights with ``objects`` in each."""
    wide, high = max(width for width, _ in images), max(height for _, height in images)
    factor = min(1.0, math.sqrt(_USUAL / (wide * high)))
    sides = [
        math.sqrt(width * height) * min(wide / image[0], high / image[1])
        for image, boxes in zip(images, objects, strict=True)
        for width, height in boxes
    ]
    if sides:
        small = float(np.quantile(sides, 0.2)) * factor
        factor *= max(1.0, _OBJECT / max(small, 1e-6))
    factor = min(factor, _ENLARGE, math.sqrt(_MOST / (wide * high)))
    return _stepped(wide * factor), _stepped(high * factor)


def _stepped(side: float) -> int:
    return max(_STEP * math.ceil(side / _STEP - 0.25), 2 * _STEP)
