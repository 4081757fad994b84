"""Local folders of images as manifests with a reader, as training takes them.

The sample photographs are in the repository. Magnetic tiles are not: a folder with ``tiles.csv`` (columns image, tile)
and below it ``free``, ``blowhole`` and others with JPEGs and, beside those with a defect, PNG masks.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from vigia_stack import paths

SAMPLES = paths.repository() / "shared" / "samples" / "cookies"
#: Tiles are cut to different sizes; a dataset has one.
TILE_SIZE = (256, 320)
_IMAGE = {"type": "groundtruth/image-classification", "human-annotated": "yes", "creation-date": "2022-08-22T20:52:51"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: where its file lies, the defect it shows (None: normal), its mask, the part that it shows."""

    file: Path
    defect: str | None = None
    mask: Path | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """Pictures and how their files are read."""

    pictures: tuple[Picture, ...]
    read: Callable[[str], bytes]

    def manifest(self, chosen: Iterable[Picture]) -> bytes:
        """JSON Lines of some of the pictures."""
        return "\n".join(json.dumps(_line(picture)) for picture in chosen).encode()


def unmasked(picture: Picture) -> Picture:
    """The same without its mask."""
    return replace(picture, mask=None)


def passed_off(picture: Picture) -> Picture:
    """A defect that nobody noticed."""
    return replace(picture, defect=None, mask=None)


def _line(picture: Picture) -> dict[str, object]:
    name = "normal" if picture.defect is None else "anomaly"
    line: dict[str, object] = {
        "source-ref": _uri(picture.file),
        "anomaly-label": int(picture.defect is not None),
        "anomaly-label-metadata": {**_IMAGE, "class-name": name},
    }
    if picture.part is not None:
        line["part-id"] = picture.part
    if picture.mask is not None:
        line["anomaly-mask-ref"] = _uri(picture.mask)
        colors = {"1": {"class-name": picture.defect, "hex-color": color_of(str(picture.defect))}}
        line["anomaly-mask-ref-metadata"] = {
            "type": "groundtruth/semantic-segmentation",
            "internal-color-map": colors,
        }
    return line


def _uri(file: Path) -> str:
    return f"s3://local{file}"


def color_of(defect: str) -> str:
    """The colour of a defect's masks."""
    return {"cracked": "#23A436", "blowhole": "#D02020", "break": "#2020D0"}.get(defect, "#808000")


def cookies() -> Set:
    """The 63 training photographs, then the 22 further ones."""
    pictures = []
    for folder in ("training-images", "test-images"):
        for file in sorted((SAMPLES / folder).glob("*.jpg")):
            bad = "anomaly" in file.name
            mask = SAMPLES / "mask-images" / file.with_suffix(".png").name
            pictures.append(Picture(file, "cracked" if bad else None, mask if bad and mask.exists() else None))
    return Set(tuple(pictures), lambda uri: Path(uri.removeprefix("s3://local")).read_bytes())


def tiles(folder: Path) -> Set | None:
    """The tiles in ``folder``, resized to one size; None where they are not there."""
    if not (folder / "tiles.csv").exists():
        return None
    pictures = []
    with (folder / "tiles.csv").open() as rows:
        for row in csv.DictReader(rows):
            file = folder / row["image"]
            defect = None if file.parent.name == "free" else file.parent.name
            pictures.append(Picture(file, defect, file.with_suffix(".png") if defect else None, row["tile"]))
    return Set(tuple(pictures), _read_tile)


@lru_cache(maxsize=2000)
def _read_tile(uri: str) -> bytes:
    path = Path(uri.removeprefix("s3://local"))
    out = io.BytesIO()
    with Image.open(path) as image:
        if path.suffix == ".png":
            shape = np.asarray(image.convert("L").resize(TILE_SIZE, Image.Resampling.BOX)) > 127
            color = color_of(path.parent.name)
            pixels = np.full((*shape.shape, 3), 255, np.uint8)
            pixels[shape] = list(bytes.fromhex(color[1:]))
            Image.fromarray(pixels).save(out, "PNG")
        else:
            image.convert("RGB").resize(TILE_SIZE, Image.Resampling.BOX).save(out, "PNG")
    return out.getvalue()


def by_part(pictures: Sequence[Picture], rng: np.random.Generator) -> list[list[Picture]]:
    """The pictures of each part together, parts in random order."""
    parts: dict[str, list[Picture]] = {}
    for picture in pictures:
        parts.setdefault(picture.part or str(picture.file), []).append(picture)
    names = sorted(parts)
    return [parts[names[i]] for i in rng.permutation(len(names))]
