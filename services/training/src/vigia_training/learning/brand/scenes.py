"""Scenes with logos in known places, drawn when they are asked for."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from PIL import Image, ImageFilter

from vigia_training.learning.brand.backgrounds import Backgrounds, emblem, write
from vigia_training.learning.brand.cutout import SEEN, Cutout
from vigia_training.learning.brand.prints import make_print
from vigia_training.learning.detection.annotated import Annotated, Pixels

#: How often a scene is looked at before another takes its place.
_LOOKS = 4
#: Smallest logo, geometric mean of its sides in pixels: less is hard for people, too.
_SMALLEST = 18.0
#: Places of a scene beside those of its logos, at most, and shares of scenes without, with one, two, ... logos.
_OTHERS = 3
_LOGOS = (0.12, 0.43, 0.27, 0.18)
#: Share of the logos that something covers, and of their width or height at most.
_COVERED = 0.25
_HIDDEN = 0.35

Area = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Logo:
    """What a training image shows, and the index of its label."""

    cutout: Cutout
    label: int


class Scenes(Sequence[Annotated]):
    """``count`` scenes of ``side`` pixels, or two for each label if those are more.

    Each place of the sequence has its labels; its scene is another after some looks.

    The same logos, seed and looks give the same scenes, in whatever order places are looked at. Not more than
    ``len(self)`` scenes are in memory.
    """

    def __init__(self, logos: Sequence[Logo], photographs: Sequence[Pixels], count: int, side: int, seed: int) -> None:
        self._side, self._seed = side, seed
        self._by_label: dict[int, list[Cutout]] = {}
        for logo in logos:
            self._by_label.setdefault(logo.label, []).append(logo.cutout)
        rng = np.random.default_rng([seed, 0])
        self._plan = list(_plan(sorted(self._by_label), count, rng))
        self._backgrounds = Backgrounds(side, photographs, rng)
        self._looks = [0] * len(self._plan)
        self._scenes: list[Annotated | None] = [None] * len(self._plan)

    def __len__(self) -> int:
        return len(self._plan)

    @overload
    def __getitem__(self, index: int) -> Annotated: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Annotated]: ...
    def __getitem__(self, index: int | slice) -> Annotated | Sequence[Annotated]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        scene = self._scenes[number]
        if scene is None or self._looks[number] % _LOOKS == 0:
            rng = np.random.default_rng([self._seed, 1, number, self._looks[number] // _LOOKS])
            scene = self._scenes[number] = self._draw(self._plan[number], rng)
        self._looks[number] += 1
        return scene

    def _draw(self, labels: Sequence[int], rng: np.random.Generator) -> Annotated:
        side = float(self._side)
        scene = self._backgrounds.draw(rng)
        places = list(_split((0.0, 0.0, side, side), len(labels) + int(rng.integers(_OTHERS + 1)), rng))
        boxes = []
        for turn, number in enumerate(rng.permutation(len(places)).tolist()):
            if turn < len(labels):
                boxes.append(put(scene, self._any(labels[turn], rng), places[number], rng))
                if rng.random() < _COVERED:
                    self._cover(scene, boxes[-1], rng)
            elif rng.random() < 0.75:
                self._distract(scene, places[number], rng)
        return Annotated(
            _photographed(scene, rng),
            np.reshape(np.asarray(boxes, np.float32), (-1, 4)),
            np.asarray(labels, np.int64),
            np.zeros((0, 4), np.float32),
        )

    def _any(self, label: int, rng: np.random.Generator) -> Cutout:
        members = self._by_label[label]
        return members[int(rng.integers(len(members)))]

    def _distract(self, scene: Pixels, place: Area, rng: np.random.Generator) -> None:
        """What looks like a logo and is none: a part of one, one whose parts lie elsewhere, another mark, writing."""
        kind = rng.random()
        logo = self._any(int(rng.choice(list(self._by_label))), rng)
        if kind < 0.4:
            put(scene, (_fragment if kind < 0.2 else _rolled)(logo, rng), place, rng)
            return
        left, top, right, bottom = place
        size = min(right - left, bottom - top) * rng.uniform(0.2, 0.5)
        at = (float(rng.uniform(left, right)), float(rng.uniform(top, bottom)))
        image = Image.fromarray(scene)
        inks = _inks(logo, rng) if rng.random() < 0.6 else ()
        if kind < 0.75:
            emblem(image, at, size, rng, inks)
        else:
            write(image, (left, at[1]), max(size, 8.0), rng, inks)
        scene[:] = np.asarray(image)

    def _cover(self, scene: Pixels, box: Area, rng: np.random.Generator) -> None:
        """Something before a side of the logo, over at most ``_HIDDEN`` of its width or height."""
        left, top, right, bottom = (int(value) for value in box)
        share = rng.uniform(0.05, _HIDDEN)
        reach = int(max(right - left, bottom - top) * 0.2) + 2
        wide, high = right - left, bottom - top
        x0, y0, x1, y1 = [
            (left - reach, top - reach, left + share * wide, bottom + reach),
            (right - share * wide, top - reach, right + reach, bottom + reach),
            (left - reach, top - reach, right + reach, top + share * high),
            (left - reach, bottom - share * high, right + reach, bottom + reach),
        ][int(rng.integers(4))]
        x0, y0, x1, y1 = (int(np.clip(value, 0, self._side)) for value in (x0, y0, x1, y1))
        if x1 - x0 > 1 and y1 - y0 > 1:
            scene[y0:y1, x0:x1] = self._backgrounds.fill(x1 - x0, y1 - y0, rng)


def put(scene: Pixels, logo: Cutout, place: Area, rng: np.random.Generator) -> Area:
    """Prints a logo somewhere in a place of the scene; left, top, right, bottom of what is drawn of it."""
    left, top, right, bottom = place
    room = (right - left, bottom - top)
    size = math.exp(rng.uniform(math.log(_SMALLEST), math.log(max(_SMALLEST + 1, math.sqrt(room[0] * room[1])))))
    middle = scene[int(top) : int(bottom), int(left) : int(right)]
    printed = make_print(logo, middle.mean((0, 1), dtype=np.float32), room, size, rng)
    high, wide = printed.shape.shape
    x = int(rng.uniform(left, max(left, right - wide)))
    y = int(rng.uniform(top, max(top, bottom - high)))
    under = scene[y : y + high, x : x + wide]
    high, wide = under.shape[:2]
    colours = printed.pixels[:high, :wide, :3].astype(np.float32)
    if rng.random() < 0.3:  # what it is printed on shows through
        grey = under.mean(2, dtype=np.float32)[..., None]
        colours = colours * (1 + rng.uniform(0.3, 1.0) * (grey / max(float(grey.mean()), 1.0) - 1))
    share = printed.pixels[:high, :wide, 3:].astype(np.float32) / 255
    scene[y : y + high, x : x + wide] = np.clip(under * (1 - share) + colours * share + 0.5, 0, 255).astype(np.uint8)
    inner = printed.extent
    return (float(x + inner[0]), float(y + inner[1]), float(x + inner[2]), float(y + inner[3]))


def _plan(labels: Sequence[int], count: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Which logos each scene shows: all equally often, in random company."""
    waiting: list[int] = []
    for _ in range(max(count, len(labels) * 2)):
        shown = int(rng.choice(len(_LOGOS), p=_LOGOS))
        while len(waiting) < shown:
            waiting += rng.permutation(labels).tolist()
        yield tuple(waiting[:shown])
        del waiting[:shown]


def _split(area: Area, count: int, rng: np.random.Generator) -> Iterator[Area]:
    """``count`` places that fill an area, cut in two again and again."""
    if count < 2:
        yield area
        return
    left, top, right, bottom = area
    share, first = rng.uniform(0.3, 0.7), count // 2
    if (right - left > bottom - top) == (rng.random() < 0.8):
        cut = left + share * (right - left)
        parts = (left, top, cut, bottom), (cut, top, right, bottom)
    else:
        cut = top + share * (bottom - top)
        parts = (left, top, right, cut), (left, cut, right, bottom)
    yield from _split(parts[0], first, rng)
    yield from _split(parts[1], count - first, rng)


def _fragment(logo: Cutout, rng: np.random.Generator) -> Cutout:
    """At most a quarter of a logo's area."""
    high, wide = logo.filled.shape
    part_high, part_wide = (max(1, int(side * rng.uniform(0.25, 0.5))) for side in (high, wide))
    top, left = int(rng.integers(high - part_high + 1)), int(rng.integers(wide - part_wide + 1))
    inner = np.s_[top : top + part_high, left : left + part_wide]
    return Cutout(logo.pixels[inner], logo.filled[inner], logo.ground)


def _inks(logo: Cutout, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Some of the logo's colours: marks that have the same are the ones that are mistaken for it."""
    seen = logo.pixels[logo.pixels[..., 3] >= SEEN]
    picked = seen[rng.integers(len(seen), size=3), :3] if len(seen) else np.zeros((1, 3), np.uint8)
    return [(int(red), int(green), int(blue)) for red, green, blue in picked]


def _rolled(logo: Cutout, rng: np.random.Generator) -> Cutout:
    """The logo with its sides in its middle."""
    high, wide = logo.filled.shape
    by = [int(side * rng.uniform(0.3, 0.7)) for side in (high, wide)]
    drawn = rng.random()
    if drawn < 0.6:  # along the longer side only
        by[0 if wide > high else 1] = 0
    return Cutout(np.roll(logo.pixels, by, (0, 1)), np.roll(logo.filled, by, (0, 1)), logo.ground)


def _photographed(scene: Pixels, rng: np.random.Generator) -> Pixels:
    """Uneven light, a tint, blur by focus or motion, noise and compression, each on some of the scenes."""
    side = len(scene)
    if rng.random() < 0.6:
        grid = Image.fromarray(1 + rng.uniform(0, 0.35) * rng.standard_normal((3, 3), dtype=np.float32))
        light = np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))[..., None]
        tint = rng.uniform(0.9, 1.1, 3).astype(np.float32) * rng.uniform(0.7, 1.2)
        scene = np.clip(scene * np.clip(light, 0.3, 1.8) * tint, 0, 255).astype(np.uint8)
    drawn = rng.random()
    if drawn < 0.25:
        blur = ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.6)))
        scene = np.asarray(Image.fromarray(scene).filter(blur))
    elif drawn < 0.35:
        steps = int(rng.integers(2, 6))
        axis = int(rng.integers(2))
        moved = [np.roll(scene, step - steps // 2, axis).astype(np.uint16) for step in range(steps)]
        scene = (np.sum(moved, axis=0) // steps).astype(np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal(scene.shape, dtype=np.float32) * rng.uniform(1, 10)
        scene = np.clip(scene + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        file = io.BytesIO()
        Image.fromarray(scene).save(file, "JPEG", quality=int(rng.integers(35, 92)))
        scene = np.asarray(Image.open(file).convert("RGB"))
    return scene
