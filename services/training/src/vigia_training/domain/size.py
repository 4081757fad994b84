"""How large a tensor the network gets."""

from __future__ import annotations

import math

_STEP = 32
_LEAST = 128 * 128
_MOST = 256 * 256


def tensor_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the tensor for images of ``width`` x ``height`` pixels.

    Multiples of 32 (the network halves five times) of about the image's shape, with about as many pixels as the image
    has, within what one core judges in about 15 ms.
    """
    area = min(max(width * height, _LEAST), _MOST)
    sides = range(2 * _STEP, 17 * _STEP, _STEP)

    def misfit(size: tuple[int, int]) -> float:
        w, h = size
        return abs(math.log(w * height / (h * width))) + abs(math.log(w * h / area))

    return min(((w, h) for w in sides for h in sides), key=misfit)
