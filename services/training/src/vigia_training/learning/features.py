"""Features of varied images, computed once: the network is frozen, so only the heads need many passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from vigia_training.learning.augment import Variation, vary
from vigia_training.learning.backbone import Backbone
from vigia_training.learning.folding import folded
from vigia_training.learning.paste import paste
from vigia_training.learning.synthetic import spoil

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]
_BATCH = 16

#: How an image of the pool was made: a plain or varied example, a varied one with a real defect pasted on, or with a
#: made-up one.
Making = Literal["plain", "varied", "pasted", "spoilt"]
#: What is made in turn, beyond the plain examples.
_TURNS: tuple[tuple[Making, bool], ...] = (
    ("varied", False),
    ("varied", True),
    ("pasted", True),
    ("spoilt", False),
    ("varied", False),
    ("varied", True),
    ("pasted", True),
)
#: The same where no anomalous image is given.
_NORMAL_TURNS: tuple[tuple[Making, bool], ...] = (("spoilt", False), ("varied", False))
#: A defect is pasted on a normal image, or on another anomalous one.
_ON_NORMAL = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """One image as the graph takes it, uint8 ``[H, W, 3]``; ``masks`` float32 ``[L, H, W]``, None where unknown.

    ``group``: examples with the same number, 0 or more, show one part; -1 is a part of its own.
    """

    pixels: Pixels
    anomalous: bool
    masks: Planes | None
    group: int = -1


@dataclass(slots=True)
class Pool:
    """Features of ``n`` images with their truth; half precision, channels last, which CPUs convolve fastest.

    ``source`` is the index of the example each was made of, ``donor`` of another that gave it a defect or texture (else
    ``source``), ``making`` how. ``maps``: share of each label in each cell, in 255ths, ``[n, L, H/4, W/4]``;
    ``mapped``: where it is known. ``defects``: the same of any defect, ``[n, 1, H/8, W/8]``; ``located``: where known.
    """

    features: list[Tensor]
    source: NDArray[np.int64]
    donor: NDArray[np.int64]
    making: NDArray[np.str_]
    anomalous: Tensor
    maps: Tensor | None
    mapped: Tensor
    defects: Tensor
    located: Tensor

    @property
    def plain(self) -> NDArray[np.bool_]:
        """Which images are examples as they were given."""
        return np.asarray(self.making == "plain")

    def take(self, index: Tensor, device: torch.device) -> list[Tensor]:
        """Features of the given images, float32 ``[N, C, h, w]`` on ``device``."""
        return [feature[index].to(device).float().permute(0, 3, 1, 2) for feature in self.features]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one image of the pool comes about: see :class:`Pool`."""

    making: Making
    source: int
    donor: int


def build_pool(
    backbone: Backbone,
    examples: Sequence[Example],
    labels: int,
    size: int,
    seed: int,
    bounds: Variation,
    progress: Callable[[float], None],
) -> Pool:
    """Each example as it is, then varied ones, some with pasted or made-up defects, until there are ``size`` images."""
    rng = np.random.default_rng(seed)
    plans = _plans(examples, size, rng)
    features: list[list[Tensor]] = [[] for _ in backbone.channels]
    maps, defects = [], []
    device = next(backbone.parameters()).device
    network = folded(backbone).to(memory_format=torch.channels_last)
    for start in range(0, len(plans), _BATCH):
        made = [_make(plan, examples, labels, rng, bounds) for plan in plans[start : start + _BATCH]]
        with torch.no_grad():
            batch = torch.from_numpy(np.stack([pixels for pixels, _, _ in made]))
            for store, feature in zip(features, network(batch.to(device)), strict=True):
                store.append(feature.half().cpu().permute(0, 2, 3, 1).contiguous())
        maps.append(_cells(np.stack([masks for _, masks, _ in made]), 4))
        defects.append(_cells(np.stack([anywhere for _, _, anywhere in made])[:, None], 8))
        progress((start + len(made)) / len(plans))
    making = np.array([plan.making for plan in plans])
    bases = [examples[plan.source] for plan in plans]
    anomalous = np.array([base.anomalous for base in bases])
    known = np.array([base.masks is not None or not base.anomalous for base in bases])
    return Pool(
        features=[torch.cat(store) for store in features],
        source=np.array([plan.source for plan in plans]),
        donor=np.array([plan.donor for plan in plans]),
        making=making,
        anomalous=torch.from_numpy((anomalous | np.isin(making, ("pasted", "spoilt"))).astype(np.float32)),
        maps=torch.cat(maps) if labels else None,
        mapped=torch.from_numpy(known & (making != "spoilt")),
        defects=torch.cat(defects),
        located=torch.from_numpy(known),
    )


def _plans(examples: Sequence[Example], size: int, rng: np.random.Generator) -> list[_Plan]:
    normal = [i for i, e in enumerate(examples) if not e.anomalous]
    anomalous = [i for i, e in enumerate(examples) if e.anomalous]
    masked = [i for i in anomalous if examples[i].masks is not None]
    plans = [_Plan("plain", i, i) for i in range(len(examples))]
    turns = {False: 0, True: 0}

    def following(flag: bool, members: Sequence[int]) -> int:
        turns[flag] += 1
        return members[(turns[flag] - 1) % len(members)]

    kinds = _TURNS if anomalous else _NORMAL_TURNS
    while len(plans) < size:
        making, flag = kinds[(len(plans) - len(examples)) % len(kinds)]
        if making == "spoilt" and normal:
            plans.append(_Plan(making, following(False, normal), int(rng.choice(normal))))
        elif making == "pasted" and masked:
            on = normal if normal and rng.random() < _ON_NORMAL else masked
            plans.append(_Plan(making, int(rng.choice(on)), following(True, masked)))
        else:
            source = following(flag, (anomalous if flag else normal) or normal or anomalous)
            plans.append(_Plan("varied", source, source))
    return plans


def _make(
    plan: _Plan, examples: Sequence[Example], labels: int, rng: np.random.Generator, bounds: Variation
) -> tuple[Pixels, Planes, Planes]:
    """Pixels, the labels' masks ``[L, H, W]``, and where any defect is ``[H, W]``; zero where that is not known."""
    example = examples[plan.source]
    image, masks = example.pixels, example.masks
    if masks is None:
        masks = np.zeros((labels, *image.shape[:2]), np.float32)
    if plan.making == "pasted":
        donor = examples[plan.donor]
        assert donor.masks is not None
        image, masks = paste(image, masks, donor.pixels, donor.masks, rng)
    if plan.making != "plain":
        image, masks = vary(image, masks, rng, bounds)
    anywhere = masks.max(0, initial=0.0)
    if plan.making == "spoilt":
        image, anywhere = spoil(image, [examples[plan.donor].pixels], rng)
    return image, masks, anywhere


def _cells(planes: Planes, side: int) -> Tensor:
    """``[N, L, H, W]`` of 0..1 to shares of cells in 255ths, ``[N, L, H/side, W/side]``."""
    shares = fn.avg_pool2d(torch.from_numpy(np.ascontiguousarray(planes)), side) if planes.shape[1] else None
    if shares is None:
        return torch.zeros(len(planes), 0, planes.shape[2] // side, planes.shape[3] // side, dtype=torch.uint8)
    return (shares * 255).round().to(torch.uint8)
