"""Features of varied images, computed once: the network is frozen, so only the heads need many passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from vigia_training.learning.augment import Variation, vary
from vigia_training.learning.backbone import Backbone

Pixels = NDArray[np.uint8]
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Example:
    """One image as the graph takes it, uint8 ``[H, W, 3]``; ``masks`` float32 ``[L, H, W]``, None where unknown.

    ``group``: examples with the same number, 0 or more, show one part; -1 is a part of its own.
    """

    pixels: Pixels
    anomalous: bool
    masks: NDArray[np.float32] | None
    group: int = -1


@dataclass(slots=True)
class Pool:
    """Features of ``n`` images with their truth; half precision, channels last, which CPUs convolve fastest.

    ``source`` is the index of the example each was made of, ``plain`` where it was not varied. ``maps``: share of each
    label in each cell, ``[n, L, H/4, W/4]``; ``mapped``: where it is known.
    """

    features: list[Tensor]
    source: NDArray[np.int64]
    plain: NDArray[np.bool_]
    anomalous: Tensor
    maps: Tensor | None
    mapped: Tensor

    def take(self, index: Tensor, device: torch.device) -> list[Tensor]:
        """Features of the given images, float32 ``[N, C, h, w]`` on ``device``."""
        return [feature[index].to(device).float().permute(0, 3, 1, 2) for feature in self.features]


def build_pool(
    backbone: Backbone,
    examples: Sequence[Example],
    labels: int,
    size: int,
    seed: int,
    bounds: Variation,
    progress: Callable[[float], None],
) -> Pool:
    """Each example as it is, then varied ones, classes alternating, until there are ``size`` images."""
    rng = np.random.default_rng(seed)
    groups = [[i for i, e in enumerate(examples) if e.anomalous is flag] for flag in (False, True)]
    groups = [group for group in groups if group]
    source = list(range(len(examples)))
    turns = [0] * len(groups)
    while len(source) < size:
        group = len(source) % len(groups)
        source.append(groups[group][turns[group] % len(groups[group])])
        turns[group] += 1
    features: list[list[Tensor]] = [[] for _ in backbone.channels]
    maps = []
    device = next(backbone.parameters()).device
    backbone = backbone.to(memory_format=torch.channels_last)
    for start in range(0, len(source), _BATCH):
        images, masks = [], []
        for position in range(start, min(start + _BATCH, len(source))):
            example = examples[source[position]]
            mask = example.masks
            if mask is None:
                mask = np.zeros((labels, *example.pixels.shape[:2]), np.float32)
            image = example.pixels
            if position >= len(examples):
                image, mask = vary(image, mask, rng, bounds)
            images.append(image)
            masks.append(mask)
        with torch.no_grad():
            for store, feature in zip(features, backbone(_batch(images).to(device)), strict=True):
                store.append(feature.half().cpu().permute(0, 2, 3, 1).contiguous())
        if labels:
            maps.append(fn.avg_pool2d(torch.from_numpy(np.stack(masks)), 4))
        progress((start + len(images)) / len(source))
    chosen = [examples[i] for i in source]
    return Pool(
        features=[torch.cat(store) for store in features],
        source=np.asarray(source),
        plain=np.arange(len(source)) < len(examples),
        anomalous=torch.tensor([e.anomalous for e in chosen], dtype=torch.float32),
        maps=torch.cat(maps) if labels else None,
        mapped=torch.tensor([e.masks is not None or not e.anomalous for e in chosen]),
    )


def _batch(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(images)))
