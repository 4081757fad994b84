"""Invented logos as images of the logo alone, and photographs onto which they are put, with boxes.

How they are put there shares nothing with how training draws its scenes: places are looked up in a large picture of the
logo through a homography and a bend, light is added up linearly, and what lies around is photographed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from tests.bench.models.sets import SAMPLES

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

#: Longer side of a drawn logo, and the size of a scene, pixels.
_LARGE = 480
WIDE, HIGH = 640, 480
#: Width or height of a logo in a scene, the longer of both, as a share of the scene's width.
_SHARES = (0.07, 0.5)
_METADATA = {"confidence": 1, "human-annotated": "yes", "creation-date": "2022-08-22T20:52:51"}


def _canvas(wide: int, high: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (wide, high), (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, fill: str, bold: int = 0, anchor: str = "mm"
) -> None:
    draw.text(at, text, fill=fill, font=ImageFont.load_default(size), stroke_width=bold, anchor=anchor)


def _norvek() -> Image.Image:
    image, draw = _canvas(480, 150)
    _text(draw, (240, 60), "NORVEK", 110, "#c8102e", 4)
    draw.polygon([(10, 125), (470, 112), (470, 124), (10, 145)], fill="#c8102e")
    return image


def _halu() -> Image.Image:
    image, draw = _canvas(400, 400)
    draw.ellipse((5, 5, 395, 395), fill="#1450a0")
    _text(draw, (200, 190), "halu", 150, "#ffffff", 3)
    return image


def _oakrow() -> Image.Image:
    image, draw = _canvas(400, 400)
    draw.ellipse((8, 8, 392, 392), outline="#1e7a3c", width=34)
    points = [
        (200 + r * math.sin(math.pi * k / 5), 200 - r * math.cos(math.pi * k / 5))
        for k in range(10)
        for r in [150 if k % 2 == 0 else 62]
    ]
    draw.polygon(points, fill="#1e7a3c")
    return image


def _chevrons() -> Image.Image:
    image, draw = _canvas(340, 420)
    for number, fill in enumerate(("#f58220", "#d95b10", "#8a3208")):
        top = 10 + number * 125
        upper, lower = (
            [(10, top + 120), (170, top), (330, top + 120)],
            [(330, top + 165), (170, top + 50), (10, top + 165)],
        )
        draw.polygon(upper + lower, fill)
    return image


def _qubit() -> Image.Image:
    image, draw = _canvas(480, 140)
    draw.rectangle((8, 20, 108, 120), fill="#111111")
    draw.rectangle((42, 54, 74, 86), fill="#00b5ad")
    _text(draw, (300, 70), "qubit", 130, "#111111", 2)
    return image


def _bolt() -> Image.Image:
    image, draw = _canvas(380, 420)
    draw.regular_polygon((190, 210, 200), 6, 30, fill="#5b2a86")
    draw.polygon([(215, 70), (110, 235), (180, 235), (150, 350), (275, 180), (200, 180)], fill="#ffe14d")
    return image


def _verda() -> Image.Image:
    image, draw = _canvas(360, 420)
    draw.pieslice((40, 10, 320, 290), 90, 270, fill="#76b82a")
    draw.pieslice((40, 10, 320, 290), 270, 450, fill="#2f7d32")
    draw.line([(180, 20), (180, 310)], fill="#ffffff", width=12)
    _text(draw, (180, 365), "VERDA", 96, "#2f7d32", 2)
    return image


def _shield() -> Image.Image:
    image, draw = _canvas(360, 420)
    draw.polygon([(15, 15), (345, 15), (345, 230), (180, 405), (15, 230)], fill="#13294b")
    for number in range(3):
        top = 20 + number * 75
        draw.polygon([(15, top + 40), (345, top), (345, top + 35), (15, top + 75)], "#f2c230")
    return image


def _other(number: int) -> Image.Image:
    """Brands that nobody trains: what is like a logo must not be taken for one."""
    image, draw = _canvas(400, 200 if number == 0 else 400)
    if number == 0:
        _text(draw, (200, 100), "MORTEN", 100, "#b01030", 4)
    elif number == 1:
        draw.ellipse((5, 5, 395, 395), fill="#164f98")
        draw.rectangle((120, 120, 280, 280), fill="#ffffff")
    elif number == 2:
        draw.regular_polygon((200, 200, 195), 5, 0, fill="#4d2c80")
        _text(draw, (200, 210), "K9", 150, "#ffe14d", 3)
    else:
        draw.rounded_rectangle((10, 60, 390, 340), 60, outline="#208040", width=40)
        _text(draw, (200, 200), "eco", 140, "#208040", 3)
    return image


LOGOS: dict[str, Callable[[], Image.Image]] = {
    "Bolt": _bolt,
    "Chevrons": _chevrons,
    "Halu": _halu,
    "Norvek": _norvek,
    "Oak Row": _oakrow,
    "Qubit": _qubit,
    "Shield": _shield,
    "Verda": _verda,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A photograph with logos: label and left, top, width, height in pixels of each."""

    file: Path
    boxes: tuple[tuple[str, float, float, float, float], ...]


def logo_images(folder: Path) -> bytes:
    """Four images of each logo alone, as brand owners give them; their manifest."""
    lines = []
    for number, (name, draw) in enumerate(LOGOS.items()):
        logo = draw()
        alpha = logo.getchannel("A")
        grey = Image.merge("RGBA", (*[logo.convert("L")] * 3, alpha))
        variants = (
            ("clear.png", logo, None),
            ("white.jpg", logo, "#ffffff"),
            ("ground.jpg", logo, ("#202020", "#e8e0d0", "#c9dcec")[number % 3]),
            ("grey.png", grey, "#ffffff"),
        )
        for ending, image, ground in variants:
            file = folder / f"{name.replace(' ', '-')}-{ending}"
            shown = image
            if ground is not None:
                shown = Image.new("RGBA", (image.width + 60, image.height + 40), ground)
                shown.alpha_composite(image, (30, 20))
                shown = shown.convert("RGB")
            shown.save(file)
            metadata = {**_METADATA, "class-name": name, "type": "groundtruth/image-classification"}
            lines.append(json.dumps({"source-ref": f"s3://local{file}", "logo": 1, "logo-metadata": metadata}))
    return "\n".join(lines).encode()


def photographs(folder: Path) -> list[Path]:
    """Real photographs of things that have nothing to do with logos: shipped ones, and those in ``folder``."""
    files = sorted(SAMPLES.glob("*-images/*.jpg"))
    files += sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg")) * 30
    for pattern in ("deeppcb/**/*.jpg", "magnetic-tile/free/*.jpg"):
        more = sorted(folder.glob(pattern)) if folder != Path() else []
        files += more[:: max(1, len(more) // 60)]
    return files


def scenes(folder: Path, sources: Sequence[Path], count: int, rng: np.random.Generator) -> list[Scene]:
    """Photographs with none to three logos each, some with other brands, as JPEG files in ``folder``."""
    drawn = {name: np.asarray(draw()) for name, draw in LOGOS.items()}
    others = [np.asarray(_other(number)) for number in range(4)]
    names = list(LOGOS)
    made = []
    for number in range(count):
        light = _linear(_view(sources[int(rng.integers(len(sources)))], rng))
        taken = np.zeros((HIGH, WIDE), bool)
        boxes = []
        wanted = int(rng.choice(4, p=(0.15, 0.45, 0.25, 0.15)))
        for turn in range(wanted):
            name = names[(number + turn * 3 + int(rng.integers(2))) % len(names)]
            box = _stick(light, taken, drawn[name], rng)
            if box is not None:
                boxes.append((name, *box))
        if rng.random() < 0.5:
            _stick(light, taken, others[int(rng.integers(4))], rng)
        file = folder / f"scene-{number}.jpg"
        _camera(light, rng).save(file, "JPEG", quality=int(rng.integers(55, 93)))
        made.append(Scene(file, tuple(boxes)))
    return made


def manifest(made: Sequence[Scene]) -> bytes:
    """JSON Lines with the boxes of scenes."""
    names = list(LOGOS)
    lines = []
    for scene in made:
        boxes = [
            {"class_id": names.index(name), "left": left, "top": top, "width": wide, "height": high}
            for name, left, top, wide, high in scene.boxes
        ]
        lines.append(
            json.dumps(
                {
                    "source-ref": f"s3://local{scene.file}",
                    "logos": {"image_size": [{"width": WIDE, "height": HIGH, "depth": 3}], "annotations": boxes},
                    "logos-metadata": {
                        **_METADATA,
                        "objects": [{"confidence": 1} for _ in boxes],
                        "class-map": {str(number): name for number, name in enumerate(names)},
                        "type": "groundtruth/object-detection",
                    },
                }
            )
        )
    return "\n".join(lines).encode()


def _view(file: Path, rng: np.random.Generator) -> Pixels:
    with Image.open(file) as image:
        wide, high = image.size
        share = rng.uniform(0.6, 1.0)
        span = (share * min(wide, high * WIDE / HIGH), share * min(high, wide * HIGH / WIDE))
        left, top = rng.uniform(0, wide - span[0]), rng.uniform(0, high - span[1])
        box = (left, top, left + span[0], top + span[1])
        return np.asarray(image.convert("RGB").resize((WIDE, HIGH), Image.Resampling.LANCZOS, box))


def _linear(pixels: Pixels) -> Floats:
    return np.asarray((pixels / 255.0) ** 2.2)


def _stick(light: Floats, taken: NDArray[np.bool_], logo: Pixels, rng: np.random.Generator) -> list[float] | None:
    """Puts a logo where nothing is yet; left, top, width and height of it, None if there is no room."""
    for _ in range(30):
        quad = _quad(logo.shape[1] / logo.shape[0], rng)
        left, top = quad.min(0)
        right, bottom = quad.max(0)
        if left < 2 or top < 2 or right > WIDE - 2 or bottom > HIGH - 2:
            continue
        area = np.s_[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        if not taken[area].any():
            break
    else:
        return None
    x, y = np.meshgrid(np.arange(area[1].start, area[1].stop), np.arange(area[0].start, area[0].stop))
    cover, colours = _seen(logo, quad, x, y, rng)
    if not (cover > 0.5).any():
        return None
    taken[area] = True
    place = light[area]
    # The light that falls on the place also falls on the print.
    shade = ndimage.gaussian_filter(place.mean(2), 12)
    shade = np.clip(shade / max(float(shade.mean()), 1e-3), 0.5, 1.6)[..., None]
    ink = colours * rng.uniform(0.55, 1.0)
    if np.abs(np.median(ink[cover > 0.5], axis=0) - np.median(place.reshape(-1, 3), axis=0)).max() < 0.12:
        # It would not be seen: the place is painted over first.
        place[:] = place * 0.15 + 0.85 * (0.02 if ink[cover > 0.5].mean() > 0.3 else 0.9)
    solid = rng.uniform(0.85, 1.0) * cover[..., None]
    place[:] = place * (1 - solid) + ink * shade * solid
    rows, columns = np.flatnonzero((cover > 0.5).any(1)), np.flatnonzero((cover > 0.5).any(0))
    return [
        float(area[1].start + columns[0]),
        float(area[0].start + rows[0]),
        float(columns[-1] - columns[0] + 1),
        float(rows[-1] - rows[0] + 1),
    ]


def _quad(ratio: float, rng: np.random.Generator) -> Floats:
    """Four corners in the scene: a rectangle, sheared, turned a little, its corners pulled about."""
    long = WIDE * math.exp(rng.uniform(*np.log(_SHARES)))
    wide, high = (long, long / ratio) if ratio > 1 else (long * ratio, long)
    corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]]) / 2
    corners *= rng.uniform((0.75, 0.85), 1.0)
    corners += rng.uniform(-0.07, 0.07, (4, 2)) * (wide, high)
    angle = math.radians(float(np.clip(rng.normal(0, 7), -20, 20)))
    shear = rng.uniform(-0.15, 0.15)
    turn = np.array([[math.cos(angle), -math.sin(angle) + shear], [math.sin(angle), math.cos(angle)]])
    return np.asarray(corners @ turn.T + rng.uniform((0, 0), (WIDE, HIGH)))


def _seen(
    logo: Pixels, quad: Floats, x: NDArray[np.int64], y: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """How much of each pixel the logo covers, and its colour there in linear light: the mean of nine samples."""
    high, wide = logo.shape[:2]
    to_logo = _solve(quad, np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float64))
    bend = rng.uniform(0, 0.12) if rng.random() < 0.4 else 0.0
    alpha = logo[..., 3] / 255.0
    planes = [alpha, *(_linear(logo[..., :3])[..., band] * alpha for band in range(3))]
    # Details smaller than a pixel are seen as their mean.
    scale = math.sqrt(wide * high / max(1.0, _area(quad)))
    if scale > 3:
        planes = [ndimage.gaussian_filter(plane, scale / 4) for plane in planes]
    total = np.zeros((4, *x.shape))
    for dx in (-1 / 3, 0, 1 / 3):
        for dy in (-1 / 3, 0, 1 / 3):
            u, v, w = np.einsum("ij,jhw->ihw", to_logo, np.stack([x + 0.5 + dx, y + 0.5 + dy, np.ones(x.shape)]))
            u, v = u / w, v / w
            v = v + bend * high * (4 * (u / wide - 0.5) ** 2 - 0.5)
            for index, plane in enumerate(planes):
                total[index] += ndimage.map_coordinates(plane, [v - 0.5, u - 0.5], order=1, mode="constant")
    cover = total[0] / 9
    return cover, np.moveaxis(total[1:] / 9 / np.maximum(cover, 1e-6), 0, -1)


def _area(quad: Floats) -> float:
    x, y = quad.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _solve(source: Floats, target: Floats) -> Floats:
    """The homography from four points to four points, ``[3, 3]``."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([-x, -y, -1, 0, 0, 0, u * x, u * y, u])
        rows.append([0, 0, 0, -x, -y, -1, v * x, v * y, v])
    return np.asarray(np.linalg.svd(np.asarray(rows))[2][-1].reshape(3, 3))


def _camera(light: Floats, rng: np.random.Generator) -> Image.Image:
    """Focus, sensor noise that grows with the light, exposure, and back to 8 bits."""
    seen = ndimage.gaussian_filter(light, (*[rng.uniform(0, 0.9)] * 2, 0)) * rng.uniform(0.7, 1.25)
    seen = seen + rng.standard_normal(seen.shape) * np.sqrt(np.maximum(seen, 0) * 4e-4 + 2e-6)
    return Image.fromarray(np.round(255 * np.clip(seen, 0, 1) ** (1 / 2.2)).astype(np.uint8))
