"""Mask files: PNGs of the image's size, each label in its colour."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vigia_vision.decode import DecodeError, probe

Rgb = tuple[int, int, int]

#: Of the PNG specification: how a file begins, pixels of red, green and blue, what a row's bytes are relative to.
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOR_RGB: Final = 2
_FILTER_NONE: Final = 0
_FILTER_UP: Final = 2


class MaskError(ValueError):
    """The bytes are no mask of the image; the text says what is wrong."""


def read_mask(data: bytes, colors: Mapping[Rgb, int], width: int, height: int) -> NDArray[np.uint8]:
    """uint8 ``[height, width]``: what ``colors`` gives for each pixel's colour, by convention 0 for background.

    Colours count exactly, after conversion to RGB. Pixels more transparent than opaque are 0: masks are often drawn on
    a transparent ground. MaskError for another format or size, damage, and colours that ``colors`` does not have.
    """
    try:
        info = probe(data)
    except DecodeError as error:
        raise MaskError(f"{error}; masks are PNG files") from error
    if info.format != "png":
        raise MaskError(f"it is a {info.format.upper()} file; masks are PNG files")
    if (info.width, info.height) != (width, height):
        raise MaskError(f"{info.width}x{info.height} pixels; its image has {width}x{height}")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise MaskError(f"damaged PNG: {error}") from error
    code = (rgba[..., 0].astype(np.uint32) << 16) | (rgba[..., 1].astype(np.uint32) << 8) | rgba[..., 2]
    seen = rgba[..., 3] >= 128
    index = np.zeros((height, width), np.uint8)
    unknown = []
    for value in np.unique(code[seen]).tolist():
        rgb = (value >> 16, (value >> 8) & 255, value & 255)
        if rgb in colors:
            index[seen & (code == value)] = colors[rgb]
        else:
            unknown.append("#{:02X}{:02X}{:02X}".format(*rgb))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise MaskError(f"colour {', '.join(unknown[:3])}{more} is not in its colour map")
    return index


def draw_mask(index: NDArray[np.uint8], colors: Sequence[str]) -> bytes:
    """Label indices ``[H, W]`` as an 8-bit RGB PNG: every pixel in the colour (``#RRGGBB``) at its index."""
    height, width = index.shape
    image = Image.fromarray(index)
    # Through a palette: Pillow looks colours up seven times as fast as numpy does.
    image.putpalette(bytes(value for color in colors for value in rgb_of(color)))
    rgb = np.asarray(image.convert("RGB")).reshape(height, width * 3)
    # Every row but the first as its difference from the row above, which in a mask is nearly always nothing. Pillow
    # would try all five filters on each row, which takes as long as all the rest and gives a file twice the size.
    rows = np.empty((height, 1 + width * 3), np.uint8)
    rows[0, 0], rows[1:, 0] = _FILTER_NONE, _FILTER_UP
    rows[0, 1:] = rgb[0]
    np.subtract(rgb[1:], rgb[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_RGB, 0, 0, 0)
    content = deflate.compress(rows.data) + deflate.flush()
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rgb_of(color: str) -> Rgb:
    """``#RRGGBB`` as numbers."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
