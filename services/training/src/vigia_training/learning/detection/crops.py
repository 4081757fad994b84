"""Varied crops of annotated images: place, size, orientation, light, and several glued together."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image uint8 ``[H, W, 3]`` at the model's scale; boxes float32 ``[n, 4]`` in its pixels, classes ``[n]``.

    ``ignored`` ``[m, 4]``: regions where something is cut so far that neither a box nor its absence can be taught.
    """

    pixels: Pixels
    boxes: Floats
    classes: Ints
    ignored: Floats


@dataclass(frozen=True, slots=True)
class Variation:
    """Bounds of the random changes. ``turn``: quarter turns and top-down flips, where orientation says nothing."""

    scale: float = 0.25
    stretch: float = 0.1
    turn: bool = True
    flip: bool = True
    light: float = 0.2
    contrast: float = 0.2
    mosaic: float = 0.5
    resample: float = 0.6


#: A box of which less is visible in a crop is neither taught nor held against the model.
_VISIBLE = 0.6
#: Share of crops that are placed so that they hold a box.
_AIMED = 0.7


class Cropper:
    """Draws crops of ``side`` pixels, classes alike."""

    def __init__(self, images: Sequence[Annotated], side: int, bounds: Variation, rng: np.random.Generator) -> None:
        self._images, self._side, self._bounds, self._rng = images, side, bounds, rng
        found: dict[int, list[tuple[int, int]]] = {}
        for number, image in enumerate(images):
            for box, label in enumerate(image.classes.tolist()):
                found.setdefault(label, []).append((number, box))
        self._members = [found[label] for label in sorted(found)]

    def draw(self) -> Annotated:
        """One varied crop; some are four smaller ones side by side, which shows more boxes and borders."""
        if self._rng.random() >= self._bounds.mosaic:
            return self._crop(self._side, self._side)
        half = self._side // 2
        split_x, split_y = self._rng.integers(half * 3 // 4, half * 5 // 4 + 1, 2).tolist()
        pixels = np.empty((self._side, self._side, 3), np.uint8)
        parts = []
        for left, right in ((0, split_x), (split_x, self._side)):
            for top, bottom in ((0, split_y), (split_y, self._side)):
                part = self._crop(right - left, bottom - top)
                pixels[top:bottom, left:right] = part.pixels
                parts.append(_moved(part, left, top))
        return Annotated(
            pixels,
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.classes for p in parts]),
            np.concatenate([p.ignored for p in parts]),
        )

    def _crop(self, width: int, height: int) -> Annotated:
        rng, bounds = self._rng, self._bounds
        number, aim = self._aim()
        image = self._images[number]
        turned = bounds.turn and rng.random() < 0.5
        if turned:
            width, height = height, width
        stretch_x = stretch_y = 1.0
        if rng.random() < bounds.resample:
            scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(bounds.scale)))
            ratio = float(np.exp(rng.uniform(-0.5, 0.5) * np.log1p(bounds.stretch)))
            stretch_x, stretch_y = scale * ratio, scale / ratio
        crop = _window(image, aim, width, height, stretch_x, stretch_y, rng)
        crop = _orient(crop, turned, bounds.flip and bool(rng.random() < 0.5), bounds.turn and bool(rng.random() < 0.5))
        return Annotated(_photograph(crop.pixels, rng, bounds), crop.boxes, crop.classes, crop.ignored)

    def _aim(self) -> tuple[int, Floats | None]:
        """An image, and the box that the crop has to show, if any."""
        if self._members and self._rng.random() < _AIMED:
            members = self._members[int(self._rng.integers(len(self._members)))]
            number, box = members[int(self._rng.integers(len(members)))]
            return number, self._images[number].boxes[box]
        return int(self._rng.integers(len(self._images))), None


def _window(
    image: Annotated,
    aim: Floats | None,
    width: int,
    height: int,
    stretch_x: float,
    stretch_y: float,
    rng: np.random.Generator,
) -> Annotated:
    """``width`` x ``height`` pixels of the image seen at a factor; outside it is grey."""
    high, wide = image.pixels.shape[:2]
    span_x, span_y = width / stretch_x, height / stretch_y
    left = _place(wide, span_x, None if aim is None else (float(aim[0]), float(aim[2])), rng)
    top = _place(high, span_y, None if aim is None else (float(aim[1]), float(aim[3])), rng)
    if stretch_x == 1 and stretch_y == 1:
        left, top = round(left), round(top)
    source = Image.fromarray(image.pixels)
    matrix = (1 / stretch_x, 0.0, float(left), 0.0, 1 / stretch_y, float(top))
    pixels = np.asarray(
        source.transform(
            (width, height),
            Image.Transform.AFFINE,
            matrix,
            resample=Image.Resampling.BILINEAR,
            fillcolor=(127, 127, 127),
        )
    )
    scale = np.array([stretch_x, stretch_y, stretch_x, stretch_y], np.float32)
    offset = np.array([left, top, left, top], np.float32)
    return _clip(
        Annotated(pixels, (image.boxes - offset) * scale, image.classes, (image.ignored - offset) * scale),
        width,
        height,
    )


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


def _orient(crop: Annotated, turned: bool, mirrored: bool, upended: bool) -> Annotated:
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


def _moved(crop: Annotated, left: int, top: int) -> Annotated:
    offset = np.array([left, top, left, top], np.float32)
    return Annotated(crop.pixels, crop.boxes + offset, crop.classes, crop.ignored + offset)


def _photograph(pixels: Pixels, rng: np.random.Generator, bounds: Variation) -> Pixels:
    """Light, blur, noise and compression, each on some of the crops."""
    if rng.random() < 0.5:
        mean = float(pixels.mean())
        gain, contrast = (
            1 + rng.uniform(-bounds.light, bounds.light),
            1 + rng.uniform(-bounds.contrast, bounds.contrast),
        )
        table = np.clip((np.arange(256) - mean) * contrast + mean * gain, 0, 255).astype(np.uint8)
        pixels = table[pixels]
    if rng.random() < 0.15:
        blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
        pixels = np.asarray(blurred)
    if rng.random() < 0.15:
        noise = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(1, 8)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(60, 95)))
        pixels = np.asarray(Image.open(file))
    return pixels
