"""A one-stage, anchor-free detector on a feature pyramid, and the graph that is exported of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from vigia_training.learning.backbone import Backbone
from vigia_training.learning.detection.boxes import suppress
from vigia_training.learning.folding import folded

#: Pixels between neighbouring cells of each pyramid level.
STRIDES = (8, 16, 32)
_WIDTH = 64
_MOMENTUM = 0.05
#: Most cells hold nothing: begin with that score everywhere.
_PRIOR = 0.01
#: Before anything is learnt a box reaches so many cells to each side.
_REACH = 2.0

#: Boxes that an answer may hold, and those that enter suppression.
MOST_BOXES = 100
_CANDIDATES = 300
#: Boxes of one class that overlap more are one object.
_SUPPRESS = 0.6
_ROUNDS = 10
#: Below this score a box is no answer.
FLOOR = 0.02


class Detector(nn.Module):
    """uint8 ``[N, H, W, 3]``, sides multiples of 32, to class logits ``[N, A, C]`` and boxes ``[N, A, 4]`` in pixels.

    ``A`` runs over the cells of all pyramid levels, the finest first.
    """

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone = folded(backbone)
        fine, *coarse = backbone.channels
        # What the finest features know of edges, without paying for a level of their size.
        self.detail = nn.Conv2d(fine, _WIDTH, 2, stride=2)
        self.lateral = nn.ModuleList(nn.Conv2d(count, _WIDTH, 1) for count in coarse)
        self.smooth = nn.ModuleList(_Tower(1, 1) for _ in coarse)
        self.class_tower = _Tower(2, len(coarse))
        self.box_tower = _Tower(2, len(coarse))
        self.class_logits = nn.Conv2d(_WIDTH, classes, 3, padding=1)
        self.reach = nn.Conv2d(_WIDTH, 4, 3, padding=1)
        for layer, bias in ((self.class_logits, -math.log(1 / _PRIOR - 1)), (self.reach, math.log(_REACH))):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        fine, *coarse = self.backbone(image)
        maps = [lateral(feature) for lateral, feature in zip(self.lateral, coarse, strict=True)]
        for level in range(len(maps) - 2, -1, -1):
            maps[level] = maps[level] + fn.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
        maps[0] = maps[0] + self.detail(fine)
        logits, boxes = [], []
        for level, stride in enumerate(STRIDES):
            x = self.smooth[level](maps[level], 0)
            logits.append(self.class_logits(self.class_tower(x, level)).flatten(2).transpose(1, 2))
            reach = self.reach(self.box_tower(x, level)).clamp(max=8.0).exp() * stride
            reach = reach.flatten(2).transpose(1, 2)
            at = centres(x.shape[-2], x.shape[-1], stride).to(x)
            boxes.append(torch.cat([at - reach[..., :2], at + reach[..., 2:]], -1))
        return torch.cat(logits, 1), torch.cat(boxes, 1)


class _Tower(nn.Module):
    """Convolutions that all levels share, with norms of each level's own: their statistics differ."""

    def __init__(self, depth: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(_WIDTH, momentum=_MOMENTUM) for _ in range(levels)) for _ in range(depth)
        )

    def forward(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms, strict=True):
            x = fn.relu(norms[level](conv(x)), inplace=True)  # type: ignore[index]
        return x


class Graph(nn.Module):
    """What is exported: uint8 ``[N, H, W, 3]`` to ``score`` ``[N, 1]``, ``boxes`` ``[N, K, 4]``, ``scores``
    and ``classes`` ``[N, K]``, as the manifest of an artifact says.
    """

    def __init__(self, detector: Detector, height: int, width: int) -> None:
        super().__init__()
        self.detector = detector
        self.register_buffer("size", torch.tensor([width, height, width, height], dtype=torch.float32))
        self.size: Tensor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits, boxes = self.detector(image)
        count = logits.shape[2]
        ranked = logits.flatten(1)
        scores, index = ranked.topk(min(_CANDIDATES, int(ranked.shape[1])), dim=1)
        scores = torch.sigmoid(scores)
        cell = torch.div(index, count, rounding_mode="floor")
        classes = (index - cell * count).to(boxes.dtype)
        boxes = boxes.gather(1, cell[..., None].expand(-1, -1, 4)) / self.size
        boxes = boxes.clamp(0, 1)
        scores = scores * suppress(boxes * self.size, classes, _SUPPRESS, _ROUNDS) * (scores >= FLOOR).to(scores.dtype)
        scores, order = scores.topk(min(MOST_BOXES, int(scores.shape[1])), dim=1)
        used = (scores > 0).to(scores.dtype)
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4)) * used[..., None]
        return scores[:, :1], boxes, scores, classes.gather(1, order) * used


def centres(height: int, width: int, stride: int) -> Tensor:
    """Pixel positions x, y of a level's cells, ``[height * width, 2]``."""
    y = (torch.arange(height, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, dtype=torch.float32) + 0.5) * stride
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], -1).reshape(-1, 2)
