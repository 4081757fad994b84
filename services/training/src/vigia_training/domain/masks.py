"""Mask files to label indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vigia_training.domain.dataset import Mask
from vigia_training.domain.errors import BadData
from vigia_vision import masks


def read_mask(data: bytes, mask: Mask, labels: Sequence[str], width: int, height: int) -> NDArray[np.uint8]:
    """uint8 ``[height, width]``: 0 is background, 1.. are ``labels`` in order.

    Pixels are read as :func:`vigia_vision.masks.read_mask` says. BadData names the file and what is wrong with it.
    """
    colors = dict.fromkeys(mask.background, 0)
    colors |= {rgb: 1 + labels.index(name) for rgb, name in mask.labels.items() if name in labels}
    try:
        return masks.read_mask(data, colors, width, height)
    except masks.MaskError as error:
        raise BadData(f"mask {mask.uri}: {error}") from error
