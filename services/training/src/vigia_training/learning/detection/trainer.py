"""From annotated images to a detector."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vigia_training.learning import parallel
from vigia_training.learning.backbone import Backbone
from vigia_training.learning.checkpoints import NONE, Checkpoints, Part
from vigia_training.learning.detection.annotated import Annotated
from vigia_training.learning.detection.crops import Cropper, Variation
from vigia_training.learning.detection.loss import Truth, detection_loss
from vigia_training.learning.detection.network import STRIDES, Detector, centres
from vigia_training.learning.device import autocast, moved, scaler
from vigia_training.learning.label_budget import DetectionBudget

_RATE = 1e-3
_BACKBONE_RATE = 3e-4
_DECAY = 0.02
_WARM_UP = 50
_CLIP = 10.0
_AVERAGE = 0.998
#: So many of the objects are to fill at most such a share of a crop's sides, which are multiples of a step.
_LARGE = 0.9
_FILLED = 0.75
_STEP = 32
_LEAST_BATCH = 2


def fit(
    backbone: Backbone,
    images: Sequence[Annotated],
    classes: int,
    budget: DetectionBudget,
    bounds: Variation,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None],
    checkpoints: Checkpoints = NONE,
) -> Detector:
    """Trains a detector of ``classes`` kinds of objects; what comes back is the average of its late weights.

    The same images, seed and device give the same weights.
    """
    parallel.join(device)
    torch.manual_seed(seed)
    side, batch = views(images, budget)
    # Each of several processes draws crops of its own, and together they draw as many.
    rng = np.random.default_rng([seed, parallel.rank()] if parallel.rank() else seed)
    cropper = Cropper(images, side, bounds, rng)
    detector = Detector(backbone, classes).to(device).to(memory_format=torch.channels_last).train()
    slow = _unfreeze(detector)
    fast = [p for name, p in detector.named_parameters() if not name.startswith("backbone.")]
    optimizer = torch.optim.AdamW(
        [{"params": fast, "lr": _RATE}, {"params": slow, "lr": _BACKBONE_RATE}], weight_decay=_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, budget.iterations))
    average = copy.deepcopy(detector).requires_grad_(False)
    half = scaler(device)
    at, stride = _cells(side, device)
    parts: dict[str, Part] = {"detector": detector, "average": average, "optimizer": optimizer, "schedule": schedule}
    begin = parallel.agreed(checkpoints.resume("detector", parts, rng))
    drawn = _drawn(cropper, rng, parallel.share(batch), budget.iterations - begin)
    for iteration, (crops, random) in enumerate(drawn, begin):
        pixels = moved(np.stack([crop.pixels for crop in crops]), device)
        with autocast(device):
            logits, boxes = detector(pixels)
        truths = [_truth(crop, device) for crop in crops]
        loss = detection_loss(logits.float(), boxes.float(), at, stride, truths)
        optimizer.zero_grad()
        half.scale(loss).backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients([*fast, *slow])
        half.unscale_(optimizer)
        nn.utils.clip_grad_norm_([*fast, *slow], _CLIP)
        half.step(optimizer)
        half.update()
        schedule.step()
        _follow(average, detector, min(_AVERAGE, (1 + iteration) / (10 + iteration)))
        checkpoints.keep("detector", parts, random, iteration + 1, budget.iterations)
        progress((iteration + 1) / budget.iterations)
    return average.cpu().eval()


def views(images: Sequence[Annotated], budget: DetectionBudget) -> tuple[int, int]:
    """Side and number of a step's crops: larger and fewer than the budget's where most objects would not fit in."""
    sides = [side for image in images for side in (image.boxes[:, 2:] - image.boxes[:, :2]).max(1).tolist()]
    if not sides:
        return budget.crop, budget.batch
    wanted = float(np.quantile(sides, _LARGE)) / _FILLED
    whole = max(max(image.pixels.shape[:2]) for image in images)
    side = max(budget.crop, _STEP * math.ceil(min(wanted, whole) / _STEP))
    return side, max(min(_LEAST_BATCH, budget.batch), round(budget.batch * (budget.crop / side) ** 2))


def _drawn(
    cropper: Cropper, rng: np.random.Generator, batch: int, times: int
) -> Iterator[tuple[list[Annotated], Mapping[str, Any]]]:
    """So many batches; the next is drawn while the last is learnt from.

    With each the state of the random numbers, of which the cropper draws, before that next one.
    """

    def draw() -> tuple[list[Annotated], Mapping[str, Any]]:
        return [cropper.draw() for _ in range(batch)], rng.bit_generator.state

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(draw)
        for number in range(times):
            crops = waiting.result()
            if number + 1 < times:
                waiting = pool.submit(draw)
            yield crops


def _unfreeze(detector: Detector) -> list[nn.Parameter]:
    """What learns: filters of one channel each stay, wherever they are; they cost most and gain least."""
    detector.backbone.requires_grad_(False)
    learning = [layer for layer in detector.backbone.late() if not _of_one_channel(layer)]
    for layer in learning:
        layer.requires_grad_(True)
    return [parameter for layer in learning for parameter in layer.parameters()]


def _of_one_channel(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups > 1


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
