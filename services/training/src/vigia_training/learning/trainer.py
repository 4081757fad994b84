"""From prepared images to a calibrated network, ready for export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vigia_training.domain.split import folds
from vigia_training.learning import threshold
from vigia_training.learning.augment import Variation
from vigia_training.learning.backbone import Backbone
from vigia_training.learning.budget import FALSE_REJECTS, Budget
from vigia_training.learning.features import Example, Pool, build_pool
from vigia_training.learning.fit import Held, fit_head, hold_out
from vigia_training.learning.gaussian import GaussianHead

#: Fewer anomalous images than this teach nothing that generalises: the model then learns what is normal.
MIN_ANOMALOUS = 6
#: Folds of the Gaussian's cross-fitting: it costs next to nothing.
_GAUSSIAN_FOLDS = 5

Progress = Callable[[str, float], None]


class Network(nn.Module):
    """The graph that is exported: uint8 ``[N, H, W, 3]`` to ``score`` ``[N, 1]``, ``maps`` ``[N, L, H/4, W/4]``."""

    def __init__(self, backbone: Backbone, head: nn.Module, calibration: threshold.Calibration) -> None:
        super().__init__()
        self.backbone, self.head, self.calibration = backbone, head, calibration

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.judge(self.backbone(image))

    def judge(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs, from the backbone's ``features``."""
        logit, maps = self.head(features)
        z = (logit - self.calibration.offset) * (1 / self.calibration.scale)
        score = (0.5 + 0.5 * z / (1 + z.abs()))[:, None]
        return (score,) if maps is None else (score, torch.sigmoid(maps))


@dataclass(frozen=True, slots=True)
class Fold:
    """A head that learnt from some examples only, and those that it never saw."""

    head: nn.Module
    held: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated network (its threshold is the score 0.5) and a threshold for each label's map.

    ``folds`` are of its cross-fitting: what a change does to images that nobody learnt from can be asked of them.
    ``false_rejects``: the share of normal images that will be taken for anomalous, by images that were held back.
    """

    network: Network
    pixel_thresholds: tuple[float, ...]
    folds: tuple[Fold, ...]
    false_rejects: threshold.Rate


def fit(
    backbone: Backbone,
    examples: Sequence[Example],
    labels: int,
    budget: Budget,
    seed: int,
    device: torch.device,
    progress: Progress,
    false_rejects: float = FALSE_REJECTS,
) -> Fitted:
    """Learns from ``examples``: two classes where there are enough anomalous images, else from the normal ones alone.

    Then ``false_rejects`` is the share of normal images that may be taken for anomalous.

    Progress is told as (``features`` or ``training``, share done). The same examples, seed and device give the same
    network.
    """
    torch.manual_seed(seed)
    backbone = backbone.to(device)
    supervised = sum(e.anomalous for e in examples) >= MIN_ANOMALOUS
    used = list(examples) if supervised else [e for e in examples if not e.anomalous]
    size = budget.pool_size(len(used)) if supervised else len(used)
    pool = build_pool(backbone, used, labels, size, seed, Variation(), lambda f: progress("features", f))
    if not supervised:
        gaussian, calibration, kept, rate = _fit_gaussian(pool, used, seed, false_rejects)
        return Fitted(Network(backbone.cpu(), gaussian, calibration).eval(), (), kept, rate)
    held, truth, kept = _cross_fit(pool, used, labels, budget, seed, device, lambda f: progress("training", 0.5 * f))
    everything = np.arange(len(pool.source))
    head = fit_head(
        pool, everything, labels, budget.iterations, seed, device, lambda f: progress("training", 0.5 + 0.5 * f)
    )
    pixels = tuple(threshold.best_pixel_threshold(*pair) for pair in truth)
    anomalous = pool.anomalous.numpy()[held.index] > 0
    calibration = threshold.two_class(held.logits[~anomalous], held.logits[anomalous])
    normal = held.index[~anomalous]
    wrong = held.logits[~anomalous] >= calibration.offset
    rate = threshold.rate(wrong, _groups(used)[pool.source[normal]])
    return Fitted(Network(backbone.cpu(), head.cpu(), calibration).eval(), pixels, kept, rate)


def _folds(
    pool: Pool, examples: Sequence[Example], count: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pool indices to learn from and to hold back; images of one part, and all variations of one, stay on one side."""
    groups = _groups(examples)
    if len(np.unique(groups)) == 1:
        groups = np.arange(len(examples))
    of = folds(np.array([e.anomalous for e in examples]), groups, count, seed)[pool.source]
    parts = [(np.flatnonzero(of != k), np.flatnonzero(of == k)) for k in range(count)]
    # With fewer groups than folds some are empty.
    return [(learn, hold) for learn, hold in parts if len(learn) and len(hold)]


def _groups(examples: Sequence[Example]) -> NDArray[np.int64]:
    """A number for each example, the same for those of one part."""
    given = np.array([e.group for e in examples], np.int64)
    return np.where(given >= 0, given, given.max(initial=0) + 1 + np.arange(len(given)))


def _cross_fit(
    pool: Pool,
    examples: Sequence[Example],
    labels: int,
    budget: Budget,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None],
) -> tuple[Held, list[tuple[NDArray[np.float32], NDArray[np.float32]]], tuple[Fold, ...]]:
    """Logits of every pool image by a head that saw no variation of it; per label, predicted and true shares."""
    parts: list[Held] = []
    kept: list[Fold] = []
    predicted: list[NDArray[np.float32]] = []
    true: list[NDArray[np.float32]] = []
    for k, (learn, hold) in enumerate(_folds(pool, examples, budget.folds, seed)):
        head = fit_head(
            pool,
            learn,
            labels,
            budget.fold_iterations,
            seed + 1 + k,
            device,
            lambda f, k=k: progress((k + f) / budget.folds),  # type: ignore[misc]
        )
        held = hold_out(head, pool, hold, device)
        parts.append(held)
        kept.append(_fold(head.cpu(), pool, hold, examples))
        if held.maps is not None and pool.maps is not None:
            plain = hold[pool.plain[hold]]
            known = pool.mapped.numpy()[plain]
            predicted.append(held.maps[known])
            true.append(pool.maps[torch.from_numpy(plain)].numpy()[known])
    held = Held(np.concatenate([p.index for p in parts]), np.concatenate([p.logits for p in parts]), None)
    if not predicted:
        return held, [], tuple(kept)
    all_predicted, all_true = np.concatenate(predicted), np.concatenate(true)
    return held, [(all_predicted[:, i], all_true[:, i]) for i in range(labels)], tuple(kept)


def _fold(head: nn.Module, pool: Pool, hold: NDArray[np.int64], examples: Sequence[Example]) -> Fold:
    return Fold(head.eval(), tuple(examples[i] for i in np.unique(pool.source[hold])))


def _fit_gaussian(
    pool: Pool, examples: Sequence[Example], seed: int, false_rejects: float
) -> tuple[GaussianHead, threshold.Calibration, tuple[Fold, ...], threshold.Rate]:
    deepest = pool.features[-1].permute(0, 3, 1, 2).float()
    parts = _folds(pool, examples, _GAUSSIAN_FOLDS, seed)
    heads = [_gaussian(deepest[torch.from_numpy(learn)]) for learn, _ in parts]
    distances = torch.zeros(len(deepest), *deepest.shape[2:])
    for head, (_, hold) in zip(heads, parts, strict=True):
        distances[torch.from_numpy(hold)] = head.distances(deepest[torch.from_numpy(hold)])
    scores = np.zeros(len(deepest))
    for head, (learn, hold) in zip(heads, parts, strict=True):
        head.expect(distances[torch.from_numpy(learn)])
        scores[hold] = head.logit(distances[torch.from_numpy(hold)]).double().numpy()
    kept = tuple(_fold(head, pool, hold, examples) for head, (_, hold) in zip(heads, parts, strict=True))
    final = _gaussian(deepest)
    final.expect(distances)
    calibration, rate = threshold.one_class(scores, _groups(examples), false_rejects)
    return final, calibration, kept, rate


def _gaussian(features: Tensor) -> GaussianHead:
    head = GaussianHead(*(int(size) for size in features.shape[1:]))
    head.fit(features)
    return head.eval()
