"""An image's pixels to the tensor the graph takes. One function for training, evaluation, detection and edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from PIL import Image

from vigia_vision.decode import DEFAULT_LIMITS, Limits, Pixels, decode, probe
from vigia_vision.manifest import LETTERBOX, SCALED, Manifest

_SHRINKS: Final[tuple[Literal[1, 2, 4, 8], ...]] = (8, 4, 2, 1)


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

    The size is checked on the header, before decoding. Raises DecodeError, or WrongSize when the model takes one size
    alone and the image has not ``manifest.input.image_width`` x ``image_height`` pixels.
    """
    contract = manifest.input
    info = probe(data, limits)
    wanted = (contract.image_width, contract.image_height)
    if not contract.any_size and (info.width, info.height) != wanted:
        raise WrongSize(info.width, info.height, *wanted)
    if contract.preparation == SCALED:
        tensor = squash_scaled(data, contract.width, contract.height, limits)
    else:
        make = letterbox_area if contract.preparation == LETTERBOX else squash_area
        tensor = make(decode(data, limits), contract.width, contract.height)
    return Prepared(tensor, info.width, info.height)


def squash_area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Preparation ``squash-area/1``: uint8 ``[H, W, 3]`` to ``[height, width, 3]``, aspect ratio not kept.

    Every output pixel is the mean of the pixels whose centres lie in the area it covers (Pillow's box filter), so a
    pixel on a border counts whole for one side; enlarging repeats pixels.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.ascontiguousarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), dtype=np.uint8)


def squash_scaled(data: bytes, width: int, height: int, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Preparation ``squash-area/2``: a JPEG or PNG to uint8 ``[height, width, 3]``, aspect ratio not kept.

    Shrunk while it is decoded, by the largest of 8, 4, 2 and 1 that leaves at least as many pixels each way, and then
    to size by Pillow's bilinear filter, which covers as much as an output pixel does. DecodeError.
    """
    info = probe(data, limits)
    shrink = next(by for by in _SHRINKS if (info.width >= by * width and info.height >= by * height) or by == 1)
    pixels = decode(data, limits, shrink)
    if pixels.shape[:2] == (height, width):
        return pixels
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(small, dtype=np.uint8)


#: What lies around an image in a tensor of another shape.
_GREY = 127


def letterbox_area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Preparation ``letterbox-area/1``: uint8 ``[H, W, 3]`` to ``[height, width, 3]``, aspect ratio kept.

    The image, as large as it fits (see :func:`fitted`), lies in the upper left corner; the rest is grey. Made smaller
    as ``squash-area/1`` does, larger by bilinear interpolation.
    """
    wide, high = fitted(pixels.shape[1], pixels.shape[0], width, height)
    if pixels.shape[:2] != (high, wide):
        shrinks = wide <= pixels.shape[1] and high <= pixels.shape[0]
        kernel = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        pixels = np.asarray(Image.fromarray(pixels).resize((wide, high), kernel))
    if (high, wide) == (height, width):
        return np.ascontiguousarray(pixels, dtype=np.uint8)
    tensor = np.full((height, width, 3), _GREY, np.uint8)
    tensor[:high, :wide] = pixels
    return tensor


def fitted(width: int, height: int, tensor_width: int, tensor_height: int) -> tuple[int, int]:
    """Width and height in the tensor of a letterboxed image of ``width`` x ``height`` pixels, at least 1 each."""
    scale = min(tensor_width / width, tensor_height / height)
    return (
        min(max(round(width * scale), 1), tensor_width),
        min(max(round(height * scale), 1), tensor_height),
    )
