"""Photographs to H.264 access units, each one a picture of its own.

A reader gives out a picture when it knows that the access unit is complete, and H.264 says so only with the start of
the next one: at one part a second that is a second of delay. So the delimiter that begins an access unit is sent right
after the picture before it, and every picture is an IDR picture that needs no other.
"""

from __future__ import annotations

import fractions
import io
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_IDR, _SPS, _PPS = 5, 7, 8
_AUD = b"\x09\x10"


@dataclass(frozen=True, slots=True)
class Clip:
    """Encoded pictures. ``units[i]`` holds the NAL units of picture i, without start codes."""

    sps: bytes
    pps: bytes
    units: tuple[tuple[bytes, ...], ...]
    width: int
    height: int


def encode(photographs: Sequence[bytes], crf: int = 18) -> Clip:
    """Encodes JPEGs or PNGs of one size, uint8 RGB, as H.264 baseline pictures of quality ``crf`` (lower is better)."""
    pictures = [_pixels(data) for data in photographs]
    height, width = pictures[0].shape[:2]
    if any(picture.shape[:2] != (height, width) for picture in pictures):
        raise ValueError("the photographs of one camera have one size")
    width, height = width // 2 * 2, height // 2 * 2  # 4:2:0 has no odd sizes
    sps = pps = b""
    units = []
    for picture in pictures:
        # An encoder per picture: each is an IDR picture whose quality owes nothing to the ones before it.
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = fractions.Fraction(1, 25)
        encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf), "profile": "baseline"}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
        packets = [*encoder.encode(frame.reformat(format="yuv420p")), *encoder.encode(None)]
        nals = _split(b"".join(bytes(packet) for packet in packets))
        sps = next(nal for nal in nals if nal[0] & 31 == _SPS)
        pps = next(nal for nal in nals if nal[0] & 31 == _PPS)
        units.append((sps, pps, *(nal for nal in nals if nal[0] & 31 == _IDR), _AUD))
    return Clip(sps, pps, tuple(units), width, height)


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.uint8)


def _split(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream."""
    return [nal.rstrip(b"\0") for nal in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal]
