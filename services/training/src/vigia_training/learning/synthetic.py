"""Made-up defects on images of normal parts: something to learn from where real ones are few or none.

They do not look like any one product's defects. They differ in form (spots, patches, streaks, several at once), in size
(from a few pixels to a tenth of the image) and in what is there instead of the surface (another tone, another texture,
a smear, a displacement), so that what tells them from normal is that they are not normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

#: Side of a defect as a share of the image's, smallest and largest.
_SIDES = (0.02, 0.35)
#: A defect changes its pixels by so many grey levels on average, or another is made.
_LEAST_CHANGE = 7.0
_TRIES = 4


def spoil(image: Pixels, others: Sequence[Pixels], rng: np.random.Generator) -> tuple[Pixels, Plane]:
    """``image`` uint8 ``[H, W, 3]`` with made-up defects, and where they are: float32 ``[H, W]`` of 0..1.

    ``others``: images of the same size, whose surface is used as foreign texture.
    """
    for _ in range(_TRIES):
        cover = _form(image.shape[0], image.shape[1], rng)
        filling = _FILLINGS[int(rng.integers(len(_FILLINGS)))](image, others[int(rng.integers(len(others)))], rng)
        alpha = cover * np.float32(rng.uniform(0.4, 1.0))
        spoilt = image + alpha[..., None] * (np.clip(filling, 0, 255) - image)
        change = np.abs(spoilt - image).mean(2)
        inside = cover > 0.3
        if inside.any() and change[inside].mean() >= _LEAST_CHANGE:
            break
    else:
        tone = -1 if image[inside].mean() > 127 else 1
        spoilt = image + cover[..., None] * tone * rng.uniform(40, 90)
    return np.clip(spoilt, 0, 255).astype(np.uint8), inside.astype(np.float32)


def _form(height: int, width: int, rng: np.random.Generator) -> Plane:
    """One or several forms of one kind; edges are hard or soft."""
    make = (_patch, _streak, _spot)[int(rng.integers(3))]
    cover = np.zeros((height, width), np.float32)
    for _ in range(int(rng.choice([1, 2, 4], p=[0.7, 0.2, 0.1]))):
        np.maximum(cover, make(height, width, rng), out=cover)
    return cover


def _side(height: int, width: int, rng: np.random.Generator, least: float, most: float) -> float:
    """Pixels, each order of magnitude as likely as the others."""
    return max(2.5, math.exp(rng.uniform(math.log(least), math.log(most))) * math.sqrt(height * width))


def _patch(height: int, width: int, rng: np.random.Generator) -> Plane:
    """A cloud: smooth noise above a level, fading out towards the border of its box."""
    side = _side(height, width, rng, 3 * _SIDES[0], _SIDES[1])
    stretch = math.exp(rng.uniform(-0.7, 0.7))
    h, w = (min(int(side * stretch) + 2, height), min(int(side / stretch) + 2, width))
    noise = _smooth(h, w, int(rng.integers(2, 7)), rng)
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None]
    sharp = rng.uniform(2, 12)
    field = np.clip((noise - (x * x + y * y) + 0.6) * sharp, 0, 1).astype(np.float32)
    return _place(field, height, width, rng)


def _spot(height: int, width: int, rng: np.random.Generator) -> Plane:
    """A small ellipse."""
    side = _side(height, width, rng, _SIDES[0], 5 * _SIDES[0])
    stretch = math.exp(rng.uniform(-0.5, 0.5))
    size = 2 * int(side) + 3
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j] * (size / side)
    angle = rng.uniform(0, math.pi)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    distance = np.sqrt((u * stretch) ** 2 + (v / stretch) ** 2)
    field = np.clip((1 - distance) * side * rng.uniform(0.3, 1.0), 0, 1).astype(np.float32)
    return _place(field, height, width, rng)


def _streak(height: int, width: int, rng: np.random.Generator) -> Plane:
    """A line that bends as it goes."""
    length = _side(height, width, rng, 2 * _SIDES[0], 2 * _SIDES[1])
    thick = rng.uniform(1, 5)
    steps = max(3, int(length / 6))
    angle = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, rng.uniform(0.02, 0.5), steps))
    scale = 2
    xs = rng.uniform(0, width) + np.cumsum(np.cos(angle)) * length / steps
    ys = rng.uniform(0, height) + np.cumsum(np.sin(angle)) * length / steps
    canvas = Image.new("L", (scale * width, scale * height))
    points = [(float(scale * x), float(scale * y)) for x, y in zip(xs, ys, strict=True)]
    ImageDraw.Draw(canvas).line(points, fill=255, width=max(2, round(scale * thick)), joint="curve")
    small = canvas.resize((width, height), Image.Resampling.BOX)
    if rng.random() < 0.5:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _place(field: Plane, height: int, width: int, rng: np.random.Generator) -> Plane:
    """``field`` somewhere in an empty plane, a third of it outside at most."""
    cover = np.zeros((height, width), np.float32)
    h, w = field.shape
    top = int(rng.integers(-h // 3, max(height - h + h // 3, 1 - h // 3)))
    left = int(rng.integers(-w // 3, max(width - w + w // 3, 1 - w // 3)))
    part = field[max(0, -top) : height - top, max(0, -left) : width - left]
    cover[max(0, top) : max(0, top) + part.shape[0], max(0, left) : max(0, left) + part.shape[1]] = part
    return cover


def _smooth(height: int, width: int, cells: int, rng: np.random.Generator) -> Plane:
    """Noise of about unit variance that changes over ``1 / cells`` of each side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def _tone(image: Pixels, _other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """Darker or lighter; at times in another colour."""
    change = rng.uniform(15, 110) * rng.choice([-1, 1])
    tint = rng.uniform(-0.5, 1.5, 3) if rng.random() < 0.3 else np.ones(3)
    changed: NDArray[np.floating] = image + change * tint
    return changed


def _cloudy(image: Pixels, _other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """A stain: the tone changes from place to place."""
    height, width = image.shape[:2]
    noise = _smooth(height, width, int(rng.integers(8, 60)), rng)
    tint = rng.uniform(0.2, 1.0, 3) if rng.random() < 0.3 else np.ones(3)
    stain: NDArray[np.floating] = (noise * rng.uniform(15, 60) + rng.uniform(-40, 40))[..., None] * tint
    return image + stain


def _foreign(image: Pixels, other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """The surface of another place, turned, often brighter or darker."""
    height, width = image.shape[:2]
    moved = np.roll(other, (int(rng.integers(height // 4, height)), int(rng.integers(width // 4, width))), (0, 1))
    if rng.random() < 0.5:
        moved = moved[::-1]
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    mean = moved.mean()
    other_surface: NDArray[np.floating] = (moved - mean) * rng.uniform(0.6, 1.8) + mean * rng.uniform(0.6, 1.4)
    return other_surface


def _plain(image: Pixels, _other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """One colour: a hole, paint, or a chip that shows what is below."""
    color = np.full(3, rng.uniform(0, 255)) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    return np.broadcast_to(color + rng.normal(0, 4, image.shape), image.shape)


def _smear(image: Pixels, _other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """Worn or polished: the fine structure is gone or, the other way round, too strong."""
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(rng.uniform(2, 8))), dtype=np.float32)
    worn: NDArray[np.floating] = blurred + (image - blurred) * rng.choice([0.0, 3.0]) + rng.uniform(-25, 25)
    return worn


def _displaced(image: Pixels, _other: Pixels, rng: np.random.Generator) -> NDArray[np.floating]:
    """Bent or torn: what is there belongs a little further on."""
    height, width = image.shape[:2]
    reach = 0.02 + 0.08 * rng.random()
    dy, dx = (round(side * reach * float(rng.choice([-1, 1]))) for side in (height, width))
    return np.roll(image, (dy, dx), (0, 1)) + rng.uniform(-20, 20)


_FILLINGS: tuple[Callable[[Pixels, Pixels, np.random.Generator], NDArray[np.floating]], ...] = (
    _tone,
    _cloudy,
    _foreign,
    _plain,
    _smear,
    _displaced,
)
