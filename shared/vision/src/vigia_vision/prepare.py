"""An image's pixels to the tensor the graph takes. One function for training, evaluation, detection and edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vigia_vision.decode import DEFAULT_LIMITS, Limits, Pixels, decode, probe
from vigia_vision.manifest import Manifest


class WrongSize(ValueError):  # noqa: N818 - names what is wrong, as DecodeError's codes do
    """The image has not the pixels that the model was trained on."""

    def __init__(self, width: int, height: int, expected_width: int, expected_height: int) -> None:
        super().__init__(f"{width}x{height} pixels; the model takes {expected_width}x{expected_height}")
        self.width = width
        self.height = height


@dataclass(frozen=True, slots=True)
class Prepared:
    """``tensor``: uint8 ``[H, W, 3]`` for the graph; ``width`` and ``height``: pixels of the image it came from."""

    tensor: Pixels
    width: int
    height: int


def prepare(data: bytes, manifest: Manifest, limits: Limits = DEFAULT_LIMITS) -> Prepared:
    """Decodes and resizes one JPEG or PNG.

    The size is checked on the header, before decoding. Raises DecodeError, or WrongSize when the image has not
    ``manifest.input.image_width`` x ``image_height`` pixels.
    """
    contract = manifest.input
    info = probe(data, limits)
    if (info.width, info.height) != (contract.image_width, contract.image_height):
        raise WrongSize(info.width, info.height, contract.image_width, contract.image_height)
    return Prepared(squash_area(decode(data, limits), contract.width, contract.height), info.width, info.height)


def squash_area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Preparation ``squash-area/1``: uint8 ``[H, W, 3]`` to ``[height, width, 3]``, aspect ratio not kept.

    Every output pixel is the mean of the pixels whose centres lie in the area it covers (Pillow's box filter), so a
    pixel on a border counts whole for one side; enlarging repeats pixels.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.ascontiguousarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), dtype=np.uint8)
