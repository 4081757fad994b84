"""How much work a training is. Free of torch, so that processes that only read settings stay small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

#: timm's name of the network whose ImageNet weights are packaged.
DEFAULT_BACKBONE = "tf_efficientnet_lite0"

#: Share of normal images that may be taken for anomalous, where there are no anomalous ones to choose a threshold by.
FALSE_REJECTS = 0.005

#: Of the served backbone. ``auto`` is int8 where held-out images show that it costs next to nothing.
Precision = Literal["auto", "float32", "int8"]


#: Where it is learnt; ``auto`` is a GPU where there is one.
DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Budget:
    """How much of each: what does not grow with the data, and what it grows to at most.

    ``images`` in the pool, optimiser steps of the head (``iterations``), ``folds`` of cross-fitting and steps of each
    fold's head; ``examples``: training images that are kept in memory and learnt from.
    """

    images: int = 600
    iterations: int = 240
    folds: int = 2
    fold_iterations: int = 100
    examples: int = 1500

    def pool_size(self, examples: int) -> int:
        """At least as many variations as plain images, so that large sets are varied too."""
        return max(self.images, 2 * examples)

    def of_one_class(self) -> Budget:
        """Of a model that is given normal images alone: made-up defects are soon learnt, and no label is."""
        return replace(
            self,
            images=self.images * 2 // 5,
            iterations=max(1, self.iterations // 3),
            fold_iterations=max(1, self.fold_iterations * 3 // 5),
        )
