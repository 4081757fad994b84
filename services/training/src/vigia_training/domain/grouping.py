"""Which images show one physical part. They learn, are held back or test together.

Parts are photographed several times, in other light or from the next frame, and a model that has seen a part recognises
it: tested on its other photographs it looks much better than it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vigia_vision.prepare import squash_area

_SIDE = 12
#: Added to each variance, as a share of their mean; more where there are few images to estimate them from.
_SHRINKAGE = 0.2
_FEW = 100
#: From this similarity on (a cosine of whitened thumbnails) two images are twins; tried in turn until no group is huge.
_ALIKE = (0.5, 0.6, 0.7, 0.8, 0.9)
#: A group of more than this share of the images, and more than so many, is a chain of lookalikes, not one part.
_LARGEST = 0.2
_SMALL = 12
_BLOCK = 1024
#: Of an image's twins, so many are followed, and the first.
_MOST_TWINS = 16

Thumbnail = NDArray[np.float32]


def thumbnail(pixels: NDArray[np.uint8]) -> Thumbnail:
    """What of an image uint8 ``[H, W, 3]`` is compared: float32 ``[144]``, its light and contrast taken out."""
    grey = squash_area(pixels, _SIDE, _SIDE).astype(np.float32).mean(2).reshape(-1)
    grey -= grey.mean()
    deviation = float(grey.std())
    scaled: Thumbnail = grey / np.float32(deviation if deviation > 0 else 1.0)
    return scaled


def group(thumbnails: NDArray[np.float32], parts: Sequence[str | None]) -> NDArray[np.int64]:
    """A group number, 0 or more, for each image of ``thumbnails`` ``[N, 144]``.

    Images with the same part id are one group. An image without one belongs to those that it is a near-duplicate of.
    Whitened over the set, thumbnails differ in what sets images apart, not in what all of them show.
    """
    number = {part: index for index, part in enumerate(dict.fromkeys(p for p in parts if p is not None))}
    given = np.array([-1 if part is None else number[part] for part in parts], np.int64)
    first: dict[int, int] = {}
    edges = [(image, first.setdefault(index, image)) for image, index in enumerate(given.tolist()) if index >= 0]
    found = _components(len(parts), edges)
    if (given >= 0).all():
        return found
    whitened = _whiten(thumbnails)
    for limit in _ALIKE:
        found = _components(len(parts), edges + _twins(whitened, given, limit))
        # Where a part id is given it is the user's: only what was found is doubted.
        largest = np.bincount(found[given < 0]).max()
        if largest <= max(_SMALL, _LARGEST * len(parts)):
            break
    return found


def shown_twice(groups: NDArray[np.int64], learning: int) -> list[str]:
    """What to say where the first ``learning`` images learn, the rest test, and some of these show the same parts."""
    twins = int(np.isin(groups[learning:], groups[:learning]).sum())
    if not twins:
        return []
    return [
        f"{twins} of {len(groups) - learning} test images show parts that training images show too, or are "
        "near-duplicates of them: on other parts the model may be less good than these metrics say"
    ]


def _whiten(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors whose directions are equally frequent."""
    centred = thumbnails.astype(np.float64) - thumbnails.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    values = np.clip(values, 0, None)
    rank = max(1, min(len(centred) - 1, len(values)))
    shrinkage = _SHRINKAGE * max(1.0, _FEW / len(centred))
    spread = np.sqrt(values + shrinkage * values.sum() / rank + 1e-12)
    whitened = centred @ (vectors / spread)
    length = np.linalg.norm(whitened, axis=1, keepdims=True)
    return np.asarray(whitened / np.maximum(length, 1e-12), dtype=np.float32)


def _twins(whitened: NDArray[np.float32], given: NDArray[np.int64], limit: float) -> list[tuple[int, int]]:
    """Pairs of images at least so similar; of two with part ids those decide."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(whitened), _BLOCK):
        rows = slice(start, start + _BLOCK)
        alike = whitened[rows] @ whitened.T
        alike[(given[rows, None] >= 0) & (given[None] >= 0)] = -1
        alike[np.arange(len(alike)), np.arange(start, start + len(alike))] = -1
        for row in np.flatnonzero((alike >= limit).any(1)).tolist():
            others = np.flatnonzero(alike[row] >= limit)
            near = others[np.argsort(-alike[row, others], kind="stable")[:_MOST_TWINS]]
            pairs += [(start + row, int(other)) for other in {int(others[0]), *near.tolist()}]
    return pairs


def _components(count: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
