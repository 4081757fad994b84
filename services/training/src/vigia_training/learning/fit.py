"""Fits a head to a pool of features, and scores images that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from vigia_training.learning.features import Pool
from vigia_training.learning.heads import SegmentationHead

_BATCH = 16
_RATE = 4e-3


@dataclass(frozen=True, slots=True)
class Held:
    """What a head said about held-back images: image logits, and of unvaried ones label probabilities."""

    index: NDArray[np.int64]
    logits: NDArray[np.float64]
    maps: NDArray[np.float32] | None


def fit_head(
    pool: Pool,
    use: NDArray[np.int64],
    labels: int,
    iterations: int,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None],
) -> SegmentationHead:
    """Trains a new head on the images ``use`` of the pool. The budget is in iterations: seconds depend on the load."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = SegmentationHead([int(f.shape[3]) for f in pool.features], labels).to(device).train()
    head = head.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=iterations, pct_start=0.15)
    flags = pool.anomalous.numpy()[use] > 0
    groups = [group for group in (use[~flags], use[flags]) if len(group)]
    for iteration in range(iterations):
        per_group = _BATCH // len(groups)
        index = torch.from_numpy(np.concatenate([rng.choice(group, per_group) for group in groups]))
        logits, maps = head(pool.take(index, device))
        loss = fn.binary_cross_entropy_with_logits(logits, pool.anomalous[index].to(device))
        if maps is not None and pool.maps is not None:
            known = pool.mapped[index]
            if known.any():
                loss = loss + _map_loss(maps[known.to(device)], pool.maps[index][known].to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        progress((iteration + 1) / iterations)
    return head.eval()


def _map_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal cross-entropy finds the rare pixels, Dice weighs overlap; ``truth`` is a share, so edges are soft."""
    probability = torch.sigmoid(logits)
    entropy = fn.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    focus = (probability - truth).abs().pow(1.5)
    weight = 1 + truth
    overlap = 2 * (probability * truth).sum((0, 2, 3)) + 1
    dice = 1 - overlap / (probability.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    return 5 * (focus * entropy * weight).mean() + entropy.mean() + dice.mean()


@torch.inference_mode()
def hold_out(head: SegmentationHead, pool: Pool, index: NDArray[np.int64], device: torch.device) -> Held:
    """What ``head`` says about the images ``index`` of the pool."""
    logits, maps = [], []
    for start in range(0, len(index), _BATCH):
        part = index[start : start + _BATCH]
        logit, label_logits = head(pool.take(torch.from_numpy(part), device))
        logits.append(logit.double().cpu().numpy())
        if label_logits is not None:
            maps.append(torch.sigmoid(label_logits).cpu().numpy()[pool.plain[part]])
    return Held(index, np.concatenate(logits), np.concatenate(maps) if maps else None)
