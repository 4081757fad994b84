"""From annotated images to a detector."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vigia_training.learning.backbone import Backbone
from vigia_training.learning.detection.crops import Annotated, Cropper, Variation
from vigia_training.learning.detection.loss import Truth, detection_loss
from vigia_training.learning.detection.network import STRIDES, Detector, centres
from vigia_training.learning.label_budget import DetectionBudget

#: Stages of the backbone whose weights stay: edges and textures are the same everywhere, and cost most to learn.
_FROZEN_BLOCKS = 2
_RATE = 1e-3
_BACKBONE_RATE = 3e-4
_DECAY = 0.02
_WARM_UP = 50
_CLIP = 10.0
_AVERAGE = 0.998


def fit(
    backbone: Backbone,
    images: Sequence[Annotated],
    classes: int,
    budget: DetectionBudget,
    bounds: Variation,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None],
) -> Detector:
    """Trains a detector of ``classes`` kinds of objects; what comes back is the average of its late weights.

    The same images, seed and device give the same weights.
    """
    torch.manual_seed(seed)
    detector = Detector(backbone, classes).to(device).to(memory_format=torch.channels_last).train()
    slow = _unfreeze(detector)
    fast = [p for name, p in detector.named_parameters() if not name.startswith("backbone.")]
    optimizer = torch.optim.AdamW(
        [{"params": fast, "lr": _RATE}, {"params": slow, "lr": _BACKBONE_RATE}], weight_decay=_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, budget.iterations))
    average = copy.deepcopy(detector).requires_grad_(False)
    cropper = Cropper(images, budget.crop, bounds, np.random.default_rng(seed))
    at, stride = _cells(budget.crop, device)
    for iteration in range(budget.iterations):
        crops = [cropper.draw() for _ in range(budget.batch)]
        batch = torch.from_numpy(np.stack([crop.pixels for crop in crops])).to(device)
        logits, boxes = detector(batch)
        loss = detection_loss(logits, boxes, at, stride, [_truth(crop, device) for crop in crops])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*fast, *slow], _CLIP)
        optimizer.step()
        schedule.step()
        _follow(average, detector, min(_AVERAGE, (1 + iteration) / (10 + iteration)))
        progress((iteration + 1) / budget.iterations)
    return average.cpu().eval()


def _unfreeze(detector: Detector) -> list[nn.Parameter]:
    learning = list(detector.backbone.blocks)[_FROZEN_BLOCKS:]
    for block in learning:
        block.requires_grad_(True)
    return [parameter for block in learning for parameter in block.parameters()]


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / max(1, min(_WARM_UP, steps // 4)))
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


@torch.no_grad()
def _follow(average: nn.Module, current: nn.Module, keep: float) -> None:
    for mean, value in zip(average.parameters(), current.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)
    for running, now in zip(average.buffers(), current.buffers(), strict=True):
        if running.is_floating_point():
            running.lerp_(now, 1 - keep)


def _cells(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the cells of all levels lie, and how far apart their neighbours are."""
    at = [centres(side // stride, side // stride, stride) for stride in STRIDES]
    apart = [torch.full((len(level),), float(stride)) for level, stride in zip(at, STRIDES, strict=True)]
    return torch.cat(at).to(device), torch.cat(apart).to(device)


def _truth(crop: Annotated, device: torch.device) -> Truth:
    return Truth(
        torch.from_numpy(crop.boxes).to(device),
        torch.from_numpy(crop.classes).to(device),
        torch.from_numpy(crop.ignored).to(device),
    )
