"""The gate before a version serves: every golden sample must be answered as the artifact says it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vigia_vision import GoldenSample, Manifest
from vigia_vision.manifest import AnomalyKind

Outputs = Mapping[str, NDArray[np.float32]]


def mismatch(sample: GoldenSample, outputs: Outputs, manifest: Manifest, tolerance: float) -> str | None:
    """What is wrong with ``outputs`` (of one image, without batch axis); None when they are right.

    Right: no number is further from the expected one than ``tolerance`` times the larger of it and 1 (outputs are in
    0..1) or than the sample itself allows, and of a model that judges images the verdict is the same. Those that give
    labels have a threshold for each, and their samples were not chosen to lie far from all of them.
    """
    allowed = min(sample.tolerance, tolerance)
    for name, expected in sample.expected.items():
        given = outputs.get(name)
        if given is None or given.size != expected.size:
            return f"{sample.file}: output {name} is missing or has another shape"
        numbers = given.reshape(expected.shape)
        if not np.isfinite(numbers).all():
            return f"{sample.file}: output {name} holds numbers that are not finite"
        excess = np.abs(numbers - expected) / np.maximum(np.abs(expected), 1.0)
        if excess.size and float(excess.max()) > allowed:
            return f"{sample.file}: output {name} differs by {float(excess.max()):.3g}, allowed is {allowed:.3g}"
    if manifest.kind not in get_args(AnomalyKind):
        return None
    limit = manifest.threshold.value
    wanted, got = (float(np.ravel(of["score"])[0]) >= limit for of in (sample.expected, outputs))
    return None if wanted == got else f"{sample.file}: the verdict is another one at threshold {limit}"
