"""A logo without what it lies on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Longer side of an image while its logo is cut out, and of a cut-out, pixels.
_WORK_SIDE = 512
SIDE = 256
#: Levels (of 255) that a pixel may differ from the ground and still be ground: what JPEG does around edges.
_NOISE = 24.0
#: Share of the border that must have one colour for it to be a ground: logos may touch the border.
_UNIFORM = 0.75
#: Opacity (of 255) from which a pixel is part of the logo, and the same for "there is transparency at all".
SEEN = 96
_TRANSPARENT = 128
#: Specks of fewer pixels are noise.
_SPECK = 5


@dataclass(frozen=True, slots=True)
class Cutout:
    """``pixels`` uint8 ``[H, W, 4]``: red, green, blue, opacity; no side is longer than ``SIDE``.

    ``filled`` uint8 ``[H, W]``: the opacity with the holes closed that the logo encloses. ``ground``: the colour that
    the logo lay on, None where it filled its image or lay on nothing.
    """

    pixels: Pixels
    filled: Pixels
    ground: tuple[int, int, int] | None


def cut_out(pixels: Pixels, opacity: Pixels | None) -> Cutout | None:
    """The logo that an image uint8 ``[H, W, 3]`` shows; None when it shows nothing but one colour.

    By its ``opacity`` uint8 ``[H, W]``, if that leaves something out; else by the one colour that most of the border
    has; else the whole rectangle is the logo.
    """
    ground = None
    if opacity is not None and not (opacity < _TRANSPARENT).all() and (opacity < _TRANSPARENT).any():
        image = _shrunk(np.dstack([pixels, opacity]), _WORK_SIDE)
        colours, matte = image[..., :3], image[..., 3]
    else:
        colours = _shrunk(pixels, _WORK_SIDE)
        found = _ground(colours)
        if found is None:
            matte = np.full(colours.shape[:2], 255, np.uint8)
        else:
            ground = (int(found[0]), int(found[1]), int(found[2]))
            matte = _matte(colours, found)
            colours = _unmixed(colours, matte, found)
    rows, columns = np.flatnonzero((matte >= SEEN).any(1)), np.flatnonzero((matte >= SEEN).any(0))
    if not len(rows):
        return None
    inner = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = _shrunk(np.dstack([colours[inner], matte[inner]]), SIDE)
    return Cutout(image, _filled(image[..., 3]), ground)


def _shrunk(image: Pixels, side: int) -> Pixels:
    high, wide = image.shape[:2]
    factor = min(1.0, side / max(high, wide))
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    if size == (wide, high):
        return image
    # Pillow weighs colours by their opacity.
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _ground(image: Pixels) -> Floats | None:
    """The colour of the border, None where it has no one colour."""
    edge = max(1, round(0.01 * min(image.shape[:2])))
    inner = np.zeros(image.shape[:2], bool)
    inner[edge:-edge, edge:-edge] = True
    border = image[~inner].astype(np.float32)
    colour = np.median(border, axis=0).astype(np.float32)
    alike = np.abs(border - colour).max(1) < _NOISE
    return colour if alike.mean() >= _UNIFORM else None


def _matte(image: Pixels, ground: Floats) -> Pixels:
    """Opacity by the distance from the ground's colour: soft where the logo ends, full inside."""
    distance = np.abs(image.astype(np.float32) - ground).max(2)
    solid = distance > _NOISE
    parts, count = ndimage.label(solid, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    solid &= sizes[parts] >= _SPECK
    # How far the logo is from the ground close by tells how much of it a pixel at its edge holds.
    full = np.maximum(ndimage.maximum_filter(np.where(solid, distance, 0), 5), 1)
    edge = ndimage.binary_dilation(~solid, iterations=2)
    share = np.where(edge, np.clip(distance / full, 0, 1), 1.0)
    return np.round(255 * np.where(solid, share, 0)).astype(np.uint8)


def _unmixed(image: Pixels, matte: Pixels, ground: Floats) -> Pixels:
    """The logo's own colours where its edge is mixed with the ground."""
    share = np.maximum(matte.astype(np.float32) / 255, 0.1)[..., None]
    own = (image - (1 - share) * ground) / share
    return np.where(matte[..., None] > 0, np.clip(own, 0, 255), image).astype(np.uint8)


def _filled(matte: Pixels) -> Pixels:
    seen = matte >= SEEN
    return np.where(ndimage.binary_fill_holes(seen) & ~seen, 255, matte).astype(np.uint8)
