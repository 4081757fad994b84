"""A pretrained network in two parts, so that the first is computed once, and the graph that is exported of both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vigia_training.learning.backbone import Pretrained
from vigia_training.learning.folding import folded

#: Blocks before the tail: what they know, at a sixteenth of the input's sides, holds for any images.
_TRUNK_BLOCKS = 4
#: Parts of the names of the graph's nodes that stay in floating point where the rest is quantized.
KEPT = ("/trunk/stem/", "/trunk/blocks.0/")


class Trunk(nn.Module):
    """uint8 ``[N, H, W, 3]`` to features ``[N, C, H/16, W/16]``. Normalisation is inside; weights never change."""

    def __init__(self, given: Pretrained) -> None:
        super().__init__()
        network = given.network
        self.stem = folded(nn.Sequential(network.conv_stem, network.bn1))  # type: ignore[arg-type]
        self.blocks = folded(nn.ModuleList(list(network.blocks)[:_TRUNK_BLOCKS]))  # type: ignore[arg-type]
        self.normalise = given.normalise
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        x: Tensor = self.stem(self.normalise(image))
        for block in self.blocks:
            x = block(x)
        return x


class Tail(nn.Module):
    """The trunk's features to one vector an image, ``[N, D]``. Batch statistics are ImageNet's."""

    def __init__(self, given: Pretrained) -> None:
        super().__init__()
        network = given.network
        self.blocks = folded(nn.Sequential(*list(network.blocks)[_TRUNK_BLOCKS:]))  # type: ignore[arg-type]
        self.last = folded(nn.Sequential(network.conv_head, network.bn2))  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        x: Tensor = self.last(self.blocks(features))
        return x.mean((2, 3))


class Classifier(nn.Module):
    """What is exported: uint8 ``[N, H, W, 3]`` to ``score`` ``[N, 1]`` and ``confidences`` ``[N, labels]``.

    Confidences of exclusive labels sum to 1, others stand for themselves. ``temperature`` makes them as sure as they
    are right.
    """

    def __init__(self, trunk: Trunk, tail: Tail, head: nn.Linear, exclusive: bool, temperature: float) -> None:
        super().__init__()
        self.trunk, self.tail, self.head = trunk, tail, head
        self.exclusive, self.temperature = exclusive, temperature

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.head(self.tail(self.trunk(image))) / self.temperature
        confidences = torch.softmax(logits, 1) if self.exclusive else torch.sigmoid(logits)
        return confidences.amax(1, keepdim=True), confidences
