"""Colours for labels that have none of their own."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from vigia_vision.manifest import Label

#: Neighbours in the list lie far apart on the circle of hues.
_GOLDEN = 0.6180339887


def coloured(names: Sequence[str]) -> tuple[Label, ...]:
    """Labels in the given order; a place in the list always has the same colour."""
    labels = []
    for number, name in enumerate(names):
        red, green, blue = colorsys.hsv_to_rgb((0.6 + number * _GOLDEN) % 1, 0.75, 0.85)
        labels.append(Label(name=name, color=f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"))
    return tuple(labels)
