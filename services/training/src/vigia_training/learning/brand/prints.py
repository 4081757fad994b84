"""How a logo looks where it is printed: its colours, what it is printed on, and how the surface is turned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vigia_training.learning.brand.cutout import SEEN, Cutout, Pixels

Floats = NDArray[np.float32]

#: Degrees that the surface is turned by at most, about its vertical, its horizontal axis, and in the image.
_YAW, _PITCH, _ROLL = 45.0, 35.0, 25.0
#: Distance of the viewer in widths of the logo.
_NEAREST = 2.0
#: A cut-out is kept so many times larger than its print while it is made.
_SPARE = 1.6
#: Levels by which most of a print has to differ from what is under it.
_CONTRAST = 40.0


@dataclass(frozen=True, slots=True)
class Print:
    """``pixels`` uint8 ``[H, W, 4]`` as it lies in a scene; ``shape`` ``[H, W]``: the logo's opacity without plate."""

    pixels: Pixels
    shape: Pixels

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of what is seen of the logo; empty (all 0) when nothing is."""
        # Thin lines are faint where they are small.
        seen = self.shape >= min(SEEN, max(1, int(self.shape.max()) // 2))
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if not len(rows):
            return (0, 0, 0, 0)
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def make_print(logo: Cutout, under: Floats, room: tuple[float, float], size: float, rng: np.random.Generator) -> Print:
    """One random print of ``size`` (geometric mean of its sides, pixels) that fits into ``room`` (width, height).

    ``under``: the mean colour of the place; a print that would not show there gets a plate.
    """
    look, shape = _look(_reduced(logo, _SPARE * size), under, rng)
    return _turned(look, shape, room, size, rng)


def _reduced(logo: Cutout, size: float) -> Cutout:
    """The same with no more pixels than are needed."""
    high, wide = logo.filled.shape
    factor = size / math.sqrt(high * wide)
    if factor >= 1:
        return logo
    given = (max(1, round(wide * factor)), max(1, round(high * factor)))

    def resized(image: Pixels) -> Pixels:
        return np.asarray(Image.fromarray(image).resize(given, Image.Resampling.BOX))

    return Cutout(resized(logo.pixels), resized(logo.filled), logo.ground)


def _look(logo: Cutout, under: Floats, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    colours = logo.pixels[..., :3].astype(np.float32)
    opacity, outline = logo.pixels[..., 3], logo.filled
    # What a logo encloses is printed with it, or shows what is under it.
    closed = rng.random() < 0.4
    shape = outline if closed else opacity
    if closed and logo.ground is None:
        # Nobody knows the colour of what was transparent.
        hole = (outline > opacity)[..., None]
        colours = np.where(hole, rng.uniform(0, 255, 3).astype(np.float32), colours)
    colours = _inked(colours, opacity, rng)
    plate = _plate(logo, colours, shape, under, rng)
    cover = shape.astype(np.float32)
    if plate is None:
        if rng.random() < 0.2:
            cover = cover * rng.uniform(0.75, 1.0)
        return _stack(colours, cover), shape
    margin = int(rng.uniform(0.04, 0.35) * math.sqrt(shape.size))
    share = np.pad(cover, margin)[..., None] / 255
    around = ((margin, margin), (margin, margin), (0, 0))
    mixed = np.asarray(np.pad(colours, around) * share + plate * (1 - share), np.float32)
    return _stack(mixed, _rounded(mixed.shape[1], mixed.shape[0], rng)), np.pad(shape, margin)


def _stack(colours: Floats, cover: Floats | Pixels) -> Pixels:
    return np.dstack([np.clip(colours, 0, 255), cover]).astype(np.uint8)


def _inked(colours: Floats, opacity: Pixels, rng: np.random.Generator) -> Floats:
    """In its own colours under other light, in one ink or two, or inverted."""
    kind = rng.random()
    if kind < 0.2:
        grey = colours @ np.array([0.3, 0.59, 0.11], np.float32)
        low, high = np.quantile(grey[opacity >= SEEN], (0.02, 0.98)) if (opacity >= SEEN).any() else (0.0, 255.0)
        # Of one ink where the logo has one brightness; else its dark and bright parts in two.
        level = np.clip((grey - low) / max(high - low, 60.0), 0, 1)[..., None]
        dark, bright = rng.uniform(0, 110, 3), rng.uniform(150, 255, 3)
        if rng.random() < 0.6:
            dark, bright = np.full(3, dark.mean()), np.full(3, bright.mean())
        if rng.random() < 0.4:
            dark, bright = bright, dark
        return np.asarray(dark + (bright - dark) * level, np.float32)
    if kind < 0.27:
        colours = 255 - colours
    mean = colours.mean()
    light = ((colours - mean) * rng.uniform(0.6, 1.2) + mean * rng.uniform(0.6, 1.3)) * rng.uniform(0.85, 1.15, 3)
    return np.asarray(light, np.float32)


def _plate(
    logo: Cutout, colours: Floats, shape: Pixels, under: Floats, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """The colour of a sign or label that the logo is on, None where it is printed on what is there."""
    own = np.asarray(logo.ground, np.float64) if logo.ground is not None else None
    drawn = rng.random()
    seen = colours[shape >= SEEN][::5]
    hidden = bool(len(seen)) and bool(np.median(np.abs(seen - under).max(1)) < _CONTRAST)
    if own is not None and drawn < 0.25:
        return own
    if drawn < 0.35 or hidden:
        for _ in range(8):
            plate = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0, 255))
            if not len(seen) or np.median(np.abs(seen - plate).max(1)) >= 2 * _CONTRAST:
                break
        return np.asarray(plate, np.float64)
    return None


def _rounded(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Opacity of a plate: a rectangle whose corners may be round."""
    cover = np.full((height, width), 255, np.uint8)
    radius = int(rng.uniform(0, 0.3) * min(width, height)) if rng.random() < 0.5 else 0
    if radius:
        y, x = np.mgrid[:height, :width]
        away_x = np.maximum(np.maximum(radius - x, x - (width - 1 - radius)), 0)
        away_y = np.maximum(np.maximum(radius - y, y - (height - 1 - radius)), 0)
        cover[away_x**2 + away_y**2 > radius**2] = 0
    return cover


def _turned(look: Pixels, shape: Pixels, room: tuple[float, float], size: float, rng: np.random.Generator) -> Print:
    height, width = shape.shape
    corners = _corners(width / height, rng)
    corners -= corners.min(0)
    # Of the size that was asked for, or as large as there is room.
    wide, high = corners.max(0)
    factor = min(size / math.sqrt(wide * high), room[0] / wide, room[1] / high)
    corners = corners * factor
    wide, high = (max(1, math.ceil(side)) for side in corners.max(0))
    # Smaller first, so that the turn samples about one pixel for each.
    near = min(1.0, 1.25 * max(wide / width, high / height))
    given = (max(1, round(width * near)), max(1, round(height * near)))
    coefficients = _homography(corners, given)

    def turned(image: Pixels) -> Pixels:
        small = Image.fromarray(image).resize(given, Image.Resampling.BOX if near < 1 else Image.Resampling.BILINEAR)
        return np.asarray(
            small.transform((wide, high), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
        )

    return Print(turned(look), turned(shape))


def _corners(ratio: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Where a rectangle of that width to height is seen, turned in space: ``[4, 2]``, from the upper left clockwise."""
    strength = rng.beta(1.2, 2.0)
    yaw, pitch, roll = (math.radians(bound * strength * rng.uniform(-1, 1)) for bound in (_YAW, _PITCH, _ROLL))
    half_wide, half_high = math.sqrt(ratio) / 2, 1 / math.sqrt(ratio) / 2
    x, y = np.array([-1, 1, 1, -1]) * half_wide, np.array([-1, -1, 1, 1]) * half_high
    x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
    x, depth = x * math.cos(yaw), x * math.sin(yaw)
    y, depth = y * math.cos(pitch) - depth * math.sin(pitch), y * math.sin(pitch) + depth * math.cos(pitch)
    away = max(2 * half_wide, 2 * half_high) * rng.uniform(_NEAREST, 3 * _NEAREST)
    return np.stack([x, y], 1) * (away / (away + depth))[:, None]


def _homography(corners: NDArray[np.float64], size: tuple[int, int]) -> tuple[float, ...]:
    """Pillow's eight numbers that take a place in the scene to its place in an image of ``size``."""
    width, height = size
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, [(0, 0), (width, 0), (width, height), (0, height)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return tuple(np.linalg.solve(np.asarray(rows, np.float64), np.asarray(wanted, np.float64)).tolist())
