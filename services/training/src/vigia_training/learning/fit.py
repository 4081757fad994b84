"""Fits a head to a pool of features, and scores images that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from vigia_training.learning.checkpoints import NONE, Checkpoints, Part
from vigia_training.learning.features import Pool
from vigia_training.learning.heads import SegmentationHead

_BATCH = 16
_RATE = 4e-3
#: Images of a batch that are anomalous, that have made-up defects, and that are normal, where there are such.
_SHARES = (7, 3, 6)
#: What the judgement of the whole image weighs against finding the places.
_IMAGE_WEIGHT = 0.3
#: A batch with fewer defective cells counts as one with so many.
_FEW_CELLS = 8.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a head said about held-back images: image logits, and label probabilities where there are labels."""

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
    checkpoints: Checkpoints = NONE,
    name: str = "head",
) -> SegmentationHead:
    """Trains a new head on the images ``use`` of the pool. The budget is in iterations: seconds depend on the load."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = SegmentationHead([int(f.shape[3]) for f in pool.features], labels).to(device).train()
    head = head.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=iterations, pct_start=0.15)
    draw = _Draw(pool, use, rng)
    parts: dict[str, Part] = {"head": head, "optimizer": optimizer, "schedule": schedule}
    for iteration in range(checkpoints.resume(name, parts, rng), iterations):
        index = draw()
        logits, defects, maps = head.places(pool.take(index, device))
        truth = pool.anomalous[index].to(device)
        located = pool.located[index]
        # Where the place is not known, the judgement of the whole image alone teaches it.
        weight = torch.where(located, _IMAGE_WEIGHT, 1.0).to(device)
        loss = fn.binary_cross_entropy_with_logits(logits, truth, weight)
        if located.any():
            loss = loss + _map_loss(defects[located.to(device)], pool.defects[index[located]].to(device))
        if maps is not None and pool.maps is not None:
            known = pool.mapped[index]
            if known.any():
                loss = loss + _map_loss(maps[known.to(device)], pool.maps[index[known]].to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        checkpoints.keep(name, parts, rng.bit_generator.state, iteration + 1, iterations)
        progress((iteration + 1) / iterations)
    return head.eval()


class _Draw:
    """Batches in which anomalous, made-up and normal images keep their shares."""

    def __init__(self, pool: Pool, use: NDArray[np.int64], rng: np.random.Generator) -> None:
        anomalous, made = pool.anomalous.numpy()[use] > 0, pool.making[use] == "spoilt"
        kinds = (use[anomalous & ~made], use[made], use[~anomalous])
        present = [(kind, share) for kind, share in zip(kinds, _SHARES, strict=True) if len(kind)]
        total = sum(share for _, share in present)
        self._kinds = [(kind, round(_BATCH * share / total)) for kind, share in present]
        self._rng = rng

    def __call__(self) -> Tensor:
        return torch.from_numpy(np.concatenate([self._rng.choice(kind, count) for kind, count in self._kinds]))


def _map_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Focal cross-entropy per defective cell, and Dice; ``truth`` in 255ths is a share, so edges are soft.

    Both are of each label alone, over the whole batch: a label of a few cells weighs as much as one of thousands.
    """
    share = truth.float() / 255
    probability = torch.sigmoid(logits)
    entropy = fn.binary_cross_entropy_with_logits(logits, share, reduction="none")
    cells = share.sum((0, 2, 3))
    focal = ((probability - share).square() * entropy).sum((0, 2, 3)) / cells.clamp(min=_FEW_CELLS)
    overlap = 2 * (probability * share).sum((0, 2, 3)) + 1
    dice = 1 - overlap / (probability.sum((0, 2, 3)) + cells + 1)
    shown = (cells > 1).float()
    return focal.mean() + (dice * shown).sum() / shown.sum().clamp(min=1)


@torch.inference_mode()
def hold_out(head: SegmentationHead, pool: Pool, index: NDArray[np.int64], device: torch.device) -> Held:
    """What ``head`` says about the images ``index`` of the pool."""
    logits, maps = [], []
    for start in range(0, len(index), _BATCH):
        part = torch.from_numpy(index[start : start + _BATCH])
        logit, label_logits = head(pool.take(part, device))
        logits.append(logit.double().cpu().numpy())
        if label_logits is not None:
            maps.append(torch.sigmoid(label_logits).cpu().numpy())
    return Held(np.concatenate(logits), np.concatenate(maps) if maps else None)
