"""Varied crops of annotated images: place, size, orientation, light, several glued together, objects pasted in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from vigia_training.learning.detection.annotated import (
    Annotated,
    Floats,
    Pixels,
    around,
    moved,
    orient,
    put,
    together,
    window,
)


@dataclass(frozen=True, slots=True)
class Variation:
    """Bounds of the random changes. ``turn``: quarter turns and top-down flips, where orientation says nothing.

    ``paste``: objects pasted into a crop, on average, where there are few; and as many places without one.
    """

    scale: float = 0.25
    stretch: float = 0.1
    turn: bool = True
    flip: bool = True
    light: float = 0.2
    contrast: float = 0.2
    mosaic: float = 0.5
    resample: float = 0.6
    paste: float = 1.0


#: Share of crops that are placed so that they hold a box.
_AIMED = 0.7
#: Crops are glued together where half of the objects measure less than such a share of a crop's side.
_GLUED_SIDE = 0.3
#: With more objects than these, crops show enough places as they are, and fewer are pasted.
_FEW = 1000
#: What is pasted comes with so much around the object, as shares of its sides, and at least so many pixels.
_AROUND = (0.15, 0.6)
_LEAST_AROUND = 2.0
#: It covers at most so much of a crop's sides.
_PASTED_SIDE = 0.6


class Cropper:
    """Draws crops of ``side`` pixels, classes alike."""

    def __init__(self, images: Sequence[Annotated], side: int, bounds: Variation, rng: np.random.Generator) -> None:
        self._images, self._side, self._bounds, self._rng = images, side, bounds, rng
        found: dict[int, list[tuple[int, int]]] = {}
        for number, image in enumerate(images):
            for box, label in enumerate(image.classes.tolist()):
                found.setdefault(label, []).append((number, box))
        self._members = [found[label] for label in sorted(found)]
        sides = [float((box[2:] - box[:2]).max()) for image in images for box in image.boxes]
        self._mosaic = bounds.mosaic if not sides or np.median(sides) < _GLUED_SIDE * side else 0.0
        self._paste = bounds.paste * min(1.0, _FEW / max(1, sum(map(len, self._members))))

    def draw(self) -> Annotated:
        """One varied crop; some are four smaller ones side by side, which shows more boxes and borders."""
        if self._rng.random() >= self._mosaic:
            return self._crop(self._side, self._side)
        half = self._side // 2
        split_x, split_y = self._rng.integers(half * 3 // 4, half * 5 // 4 + 1, 2).tolist()
        pixels = np.empty((self._side, self._side, 3), np.uint8)
        parts = []
        for left, right in ((0, split_x), (split_x, self._side)):
            for top, bottom in ((0, split_y), (split_y, self._side)):
                part = self._crop(right - left, bottom - top)
                pixels[top:bottom, left:right] = part.pixels
                parts.append(moved(part, left, top))
        return together(pixels, parts)

    def _crop(self, width: int, height: int) -> Annotated:
        rng, bounds = self._rng, self._bounds
        number, aim = self._aim()
        image = self._images[number]
        turned = bounds.turn and rng.random() < 0.5
        if turned:
            width, height = height, width
        stretch = self._stretch()
        left, top = around(image, aim, width / stretch[0], height / stretch[1], rng)
        crop = self._pasted(self._oriented(window(image, left, top, width, height, stretch), turned))
        return Annotated(_photograph(crop.pixels, rng, bounds), crop.boxes, crop.classes, crop.ignored)

    def _stretch(self) -> tuple[float, float]:
        """Pixels of the crop for one of the image, across and down."""
        rng, bounds = self._rng, self._bounds
        if rng.random() >= bounds.resample:
            return 1.0, 1.0
        scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(bounds.scale)))
        ratio = float(np.exp(rng.uniform(-0.5, 0.5) * np.log1p(bounds.stretch)))
        return scale * ratio, scale / ratio

    def _oriented(self, crop: Annotated, turned: bool) -> Annotated:
        rng, bounds = self._rng, self._bounds
        return orient(crop, turned, bounds.flip and bool(rng.random() < 0.5), bounds.turn and bool(rng.random() < 0.5))

    def _pasted(self, crop: Annotated) -> Annotated:
        """With objects of any image in it, classes alike, and with as many pieces that hold none.

        The latter are cut out and put in the same way: an edge around a piece says nothing about what it shows.
        """
        if not self._members or not self._paste:
            return crop
        height, width = crop.pixels.shape[:2]
        share = width * height / self._side**2
        for wanted in (True, False):
            for _ in range(int(self._rng.poisson(self._paste * share))):
                piece = self._piece(wanted, width, height)
                crop = crop if piece is None else put(crop, piece, self._rng)
        return crop

    def _piece(self, wanted: bool, width: int, height: int) -> Annotated | None:
        """An object with some of what lies around it, or a place of such a size that shows none; None when it fails."""
        rng = self._rng
        members = self._members[int(rng.integers(len(self._members)))]
        number, index = members[int(rng.integers(len(members)))]
        box, (deep, far) = self._images[number].boxes[index], self._images[number].pixels.shape[:2]
        margin = np.maximum(rng.uniform(*_AROUND, 4) * np.tile(box[2:] - box[:2], 2), _LEAST_AROUND)
        left, top = np.maximum(box[:2] - margin[:2], 0).tolist()
        span_x, span_y = (np.minimum(box[2:] + margin[2:], (far, deep)) - (left, top)).tolist()
        if not wanted:
            number = int(rng.integers(len(self._images)))
            left, top = around(self._images[number], None, span_x, span_y, rng)
        stretch, turned = self._stretch(), self._bounds.turn and bool(rng.random() < 0.5)
        wide, high = max(1, round(span_x * stretch[0])), max(1, round(span_y * stretch[1]))
        across, down = (high, wide) if turned else (wide, high)
        if across > _PASTED_SIDE * width or down > _PASTED_SIDE * height:
            return None
        piece = self._oriented(window(self._images[number], left, top, wide, high, stretch), turned)
        return piece if wanted or not len(piece.boxes) + len(piece.ignored) else None

    def _aim(self) -> tuple[int, Floats | None]:
        """An image, and the box that the crop has to show, if any."""
        if self._members and self._rng.random() < _AIMED:
            members = self._members[int(self._rng.integers(len(self._members)))]
            number, box = members[int(self._rng.integers(len(members)))]
            return number, self._images[number].boxes[box]
        return int(self._rng.integers(len(self._images))), None


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
