"""From labelled images to a classifier: candidates are compared on training images that they did not see."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from vigia_training.learning.augment import Variation, vary
from vigia_training.learning.backbone import Pretrained
from vigia_training.learning.checkpoints import NONE, Checkpoints, Part
from vigia_training.learning.classification.network import Classifier, Tail, Trunk
from vigia_training.learning.label_budget import ClassificationBudget

Pixels = NDArray[np.uint8]
Progress = Callable[[float], None]

_BATCH = 32
_PROBE_STEPS = 200
_PROBE_RATE = 5e-3
_RATE = 2e-3
_TAIL_RATE = 2e-4
_DECAY = 0.02
_SMOOTH = 0.05
_AVERAGE = 0.98
_TEMPERATURES = np.exp(np.linspace(math.log(0.25), math.log(4), 41))
#: Parts that orientation says nothing about, and scenes that have an up and a down.
_VARIATIONS = {"any way up": Variation(), "upright": Variation(rotation=12.0, scale=0.2, shift=0.1)}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image as the graph takes it, uint8 ``[H, W, 3]``, and which labels it has, float32 ``[L]`` of 0 and 1."""

    pixels: Pixels
    labels: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A classifier, and which candidate it is; ``trial`` is the same, learnt without the images held back."""

    classifier: Classifier
    choice: str
    trial: Classifier


@dataclass(frozen=True, slots=True)
class _Pool:
    """The trunk's features of varied images, half precision; ``source``: of which image each was made.

    The first ones are the images as they are.
    """

    features: Tensor
    source: NDArray[np.int64]
    labels: Tensor


def fit(
    given: Pretrained,
    images: Sequence[Labelled],
    held: Sequence[int],
    exclusive: bool,
    budget: ClassificationBudget,
    seed: int,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Fitted:
    """Chooses on the images ``held`` among candidates that learnt from the others; the best then learns from all.

    Candidates: how images are varied, and whether the last blocks learn too. The same images, seed and device give the
    same weights.
    """
    torch.manual_seed(seed)
    trunk = Trunk(given).to(device).to(memory_format=torch.channels_last)
    size = budget.pool_size(len(images))
    out = np.asarray(held, np.int64)
    pools: dict[str, _Pool] = {}
    trials: dict[str, float] = {}
    heads: dict[str, nn.Linear] = {}
    for number, (name, bounds) in enumerate(_VARIATIONS.items()):
        pool = _pool(trunk, images, size, bounds, seed, device, _part(progress, 0.2 * number, 0.2))
        probe = _probe(given, pool, _rest(pool, out), exclusive, seed, device)
        logits = _say(Tail(given).to(device), probe, pool.features[out], device)
        trials[name], _ = _calibrate(logits, pool.labels[out], exclusive)
        pools[name], heads[name] = pool, probe
    varied = min(trials, key=lambda name: trials[name])
    pool = pools[varied]
    rest, half = _rest(pool, out), _part(progress, 0.4, 0.25)
    trial = _tune(
        given, pool, rest, heads[varied], exclusive, budget, seed, device, half, checkpoints, "tuning without the held"
    )
    tuned, temperature = _calibrate(_say(*trial, pool.features[out], device), pool.labels[out], exclusive)
    everything = np.arange(len(pool.source))
    probe = _probe(given, pool, everything, exclusive, seed, device)
    if tuned < trials[varied]:
        choice = f"{varied}, last blocks learnt"
        half = _part(progress, 0.65, 0.35)
        tail, head = _tune(
            given, pool, everything, probe, exclusive, budget, seed, device, half, checkpoints, "tuning on all"
        )
    else:
        choice = f"{varied}, last blocks as they were"
        trial = Tail(given).to(device), heads[varied]
        _, temperature = _calibrate(_say(*trial, pool.features[out], device), pool.labels[out], exclusive)
        tail, head = Tail(given), probe
    progress(1.0)
    whole, without = (
        Classifier(trunk.cpu(), tail.cpu(), head.cpu(), exclusive, temperature).eval()
        for tail, head in ((tail, head), trial)
    )
    return Fitted(whole, choice, without)


def _part(progress: Progress, begin: float, span: float) -> Progress:
    return lambda share: progress(begin + span * share)


def _rest(pool: _Pool, held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pool indices of images that are not held back, in no variation."""
    return np.flatnonzero(~np.isin(pool.source, held))


def _pool(
    trunk: Trunk,
    images: Sequence[Labelled],
    size: int,
    bounds: Variation,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> _Pool:
    rng = np.random.default_rng(seed)
    source = np.arange(size) % len(images)
    blank = np.zeros((0, *images[0].pixels.shape[:2]), np.float32)
    parts = []
    for start in range(0, size, _BATCH):
        batch = [
            images[source[place]].pixels
            if place < len(images)
            else vary(images[source[place]].pixels, blank, rng, bounds)[0]
            for place in range(start, min(start + _BATCH, size))
        ]
        with torch.no_grad():
            features = trunk(torch.from_numpy(np.stack(batch)).to(device))
        parts.append(features.half().cpu())
        progress(min(1.0, (start + _BATCH) / size))
    labels = torch.from_numpy(np.stack([images[i].labels for i in source.tolist()]))
    return _Pool(torch.cat(parts), source, labels)


def _probe(
    given: Pretrained, pool: _Pool, use: NDArray[np.int64], exclusive: bool, seed: int, device: torch.device
) -> nn.Linear:
    """A linear head on the pretrained vectors of the images ``use``."""
    torch.manual_seed(seed)
    vectors = _vectors(Tail(given).to(device), pool.features[use], device)
    labels = pool.labels[use].to(device)
    head = nn.Linear(vectors.shape[1], labels.shape[1]).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_PROBE_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _PROBE_STEPS)
    rng = np.random.default_rng(seed)
    for _ in range(_PROBE_STEPS):
        index = torch.from_numpy(rng.integers(len(vectors), size=8 * _BATCH))
        loss = _loss(head(vectors[index]), labels[index], exclusive)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return head.eval()


def _tune(
    given: Pretrained,
    pool: _Pool,
    use: NDArray[np.int64],
    probe: nn.Linear,
    exclusive: bool,
    budget: ClassificationBudget,
    seed: int,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints,
    name: str,
) -> tuple[Tail, nn.Linear]:
    """The tail and a head that begins as ``probe``, both learnt on the images ``use``; late weights averaged."""
    torch.manual_seed(seed)
    tail = Tail(given).to(device).to(memory_format=torch.channels_last)
    head = copy.deepcopy(probe).to(device)
    optimizer = torch.optim.AdamW(
        [{"params": head.parameters(), "lr": _RATE}, {"params": tail.parameters(), "lr": _TAIL_RATE}],
        weight_decay=_DECAY,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [_RATE, _TAIL_RATE], total_steps=budget.iterations, pct_start=0.15
    )
    both = nn.ModuleList([tail, head])
    average = copy.deepcopy(both).requires_grad_(False)
    rng = np.random.default_rng(seed)
    parts: dict[str, Part] = {"both": both, "average": average, "optimizer": optimizer, "schedule": schedule}
    for iteration in range(checkpoints.resume(name, parts, rng), budget.iterations):
        index = torch.from_numpy(rng.choice(use, _BATCH))
        logits = head(tail(pool.features[index].to(device).float()))
        loss = _loss(logits, pool.labels[index].to(device), exclusive)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        keep = min(_AVERAGE, (1 + iteration) / (10 + iteration))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), both.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        checkpoints.keep(name, parts, rng.bit_generator.state, iteration + 1, budget.iterations)
        progress((iteration + 1) / budget.iterations)
    learnt_tail, learnt_head = average[0], average[1]
    assert isinstance(learnt_tail, Tail)
    assert isinstance(learnt_head, nn.Linear)
    return learnt_tail, learnt_head


def _loss(logits: Tensor, labels: Tensor, exclusive: bool) -> Tensor:
    if exclusive:
        return fn.cross_entropy(logits, labels.argmax(1), label_smoothing=_SMOOTH)
    return fn.binary_cross_entropy_with_logits(logits, labels * (1 - _SMOOTH) + _SMOOTH / 2)


@torch.inference_mode()
def _vectors(tail: Tail, features: Tensor, device: torch.device) -> Tensor:
    parts = [tail(features[start : start + _BATCH].to(device).float()) for start in range(0, len(features), _BATCH)]
    return torch.cat(parts).clone()


@torch.inference_mode()
def _say(tail: Tail, head: nn.Linear, features: Tensor, device: torch.device) -> Tensor:
    logits: Tensor = head(_vectors(tail, features, device))
    return logits.cpu()


def _calibrate(logits: Tensor, labels: Tensor, exclusive: bool) -> tuple[float, float]:
    """The least loss per image that some temperature reaches, and that temperature; without images 0 and 1."""
    if not len(logits):
        return 0.0, 1.0

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        if exclusive:
            return float(fn.cross_entropy(scaled, labels.argmax(1)))
        return float(fn.binary_cross_entropy_with_logits(scaled, labels, reduction="none").sum(1).mean())

    losses = [loss(float(temperature)) for temperature in _TEMPERATURES]
    best = int(np.argmin(losses))
    return losses[best], float(_TEMPERATURES[best])
