"""How much work the training of a model that gives labels is. Free of torch, as ``budget.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectionBudget:
    """Optimiser steps, crops in each, and their side in pixels (a multiple of 32)."""

    iterations: int = 2000
    batch: int = 8
    crop: int = 256


@dataclass(frozen=True)
class ClassificationBudget:
    """Varied images that features are computed of, and optimiser steps."""

    images: int = 960
    iterations: int = 300

    def pool_size(self, examples: int) -> int:
        """Three variations of each image, up to so many images that features of more would not fit in memory."""
        return max(self.images, examples, min(3 * examples, 12_000))
