"""The one place where pixels become a JPEG, for sources that send none of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray


def encode(image: NDArray[np.uint8], quality: int) -> bytes:
    """The JPEG of ``image``, uint8 [H, W, 3] RGB."""
    pixels: Any = np.ascontiguousarray(image)
    data: bytes = simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420")
    return data
