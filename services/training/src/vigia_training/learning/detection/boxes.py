"""Arithmetic on boxes: float ``[..., 4]`` as left, top, right, bottom."""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """``[...]``; 0 for a box whose sides are crossed."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every pair: ``[..., A, 4]`` and ``[..., B, 4]`` to ``[..., A, B]``."""
    a, b = first[..., :, None, :], second[..., None, :, :]
    wide = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    high = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    both = wide.clamp(min=0) * high.clamp(min=0)
    return both / (area(a) + area(b) - both).clamp(min=1e-6)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU of boxes in pairs, ``[N, 4]`` each, to ``[N]`` in -1..1: it tells apart boxes that miss."""
    both = area(_inner(first, second))
    union = (area(first) + area(second) - both).clamp(min=1e-6)
    hull = area(_outer(first, second)).clamp(min=1e-6)
    return both / union - (hull - union) / hull


def suppress(boxes: Tensor, classes: Tensor, limit: float, rounds: int) -> Tensor:
    """Non-maximum suppression of ``[N, K, 4]`` sorted by falling score: 1 for boxes to keep, ``[N, K]``.

    A box goes when one of its class that is kept, and has a higher score, overlaps it by more than ``limit``. Written
    without loops over boxes, so that it exports as plain tensor operations of fixed size. Each round settles one more
    link of a chain of boxes that suppress each other; chains longer than ``rounds`` do not occur among real boxes.
    """
    same = (classes[:, :, None] == classes[:, None, :]).to(boxes.dtype)
    later = torch.ones(boxes.shape[1], boxes.shape[1], dtype=boxes.dtype, device=boxes.device).triu(1)
    overlaps = (pairwise_iou(boxes, boxes) > limit).to(boxes.dtype) * same * later
    keep = torch.ones_like(boxes[..., 0])
    for _ in range(rounds):
        keep = 1 - (overlaps * keep[:, :, None]).amax(1)
    return keep


def _inner(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])], 1)


def _outer(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])], 1)
