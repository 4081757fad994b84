"""Untrusted bytes to pixels. Size and pixel limits hold before anything is decoded.

Policies, part of the preparation's version: EXIF orientation is ignored (cameras stand still, and masks are drawn on
pixels as stored), embedded colour profiles are ignored, alpha is dropped, 16-bit samples keep their high byte, grey
becomes RGB with equal channels. A JPEG whose decoder would have to guess (truncated or damaged) is refused.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Start-of-frame markers: baseline, extended, progressive. Lossless and arithmetic ones are not decodable here.
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE: Final = 0xC2
_NO_BODY: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN: Final = b"\xff\xda"
#: A progressive JPEG has about ten scans; each costs a pass over all pixels, so thousands would occupy a decoder.
_MAX_SCANS: Final = 100


DecodeFault = Literal["undecodable", "too_large", "shape"]


class DecodeError(ValueError):
    """The bytes are not an image that can be judged. ``code``: ``undecodable``, ``too_large`` or ``shape``."""

    def __init__(self, code: DecodeFault, detail: str) -> None:
        super().__init__(detail)
        self.code: DecodeFault = code


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an image: encoded bytes, pixels, the longer and the shorter side in pixels, and how many times the
    shorter side the longer may be."""

    max_bytes: int = 8 * 1024 * 1024
    max_pixels: int = 4096 * 4096
    max_side: int = 4096
    min_side: int = 1
    max_aspect: float = math.inf


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header says: format, and width and height in pixels. ``channels`` as stored (PNG palette: 1)."""

    format: Literal["jpeg", "png"]
    width: int
    height: int
    channels: int


def probe(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Reads the header only. DecodeError ``too_large`` beyond ``limits``, ``shape`` where a side is too short, and
    ``undecodable`` for all else."""
    if len(data) > limits.max_bytes:
        raise DecodeError("too_large", f"{len(data)} bytes; at most {limits.max_bytes} are read")
    if not data:
        raise DecodeError("undecodable", "no bytes")
    if data.startswith(_PNG_SIGNATURE):
        info = _probe_png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        info = _probe_jpeg(data)
    else:
        raise DecodeError("undecodable", "neither JPEG nor PNG")
    if info.width < 1 or info.height < 1:
        raise DecodeError("undecodable", f"the header says {info.width}x{info.height} pixels")
    if max(info.width, info.height) > limits.max_side or info.width * info.height > limits.max_pixels:
        raise DecodeError("too_large", f"{info.width}x{info.height} pixels; the longer side may have {limits.max_side}")
    shorter, longer = sorted((info.width, info.height))
    if shorter < limits.min_side:
        raise DecodeError("shape", f"{info.width}x{info.height} pixels; the shorter side must have {limits.min_side}")
    if longer > limits.max_aspect * shorter:
        ratio = f"the longer side may be {limits.max_aspect:g} times the shorter"
        raise DecodeError("shape", f"{info.width}x{info.height} pixels; {ratio}")
    return info


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, shrink: Literal[1, 2, 4, 8] = 1) -> Pixels:
    """The image as uint8 ``[height, width, 3]`` RGB. DecodeError as for :func:`probe`, and for damaged content.

    With ``shrink`` both sides are divided by it, rounded up; every pixel is about the mean of those it stands for. A
    JPEG's are computed from its coefficients, in less time than all of them would take.
    """
    info = probe(data, limits)
    if info.format == "jpeg" and not _in_one_scan(data) and data.count(_SCAN) > _MAX_SCANS:
        raise DecodeError("undecodable", f"a JPEG of more than {_MAX_SCANS} scans")
    try:
        # libjpeg does not convert CMYK; Pillow does.
        if info.format == "jpeg" and info.channels != 4:
            pixels = _with_simplejpeg(data, info, shrink)
        else:
            pixels = _with_pillow(data, info)
            if shrink > 1:
                pixels = np.asarray(Image.fromarray(pixels).reduce(shrink))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DecodeError("undecodable", f"damaged {info.format}: {error}") from error
    except (struct.error, zlib.error, Image.DecompressionBombError, MemoryError) as error:
        raise DecodeError("undecodable", f"damaged {info.format}: {error}") from error
    if pixels.shape != (-(-info.height // shrink), -(-info.width // shrink), 3):
        raise DecodeError("undecodable", f"the {info.format}'s content and header disagree about its size")
    return pixels


def opacity(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Pixels | None:
    """What :func:`decode` drops: a PNG's alpha as uint8 ``[height, width]``, None for an image without any.

    DecodeError as for :func:`decode`.
    """
    if probe(data, limits).format == "jpeg":
        return None
    decode(data, limits)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        # One transparent level of 16-bit grey is not read.
        if image.mode.startswith("I") or not image.has_transparency_data:
            return None
        return np.asarray(image.convert("RGBA").getchannel("A"))


def _with_simplejpeg(data: bytes, info: ImageInfo, shrink: int) -> Pixels:
    # Of the decoder's scales, which are eighths, it takes the smallest that gives as many pixels.
    least = {"min_height": -(-info.height // shrink), "min_width": -(-info.width // shrink)} if shrink > 1 else {}
    pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True, **least)
    return pixels


def _with_pillow(data: bytes, info: ImageInfo) -> Pixels:
    with Image.open(io.BytesIO(data), formats=[info.format.upper()]) as image:
        if image.size != (info.width, info.height):
            raise ValueError("the content and the header disagree about the size")
        if image.mode.startswith("I"):
            # Pillow's own conversion would clip 16-bit grey at 255 instead of scaling it.
            grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.ascontiguousarray(image.convert("RGB"), dtype=np.uint8)


def _probe_png(data: bytes) -> ImageInfo:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise DecodeError("undecodable", "a PNG without its header")
    width, height, _, color_type = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color_type)
    if channels is None:
        raise DecodeError("undecodable", f"a PNG of unknown colour type {color_type}")
    return ImageInfo("png", width, height, channels)


def _probe_jpeg(data: bytes) -> ImageInfo:
    for marker, at in _segments(data):
        if marker in _OTHER_FRAMES:
            raise DecodeError("undecodable", "a JPEG of a lossless or arithmetic kind")
        if marker in _FRAMES and at + 10 <= len(data):
            precision, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            if precision != 8 or channels not in (1, 3, 4):
                raise DecodeError("undecodable", f"a JPEG of {channels} channels of {precision} bits")
            return ImageInfo("jpeg", width, height, channels)
    raise DecodeError("undecodable", "a JPEG without a frame header")


def _in_one_scan(data: bytes) -> bool:
    """Whether the first scan has every channel whole: then the decoder takes no other, however many follow."""
    channels = 0
    for marker, at in _segments(data):
        if marker in _FRAMES:
            if marker == _PROGRESSIVE:
                return False
            channels = data[at + 9]
        elif marker == _SCAN[1]:
            return at + 4 < len(data) and data[at + 4] == channels
    return False


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of every segment up to the first scan, it included. DecodeError for what is none."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise DecodeError("undecodable", "a JPEG with a damaged header")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _NO_BODY:
            at += 2
            continue
        if marker == 0xD9:
            return
        yield marker, at
        if marker == _SCAN[1]:
            return
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
