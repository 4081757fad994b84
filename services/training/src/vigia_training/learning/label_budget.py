"""How much work the training of a model that gives labels is. Free of torch, as ``budget.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectionBudget:
    """Optimiser steps, crops in each, and their side in pixels (a multiple of 32)."""

    iterations: int = 800
    batch: int = 8
    crop: int = 256


@dataclass(frozen=True)
class ClassificationBudget:
    """Varied images that features are computed of, and optimiser steps."""

    images: int = 960
    iterations: int = 300

    def pool_size(self, examples: int) -> int:
        """At least three variations of each image."""
        return max(self.images, 3 * examples)
