"""Whether an image or a mask can be used, decided by the code that will decode it in training."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from vigia_client.datasets.lines import Note, Why
from vigia_vision.decode import DEFAULT_LIMITS, DecodeError, Limits, decode, probe

_SMALLEST_SIDE: Final = 64
#: Pixels more transparent than this are background: masks may be drawn on a transparent ground.
_OPAQUE: Final = 128


class ImageError(ValueError):
    """The bytes cannot be used."""

    def __init__(self, note: Note) -> None:
        super().__init__(note.detail)
        self.note = note


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a service takes: encoded bytes and pixels, and how many times as long as its shorter side the longer is."""

    limits: Limits
    ratio: float = math.inf


LOOKOUT: Final = Accepted(DEFAULT_LIMITS)
CUSTOM_LABELS: Final = Accepted(Limits(max_bytes=15 * 1024 * 1024), 20.0)


def check_image(data: bytes, accepted: Accepted = LOOKOUT) -> Size:
    """The size of a JPEG or PNG that decodes; ImageError."""
    try:
        info = probe(data, accepted.limits)
        if min(info.width, info.height) < _SMALLEST_SIDE:
            detail = f"{info.width}x{info.height} pixels; the shorter side needs {_SMALLEST_SIDE}"
            raise ImageError(Note(Why.TOO_SMALL, detail))
        if max(info.width, info.height) > accepted.ratio * min(info.width, info.height):
            detail = f"{info.width}x{info.height} pixels; one side may be {accepted.ratio:g} times the other"
            raise ImageError(Note(Why.TOO_LONG_A_SHAPE, detail))
        decode(data, accepted.limits)
    except DecodeError as error:
        why = Why.TOO_LARGE if error.code == "too_large" else Why.UNDECODABLE
        raise ImageError(Note(why, str(error))) from error
    return Size(info.width, info.height)


def check_mask(data: bytes, colors: Mapping[int, str], size: Size) -> None:
    """ImageError unless the mask is a PNG of the image's size with no colours but those of its map.

    Colours count exactly; white is background.
    """
    try:
        info = probe(data)
    except DecodeError as error:
        raise ImageError(Note(Why.MASK_NOT_PNG, str(error))) from error
    if info.format != "png":
        raise ImageError(Note(Why.MASK_NOT_PNG, f"a {info.format.upper()} file; its name does not matter"))
    if (info.width, info.height) != (size.width, size.height):
        raise ImageError(Note(Why.MASK_OTHER_SIZE, f"{info.width}x{info.height} pixels; its image has {size}"))
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise ImageError(Note(Why.MASK_NOT_PNG, f"damaged: {error}"[:200])) from error
    seen = rgba[rgba[..., 3] >= _OPAQUE].astype(np.uint32)
    codes = np.unique((seen[:, 0] << 16) | (seen[:, 1] << 8) | seen[:, 2]).tolist()
    unknown = [f"#{code:06X}" for code in codes if code not in colors]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ImageError(Note(Why.MASK_COLORS, f"{', '.join(unknown[:3])}{more} not in its internal-color-map"))
