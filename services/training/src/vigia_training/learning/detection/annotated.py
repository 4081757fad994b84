"""Annotated images and parts of them: seen through a window, turned, put into each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: A box of which less is visible in a crop is neither taught nor held against the model.
_VISIBLE = 0.6
#: A piece is dropped when so many places for it were taken.
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image uint8 ``[H, W, 3]`` at the model's scale; boxes float32 ``[n, 4]`` in its pixels, classes ``[n]``.

    ``ignored`` ``[m, 4]``: regions where something is cut so far that neither a box nor its absence can be taught.
    """

    pixels: Pixels
    boxes: Floats
    classes: Ints
    ignored: Floats


def around(
    image: Annotated, aim: Floats | None, span_x: float, span_y: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Left and top of a window of so many of the image's pixels: around the aim, else anywhere."""
    high, wide = image.pixels.shape[:2]
    left = _place(wide, span_x, None if aim is None else (float(aim[0]), float(aim[2])), rng)
    top = _place(high, span_y, None if aim is None else (float(aim[1]), float(aim[3])), rng)
    return left, top


def window(
    image: Annotated, left: float, top: float, width: int, height: int, stretch: tuple[float, float]
) -> Annotated:
    """``width`` x ``height`` pixels of the image seen at a factor; outside it is grey."""
    stretch_x, stretch_y = stretch
    if stretch_x == 1 and stretch_y == 1:
        left, top = round(left), round(top)
    high, wide = image.pixels.shape[:2]
    # Only what is seen is copied, with a border that interpolation reads.
    x, y = min(max(math.floor(left) - 2, 0), wide - 1), min(max(math.floor(top) - 2, 0), high - 1)
    right, bottom = math.ceil(left + width / stretch_x) + 2, math.ceil(top + height / stretch_y) + 2
    source = Image.fromarray(image.pixels[y : max(bottom, y + 1), x : max(right, x + 1)])
    pixels = source.transform(
        (width, height),
        Image.Transform.AFFINE,
        (1 / stretch_x, 0.0, float(left) - x, 0.0, 1 / stretch_y, float(top) - y),
        resample=Image.Resampling.BILINEAR,
        fillcolor=(127, 127, 127),
    )
    scale = np.array([stretch_x, stretch_y, stretch_x, stretch_y], np.float32)
    offset = np.array([left, top, left, top], np.float32)
    return _clip(
        Annotated(np.asarray(pixels), (image.boxes - offset) * scale, image.classes, (image.ignored - offset) * scale),
        width,
        height,
    )


def put(crop: Annotated, piece: Annotated, rng: np.random.Generator) -> Annotated:
    """The crop with the piece somewhere in it where it hides no object; as it was when there is hardly such a place."""
    height, width = crop.pixels.shape[:2]
    high, wide = piece.pixels.shape[:2]
    taken = np.concatenate([crop.boxes, crop.ignored])
    for _ in range(_TRIES):
        left, top = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
        covered = np.clip(taken, (left, top, left, top), (left + wide, top + high, left + wide, top + high))
        if not (_areas(covered) > 0).any():
            break
    else:
        return crop
    pixels = crop.pixels.copy()
    pixels[top : top + high, left : left + wide] = piece.pixels
    return together(pixels, [crop, moved(piece, left, top)])


def _place(length: int, span: float, aim: tuple[float, float] | None, rng: np.random.Generator) -> float:
    """Where a window of ``span`` pixels begins on a side of ``length``: around the aim, else anywhere."""
    low, high = min(0.0, length - span), max(0.0, length - span)
    if aim is not None:
        first, last = sorted((aim[1] - span, aim[0]))
        # A box larger than the window is shown by any part of it.
        low, high = max(low, min(first, high)), min(high, max(last, low))
    return float(rng.uniform(low, high)) if high > low else low


def _clip(crop: Annotated, width: int, height: int) -> Annotated:
    limits = np.array([width, height, width, height], np.float32)

    def clipped(boxes: Floats) -> tuple[Floats, Floats]:
        inner = np.clip(boxes, 0, limits).astype(np.float32)
        return inner, np.asarray(_areas(inner) / np.maximum(_areas(boxes), 1e-6), np.float32)

    boxes, share = clipped(crop.boxes)
    ignored, rest = clipped(crop.ignored)
    keep, cut = share >= _VISIBLE, (share > 0) & (share < _VISIBLE)
    return Annotated(crop.pixels, boxes[keep], crop.classes[keep], np.concatenate([boxes[cut], ignored[rest > 0]]))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)


def orient(crop: Annotated, turned: bool, mirrored: bool, upended: bool) -> Annotated:
    """Rows made columns, then left and right exchanged, then top and bottom."""
    pixels, boxes, ignored = crop.pixels, crop.boxes, crop.ignored
    if turned:  # rows become columns
        pixels = pixels.transpose(1, 0, 2)
        boxes, ignored = boxes[:, [1, 0, 3, 2]], ignored[:, [1, 0, 3, 2]]
    height, width = pixels.shape[:2]
    if mirrored:
        pixels = pixels[:, ::-1]
        boxes, ignored = (_flipped(b, width, 0) for b in (boxes, ignored))
    if upended:
        pixels = pixels[::-1]
        boxes, ignored = (_flipped(b, height, 1) for b in (boxes, ignored))
    return Annotated(np.ascontiguousarray(pixels), boxes, crop.classes, ignored)


def _flipped(boxes: Floats, length: int, axis: int) -> Floats:
    result = boxes.copy()
    result[:, axis], result[:, axis + 2] = length - boxes[:, axis + 2], length - boxes[:, axis]
    return result


def together(pixels: Pixels, parts: Sequence[Annotated]) -> Annotated:
    """An image with what is annotated in all of its parts."""
    return Annotated(
        pixels,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.ignored for part in parts]),
    )


def moved(crop: Annotated, left: int, top: int) -> Annotated:
    """The same as part of an image in which it begins there."""
    offset = np.array([left, top, left, top], np.float32)
    return Annotated(crop.pixels, crop.boxes + offset, crop.classes, crop.ignored + offset)
