"""How much work the training of a model that gives labels is. Free of torch, as ``budget.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Up to so many images are learnt from in a detector's steps; of more in more steps, up to so many times as many.
_IMAGES = 60
_MOST_TIMES = 2.0


@dataclass(frozen=True)
class DetectionBudget:
    """Optimiser steps, crops in each, and their side in pixels (a multiple of 32)."""

    iterations: int = 2000
    batch: int = 8
    crop: int = 256

    def of(self, images: int) -> DetectionBudget:
        """The same for so many images: what more of them show is worth more steps."""
        return replace(self, iterations=round(self.iterations * min(max(1.0, images / _IMAGES), _MOST_TIMES)))


@dataclass(frozen=True)
class ClassificationBudget:
    """Varied images that features are computed of, and optimiser steps."""

    images: int = 960
    iterations: int = 300

    def pool_size(self, examples: int) -> int:
        """Three variations of each image, up to so many images that features of more would not fit in memory."""
        return max(self.images, examples, min(3 * examples, 12_000))
