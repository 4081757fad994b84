"""Mask files to label indices."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vigia_training.domain.dataset import Mask, hex_color
from vigia_training.domain.errors import BadData
from vigia_vision.decode import DecodeError, probe


def read_mask(data: bytes, mask: Mask, labels: Sequence[str], width: int, height: int) -> NDArray[np.uint8]:
    """uint8 ``[height, width]``: 0 is background, 1.. are ``labels`` in order.

    Colours count exactly, after conversion to RGB. Pixels more transparent than opaque are background: the masks of the
    getting-started set are drawn on a transparent ground. BadData names the file and what is wrong with it.
    """
    try:
        info = probe(data)
    except DecodeError as error:
        raise BadData(f"mask {mask.uri}: {error}; masks are PNG files") from error
    if info.format != "png":
        raise BadData(f"mask {mask.uri}: it is a {info.format.upper()} file; masks are PNG files")
    if (info.width, info.height) != (width, height):
        raise BadData(f"mask {mask.uri}: {info.width}x{info.height} pixels; its image has {width}x{height}")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise BadData(f"mask {mask.uri}: damaged PNG: {error}") from error
    code = (rgba[..., 0].astype(np.uint32) << 16) | (rgba[..., 1].astype(np.uint32) << 8) | rgba[..., 2]
    seen = rgba[..., 3] >= 128
    index = np.zeros((height, width), np.uint8)
    unknown = []
    for value in np.unique(code[seen]).tolist():
        rgb = (value >> 16, (value >> 8) & 255, value & 255)
        if rgb in mask.labels:
            index[seen & (code == value)] = 1 + labels.index(mask.labels[rgb])
        elif rgb not in mask.background:
            unknown.append(hex_color(rgb))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise BadData(f"mask {mask.uri}: colour {', '.join(unknown[:3])}{more} is not in its internal-color-map")
    return index
