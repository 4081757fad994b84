"""Points of curves, few enough to be written down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def thinned(values: Floats, most: int) -> Floats:
    """At most so many of the values, evenly, with the first and the last."""
    if len(values) <= most:
        return values
    kept: Floats = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
    return kept


def points(x: Floats, y: Floats, most: int) -> list[tuple[float, float]]:
    """Pairs of both, thinned."""
    return [(float(a), float(b)) for a, b in thinned(np.stack([x, y], axis=1), most)]
