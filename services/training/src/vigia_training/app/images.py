"""Reads the images and masks of manifests, and checks all of them before anything is learnt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from PIL import Image

from vigia_training.domain.dataset import Entry, hex_color
from vigia_training.domain.errors import BadData
from vigia_training.domain.estimate import LOADERS
from vigia_training.domain.masks import read_mask
from vigia_training.domain.size import tensor_size
from vigia_training.learning.features import Example
from vigia_vision import DecodeError, decode, probe
from vigia_vision.manifest import Label
from vigia_vision.prepare import squash_area

#: The bytes behind an ``s3://bucket/key`` address; BadData, which begins with the address, when there is nothing.
Read = Callable[[str], bytes]

T = TypeVar("T")
R = TypeVar("R")

_MAX_LABELS = 100
#: The shorter side of an image has at least so many pixels.
_LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Geometry:
    """Pixels of every image, and of the tensor made of it."""

    image_width: int
    image_height: int
    width: int
    height: int
    uri: str  # the image that decided it


def labels_of(entries: Sequence[Entry]) -> tuple[Label, ...]:
    """Every anomaly label of the masks, with its first colour. BadData when there are too many."""
    colors: dict[str, str] = {}
    for entry in entries:
        for rgb, name in entry.mask.labels.items() if entry.mask else ():
            colors.setdefault(name, hex_color(rgb))
    if len(colors) > _MAX_LABELS:
        raise BadData(f"the masks have {len(colors)} labels; at most {_MAX_LABELS} are possible")
    return tuple(Label(name=name, color=color) for name, color in colors.items())


def geometry_of(entry: Entry, read: Read) -> Geometry:
    """The size that all images must have: that of the first. BadData names it when it cannot be one."""
    try:
        info = probe(read(entry.uri))
    except DecodeError as error:
        raise BadData(f"image {entry.uri}: {error}") from error
    except BadData as error:
        raise BadData(f"image {error}") from error
    if min(info.width, info.height) < _LEAST_SIDE:
        raise BadData(
            f"image {entry.uri}: {info.width}x{info.height} pixels; at least {_LEAST_SIDE}x{_LEAST_SIDE} are needed"
        )
    return Geometry(info.width, info.height, *tensor_size(info.width, info.height), entry.uri)


def load(entry: Entry, read: Read, geometry: Geometry, labels: Sequence[Label]) -> Example:
    """One image as the graph takes it, with its masks. BadData names the file that is wrong."""
    try:
        pixels = decode(read(entry.uri))
    except DecodeError as error:
        raise BadData(f"image {entry.uri}: {error}") from error
    except BadData as error:
        raise BadData(f"image {error}") from error
    height, width = pixels.shape[:2]
    if (width, height) != (geometry.image_width, geometry.image_height):
        raise BadData(
            f"image {entry.uri}: {width}x{height} pixels; "
            f"the first image, {geometry.uri}, has {geometry.image_width}x{geometry.image_height}, "
            "and all must have the same"
        )
    truth = load_truth(entry, read, geometry, labels)
    if not labels or truth is None:
        masks = None
    elif entry.anomalous:
        masks = _shares(truth, len(labels), geometry)
    else:
        # All zero, in the memory of one number.
        masks = as_strided(np.zeros(1, np.float32), (len(labels), geometry.height, geometry.width), (0, 0, 0))
    return Example(squash_area(pixels, geometry.width, geometry.height), entry.anomalous, masks)


def load_truth(entry: Entry, read: Read, geometry: Geometry, labels: Sequence[Label]) -> NDArray[np.uint8] | None:
    """Label indices uint8 ``[H, W]`` of the image's pixels: all background where it is normal, None where unknown."""
    if not entry.anomalous:
        return np.zeros((geometry.image_height, geometry.image_width), np.uint8)
    if entry.mask is None:
        return None
    names = [label.name for label in labels]
    try:
        data = read(entry.mask.uri)
    except BadData as error:
        raise BadData(f"mask {error}") from error
    return read_mask(data, entry.mask, names, geometry.image_width, geometry.image_height)


def in_order(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``map`` on several threads (reading waits, decoding frees the interpreter), few results ahead."""
    workers = min(2 * len(os.sched_getaffinity(0)), LOADERS)
    with ThreadPoolExecutor(workers) as pool:
        rest = iter(items)
        waiting = [pool.submit(work, item) for item in islice(rest, 2 * workers)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(work, item) for item in islice(rest, 1)]
            yield result


def _shares(truth: NDArray[np.uint8], labels: int, geometry: Geometry) -> NDArray[np.float32]:
    size = (geometry.width, geometry.height)
    planes = [
        np.asarray(Image.fromarray((truth == index).astype(np.float32)).resize(size, Image.Resampling.BOX))
        for index in range(1, labels + 1)
    ]
    return np.stack(planes)
