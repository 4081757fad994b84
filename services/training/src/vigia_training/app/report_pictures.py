"""Small pictures of test images for the report, with what is marked there and what the model marked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vigia_vision import decode
from vigia_vision.masks import rgb_of

#: The longer side of a picture, pixels, and how well it is kept.
SIDE: Final = 320
_QUALITY = 80
#: How much of a label's colour lies over what the model marked.
_TINT = 0.25

Mask = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def picture(data: bytes, truth: Mask | None, answer: Mask | None, colors: Sequence[str]) -> bytes:
    """A JPEG of the image. The answer lies over it in the labels' ``colors``; the truth has a white and black outline.

    ``truth`` and ``answer``: label indices ``[H, W]`` of the image's pixels, 0 for background; None where unknown.
    """
    with Image.fromarray(decode(data)) as image:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        pixels = np.array(image)
    size = (pixels.shape[1], pixels.shape[0])
    if answer is not None:
        for index in np.unique(answer[answer > 0]).tolist():
            color = np.array(rgb_of(colors[index - 1]), dtype=np.float64)
            area = _shrunk(answer == index, size)
            pixels[area] = (1 - _TINT) * pixels[area] + _TINT * color
            pixels[_grown(area) & ~area] = color
    if truth is not None and truth.any():
        area = _shrunk(truth > 0, size)
        inner = _grown(area)
        pixels[_grown(inner) & ~inner] = 0
        pixels[inner & ~area] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _shrunk(area: Bools, size: tuple[int, int]) -> Bools:
    """A pixel is in it when any of those that it stands for is: a defect of few pixels must not vanish."""
    small = Image.fromarray(area.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(small) > 0


def _grown(area: Bools) -> Bools:
    """With the pixels around it."""
    return np.asarray(Image.fromarray(area.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))) > 0
