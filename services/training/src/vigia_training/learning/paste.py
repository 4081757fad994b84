"""Real defects put on other images: so that what is learnt is the defect, and not the part that happened to have it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]

#: From this share on a pixel of the model's image counts as defect.
_SOLID = 0.3
#: How much smaller or larger a defect becomes, as a logarithm.
_SMALLER, _LARGER = 0.5, 0.7
#: Its sides are at most this share of the image's.
_MOST = 0.9
#: Places that are tried; it goes where the surroundings are most like those that it came from.
_PLACES = 6


def paste(
    image: Pixels, masks: Planes, donor: Pixels, donor_masks: Planes, rng: np.random.Generator
) -> tuple[Pixels, Planes]:
    """``image`` uint8 ``[H, W, 3]`` with the defects of ``donor`` somewhere on it, and the masks ``[L, H, W]`` of both.

    Turned by quarters, mirrored, scaled, blended in over its border, and as bright against its surroundings as where it
    came from. Without anything in ``donor_masks`` the image stays as it is.
    """
    covered = donor_masks.max(0) > _SOLID
    if not covered.any():
        return image, masks
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    border = 4 + int(0.15 * max(np.ptp(rows), np.ptp(columns)))
    top, left = max(0, rows[0] - border), max(0, columns[0] - border)
    window = (slice(top, rows[-1] + border + 1), slice(left, columns[-1] + border + 1))
    turn, mirror = int(rng.integers(4)), bool(rng.random() < 0.5)
    piece = _turned(donor[window].transpose(2, 0, 1), turn, mirror)
    shape = _turned(donor_masks[(slice(None), *window)], turn, mirror)
    high, wide = image.shape[:2]
    scale = math.exp(rng.uniform(-_SMALLER, _LARGER))
    scale = min(scale, _MOST * high / piece.shape[1], _MOST * wide / piece.shape[2])
    h, w = (max(3, round(side * scale)) for side in piece.shape[1:])
    piece, shape = _resized(piece, w, h).transpose(1, 2, 0), _resized(shape, w, h)
    cover = _cover(shape)
    around = cover < 0.5
    level = piece[around].mean(0) if around.any() else piece.mean((0, 1))

    def surroundings(place: tuple[int, int]) -> NDArray[np.floating]:
        part = image[place[0] : place[0] + h, place[1] : place[1] + w]
        mean: NDArray[np.floating] = part[around].mean(0) if around.any() else part.mean((0, 1))
        return mean

    places = [(int(rng.integers(high - h + 1)), int(rng.integers(wide - w + 1))) for _ in range(_PLACES)]
    y, x = min(places, key=lambda place: float(np.abs(surroundings(place) - level).mean()))
    light = (surroundings((y, x)) - level) * rng.uniform(0.5, 1.0)
    here = (slice(y, y + h), slice(x, x + w))
    result, covering = image.copy(), np.array(masks)
    blended = image[here] + (piece + light - image[here]) * cover[..., None]
    result[here] = np.clip(blended, 0, 255).astype(np.uint8)
    covering[(slice(None), *here)] = np.maximum(covering[(slice(None), *here)] * (1 - cover), shape)
    return result, covering


def _cover(shape: Planes) -> Planes:
    """How much of each pixel the pasted piece takes: all where the defect is, fading out around it."""
    solid = Image.fromarray((shape.max(0) > _SOLID).astype(np.uint8) * 255)
    soft = solid.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(1.5))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)


def _turned(planes: NDArray[np.generic], turn: int, mirror: bool) -> Planes:
    turned = np.rot90(planes, turn, (1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if mirror else turned, dtype=np.float32)


def _resized(planes: Planes, width: int, height: int) -> Planes:
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    )
