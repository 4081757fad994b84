"""What is around a logo: drawn surfaces, things and writing, so that a model learns what no logo is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Colour = tuple[int, int, int]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&.-"
#: Share of the scenes that are drawn over a given photograph, when there are any.
_PHOTOGRAPHS = 0.5
#: Sides of the textures that scenes are made of, pixels.
_TEXTURE = 384


class Backgrounds:
    """Draws backgrounds of ``side`` pixels, the same for the same generator."""

    def __init__(self, side: int, photographs: Sequence[Pixels], rng: np.random.Generator, textures: int = 24) -> None:
        self._side = side
        self._photographs = photographs
        self._textures = [_texture(_TEXTURE, rng) for _ in range(textures)]

    def draw(self, rng: np.random.Generator) -> Pixels:
        """uint8 ``[side, side, 3]``, to be drawn on."""
        side = self._side
        if self._photographs and rng.random() < _PHOTOGRAPHS:
            scene = Image.fromarray(self._part(self._photographs[int(rng.integers(len(self._photographs)))], rng))
        else:
            scene = Image.fromarray(self._surface(rng))
            if rng.random() < 0.5:
                self._leaves(scene, rng)
        for _ in range(int(rng.integers(0, 4))):
            self._panel(scene, rng)
        if rng.random() < 0.6:
            for _ in range(int(rng.integers(1, 9))):
                at = (float(rng.uniform(0, side)), float(rng.uniform(0, side)))
                write(scene, at, float(np.exp(rng.uniform(math.log(8), math.log(70)))), rng)
        return np.array(scene)

    def fill(self, width: int, height: int, rng: np.random.Generator) -> Pixels:
        """A textured piece, for what covers or lies beside a logo."""
        return self._coloured(width, height, rng)

    def _surface(self, rng: np.random.Generator) -> Pixels:
        return self._coloured(self._side, self._side, rng)

    def _coloured(self, width: int, height: int, rng: np.random.Generator) -> Pixels:
        """A part of a texture in colours between two or three."""
        texture = self._textures[int(rng.integers(len(self._textures)))]
        share = rng.uniform(0.2, 1.0)
        wide = max(2, round(_TEXTURE * share * min(1.0, width / height)))
        high = max(2, round(_TEXTURE * share * min(1.0, height / width)))
        left, top = int(rng.integers(_TEXTURE - wide + 1)), int(rng.integers(_TEXTURE - high + 1))
        part = np.rot90(texture[top : top + high, left : left + wide], int(rng.integers(4)))
        level = np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR))
        stops = [colour(rng) for _ in range(int(rng.integers(2, 4)))]
        if rng.random() < 0.6:  # most surfaces have one colour, lighter and darker
            first = np.asarray(stops[0], np.float64)
            stops = [tuple(np.clip(first + rng.uniform(-60, 60), 0, 255).astype(int).tolist()) for _ in stops]
        steps = np.linspace(0, 255, len(stops))
        tables = [np.interp(np.arange(256), steps, [stop[band] for stop in stops]) for band in range(3)]
        return np.asarray(np.stack(tables, 1).astype(np.uint8)[level])

    def _part(self, photograph: Pixels, rng: np.random.Generator) -> Pixels:
        high, wide = photograph.shape[:2]
        span = max(8, int(min(high, wide) * rng.uniform(0.4, 1.0)))
        left, top = int(rng.integers(wide - min(span, wide) + 1)), int(rng.integers(high - min(span, high) + 1))
        part = Image.fromarray(photograph[top : top + span, left : left + span])
        return np.asarray(part.resize((self._side, self._side), Image.Resampling.BILINEAR))

    def _leaves(self, scene: Image.Image, rng: np.random.Generator) -> None:
        """Shapes that cover each other, many small and few large: images of the world have such statistics."""
        draw = ImageDraw.Draw(scene)
        family = [colour(rng) for _ in range(int(rng.integers(2, 7)))]
        for _ in range(int(np.exp(rng.uniform(math.log(6), math.log(140))))):
            radius = float(np.clip(self._side * 0.03 / max(rng.random(), 0.02) ** 0.7, 4, self._side / 2))
            middle = rng.uniform(0, self._side, 2)
            base = np.asarray(family[int(rng.integers(len(family)))], np.float64)
            tone = tuple(np.clip(base + rng.normal(0, 18, 3), 0, 255).astype(int).tolist())
            if radius > 30 and rng.random() < 0.3:
                box = (int(middle[0] - radius), int(middle[1] - radius))
                piece = Image.fromarray(self._coloured(int(2 * radius), int(2 * radius), rng))
                scene.paste(piece, box, _blob_mask(piece.size, rng))
            else:
                draw.polygon(_blob(middle, radius, rng), fill=tone)

    def _panel(self, scene: Image.Image, rng: np.random.Generator) -> None:
        """A box, screen or sign: a quadrangle with lines of writing, a border, a picture."""
        side = self._side
        wide, high = (int(value) for value in side * np.exp(rng.uniform(math.log(0.12), math.log(0.9), 2)))
        wide, high = max(wide, 12), max(high, 12)
        panel = Image.new("RGB", (wide, high), colour(rng))
        if rng.random() < 0.4:
            panel = Image.fromarray(self._coloured(wide, high, rng))
        if rng.random() < 0.4:
            line = max(1, int(min(wide, high) * rng.uniform(0.01, 0.08)))
            ImageDraw.Draw(panel).rectangle((0, 0, wide - 1, high - 1), outline=colour(rng), width=line)
        if rng.random() < 0.6:
            size = float(min(wide, high) * rng.uniform(0.06, 0.3))
            for number in range(int(rng.integers(1, 6))):
                write(panel, (float(rng.uniform(0, wide / 2)), high * 0.1 + number * size * 1.3), size, rng)
        if rng.random() < 0.3:
            emblem(panel, (float(rng.uniform(0, wide)), float(rng.uniform(0, high))), min(wide, high) * 0.25, rng)
        turned = panel.convert("RGBA").rotate(float(rng.normal(0, 12)), expand=True, resample=Image.Resampling.BILINEAR)
        scene.paste(turned, (int(rng.uniform(-wide / 3, side)), int(rng.uniform(-high / 3, side))), turned)


def colour(rng: np.random.Generator) -> Colour:
    """Mostly greyish, as most of the world is."""
    drawn = rng.random()
    level = rng.uniform(0, 255)
    spread = 8 if drawn < 0.4 else 35 if drawn < 0.8 else 130
    red, green, blue = np.clip(level + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def write(
    scene: Image.Image, at: tuple[float, float], size: float, rng: np.random.Generator, inks: Sequence[Colour] = ()
) -> None:
    """Random writing of ``size`` pixels, in one of the ``inks``: what a logo made of letters is mistaken for."""
    words = [
        "".join(_LETTERS[i] for i in rng.integers(len(_LETTERS), size=int(rng.integers(1, 10))))
        for _ in range(int(rng.integers(1, 4)))
    ]
    text = " ".join(words)
    if rng.random() < 0.4:
        text = text.upper()
    stroke = int(size / 16) if rng.random() < 0.3 else 0
    font = _font(max(6, round(size / 4) * 4))
    ImageDraw.Draw(scene).text(at, text, fill=_ink(inks, rng), font=font, stroke_width=stroke)


def emblem(
    scene: Image.Image, at: tuple[float, float], radius: float, rng: np.random.Generator, inks: Sequence[Colour] = ()
) -> None:
    """A few simple shapes about one middle in some of the ``inks``, perhaps with letters: nobody's logo."""
    draw = ImageDraw.Draw(scene)
    x, y = at
    for _ in range(int(rng.integers(1, 5))):
        tone, size = _ink(inks, rng), radius * rng.uniform(0.2, 1.0)
        dx, dy = rng.normal(0, radius * 0.25, 2) if rng.random() < 0.5 else (0.0, 0.0)
        box = (x + dx - size, y + dy - size, x + dx + size, y + dy + size)
        kind = int(rng.integers(5))
        line = max(1, int(size * rng.uniform(0.1, 0.5)))
        if kind == 0:
            draw.ellipse(box, fill=tone)
        elif kind == 1:
            draw.ellipse(box, outline=tone, width=line)
        elif kind == 2:
            draw.arc(box, float(rng.uniform(0, 360)), float(rng.uniform(360, 600)), fill=tone, width=line)
        elif kind == 3:
            turn = float(rng.uniform(0, 90))
            draw.regular_polygon((x + dx, y + dy, max(size, 2)), int(rng.integers(3, 8)), turn, tone)
        else:
            draw.rounded_rectangle(box, radius=size * rng.uniform(0, 0.8), fill=tone)
    if rng.random() < 0.5:
        write(scene, (x - radius * 0.5, y - radius * 0.3), max(8.0, radius * rng.uniform(0.3, 0.9)), rng, inks)


def _ink(inks: Sequence[Colour], rng: np.random.Generator) -> Colour:
    return inks[int(rng.integers(len(inks)))] if inks else colour(rng)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _blob(middle: NDArray[np.float64], radius: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A polygon about ``middle``: angular or nearly round, long or not."""
    count = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * math.pi, count))
    away = radius * rng.uniform(0.4, 1.0, count)
    long = rng.uniform(0.3, 1.0)
    tilt = rng.uniform(0, math.pi)
    x, y = np.cos(angles) * away, np.sin(angles) * away * long
    turned = np.stack([x * math.cos(tilt) - y * math.sin(tilt), x * math.sin(tilt) + y * math.cos(tilt)], 1) + middle
    return [(float(a), float(b)) for a, b in turned]


def _blob_mask(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    mask = Image.new("L", size, 0)
    middle = np.array([size[0] / 2, size[1] / 2])
    ImageDraw.Draw(mask).polygon(_blob(middle, min(size) / 2, rng), fill=255)
    return mask


def _texture(side: int, rng: np.random.Generator) -> Pixels:
    """Grey levels uint8 ``[side, side]``: clouds of several scales, gradients, stripes, checks, or those mixed."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    kind = rng.random()
    clouds = _clouds(side, float(rng.uniform(0.35, 0.9)), rng)
    if kind < 0.45:
        level = clouds
    else:
        angle, frequency = rng.uniform(0, math.pi), float(np.exp(rng.uniform(math.log(1), math.log(40))))
        along = x * math.cos(angle) + y * math.sin(angle) + rng.uniform(0, 0.05) * clouds
        across = -x * math.sin(angle) + y * math.cos(angle)
        if kind < 0.6:
            level = along
        else:
            level = np.sin(2 * math.pi * frequency * along)
            if kind >= 0.8:
                level = level * np.sin(2 * math.pi * frequency * rng.uniform(0.3, 3) * across)
            level = np.sign(level) if rng.random() < 0.4 else level
        level = level + rng.uniform(0, 0.6) * clouds
    level = level + rng.uniform(0, 0.15) * rng.standard_normal(level.shape, dtype=np.float32)
    low, high = np.quantile(level, (0.01, 0.99))
    return np.asarray(np.clip(255 * (level - low) / max(high - low, 1e-6), 0, 255), np.uint8)


def _clouds(side: int, persistence: float, rng: np.random.Generator) -> Floats:
    """Noise of several scales about 0; each finer one weighs ``persistence`` of the one before."""
    total, weight, cells = np.zeros((side, side), np.float32), 1.0, 3
    while cells < side:
        grid = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        total += weight * np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))
        weight, cells = weight * persistence, cells * 2
    return total
