"""A line that never was: parts with known truth, the same for the same seed, for tests and load."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vigia_contracts.cameras import SyntheticSource

Image = NDArray[np.uint8]

_BACKGROUND = (224, 222, 218)
_PART = (176, 122, 66)
_SCRATCH = (52, 34, 22)


@dataclass(frozen=True, slots=True)
class Part:
    """A generated part: whether it is defective, and where (box in pixels: left, top, right, bottom)."""

    index: int
    defective: bool
    box: tuple[int, int, int, int] | None

    @property
    def part_id(self) -> str:
        """The part's id on the wire, which carries the truth: ``S-000007-defect`` or ``S-000008-good``."""
        return f"S-{self.index:06d}-{'defect' if self.defective else 'good'}"


def truth_of(part_id: str) -> bool:
    """Whether the synthetic part of this id is defective; ValueError for another kind of id."""
    parts = part_id.split("-")
    if len(parts) != 3 or parts[0] != "S" or parts[2] not in {"good", "defect"}:
        raise ValueError(f"{part_id!r} is not the id of a synthetic part")
    return parts[2] == "defect"


def _numbers(source: SyntheticSource, index: int) -> np.random.Generator:
    return np.random.default_rng([source.seed & 0xFFFFFFFF, index])


def part(source: SyntheticSource, index: int) -> Part:
    """Part number ``index`` of the line; needs no drawing, so a test can recompute the truth of any frame."""
    numbers = _numbers(source, index)
    if numbers.random() >= source.defect_rate:
        return Part(index, False, None)
    length = max(4, min(source.width, source.height) // 5)
    left = int(source.width * (0.3 + 0.3 * numbers.random()))
    top = int(source.height * (0.3 + 0.3 * numbers.random()))
    return Part(index, True, (left, top, left + length, top + max(2, length // 6)))


@lru_cache(maxsize=8)
def _disc(width: int, height: int) -> Image:
    rows, columns = np.ogrid[:height, :width]
    radius = 0.4 * min(width, height)
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 <= radius**2
    image = np.where(inside[..., None], np.array(_PART, np.uint8), np.array(_BACKGROUND, np.uint8))
    image.setflags(write=False)
    return image


def draw(source: SyntheticSource, index: int) -> Image:
    """The image of part ``index``: uint8 [H, W, 3] RGB. A disc with light noise; a defect is a dark scratch."""
    image = _disc(source.width, source.height).copy()
    found = part(source, index)
    if found.box is not None:
        left, top, right, bottom = found.box
        image[top:bottom, left:right] = _SCRATCH
    numbers = _numbers(source, index + (1 << 32))
    # One strip of noise, tiled: as lively as full noise for a model, a tenth of the cost.
    strip = numbers.integers(-4, 5, size=(16, source.width, 1), dtype=np.int16)
    noise = np.tile(strip, (source.height // 16 + 1, 1, 1))[: source.height]
    noisy: Image = np.clip(image.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    return noisy
