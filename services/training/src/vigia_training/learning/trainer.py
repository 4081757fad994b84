"""From prepared images to a calibrated network, ready for export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from vigia_training.domain.split import folds
from vigia_training.learning import threshold
from vigia_training.learning.augment import Variation
from vigia_training.learning.backbone import Backbone
from vigia_training.learning.budget import FALSE_REJECTS, Budget
from vigia_training.learning.checkpoints import NONE, Checkpoints
from vigia_training.learning.evidence import Evidence, weigh
from vigia_training.learning.features import Example, Pool, build_pool
from vigia_training.learning.fit import fit_head, hold_out
from vigia_training.learning.gaussian import GaussianHead
from vigia_training.learning.heads import SegmentationHead

#: Fewer anomalous images than this teach nothing that generalises: the model then learns what is normal.
MIN_ANOMALOUS = 6
#: Folds of the Gaussian's cross-fitting: it costs next to nothing.
_GAUSSIAN_FOLDS = 5
#: Of 255: less of a defect in a cell is the soft edge of its mask.
_TRACE = 5

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
    checkpoints: Checkpoints = NONE,
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
    labels, budget = (labels, budget) if supervised else (0, budget.of_one_class())
    size = budget.pool_size(len(used))
    pool = build_pool(backbone, used, labels, size, seed, Variation(), lambda f: progress("features", f))
    backbone.cpu()
    parts = _folds(pool, used, budget.folds, seed)
    # With normal images alone distance decides, and each more of few images makes it a better measure: hold back fewer.
    distances = _cross_gaussian(pool, parts if supervised else _folds(pool, used, _GAUSSIAN_FOLDS, seed))
    known = _cross_fit(pool, parts, labels, budget, seed, device, lambda f: progress("training", f), checkpoints)
    groups = _groups(used)
    anomalous = np.array([e.anomalous for e in used])
    scores = np.stack([distances.scores, known.scores], 1)
    weighing = weigh(scores, anomalous, groups)
    logits = weighing.logits(scores)
    if supervised:
        calibration = threshold.two_class(logits[~anomalous], logits[anomalous])
        rate = threshold.rate(logits[~anomalous] >= calibration.offset, groups[~anomalous])
        gaussians = [gaussian for gaussian, _ in distances.parts]
    else:
        calibration, rate = threshold.one_class(logits, groups, false_rejects)
        gaussians = [distances.final] * len(parts)
    kept = tuple(
        _fold(Evidence(gaussian, one, weighing), pool, hold, used)
        for gaussian, (one, hold) in zip(gaussians, known.parts, strict=True)
    )
    head = Evidence(distances.final, known.final, weighing)
    pixels = tuple(threshold.best_pixel_threshold(*pair) for pair in known.pixels)
    return Fitted(Network(backbone, head, calibration).eval(), pixels, kept, rate)


_Part = tuple[NDArray[np.int64], NDArray[np.int64]]


def _folds(pool: Pool, examples: Sequence[Example], count: int, seed: int) -> list[_Part]:
    """Pool indices to learn from, and to hold back: all that was made of images of one part stays on one side.

    What is held back are examples as they were given; nothing that they had a share in is learnt from.
    """
    groups = _groups(examples)
    if len(np.unique(groups)) == 1:
        groups = np.arange(len(examples))
    fold = folds(np.array([e.anomalous for e in examples]), groups, count, seed)
    source, donor = fold[pool.source], fold[pool.donor]
    parts = [
        (np.flatnonzero((source != k) & (donor != k)), np.flatnonzero((source == k) & pool.plain)) for k in range(count)
    ]
    # With fewer groups than folds some are empty.
    return [(learn, hold) for learn, hold in parts if len(learn) and len(hold)]


def _groups(examples: Sequence[Example]) -> NDArray[np.int64]:
    """A number for each example, the same for those of one part."""
    given = np.array([e.group for e in examples], np.int64)
    return np.where(given >= 0, given, given.max(initial=0) + 1 + np.arange(len(given)))


@dataclass(frozen=True, slots=True)
class _Known:
    """A head that learnt from everything, and of its cross-fitting the same as of :class:`_Distances`.

    ``pixels``: of each label, its predicted and true shares in the cells of held-back images.
    """

    final: SegmentationHead
    parts: list[tuple[SegmentationHead, NDArray[np.int64]]]
    scores: NDArray[np.float64]
    pixels: list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def _cross_fit(
    pool: Pool,
    parts: Sequence[_Part],
    labels: int,
    budget: Budget,
    seed: int,
    device: torch.device,
    progress: Callable[[float], None],
    checkpoints: Checkpoints,
) -> _Known:
    total = len(parts) * budget.fold_iterations + budget.iterations
    done = 0

    def learn(use: NDArray[np.int64], iterations: int, seed: int, name: str) -> SegmentationHead:
        def tell(share: float) -> None:
            progress((done + share * iterations) / total)

        return fit_head(pool, use, labels, iterations, seed, device, tell, checkpoints, name)

    scores = np.zeros(int(pool.plain.sum()))
    heads: list[tuple[SegmentationHead, NDArray[np.int64]]] = []
    predicted: list[NDArray[np.float32]] = []
    true: list[NDArray[np.float32]] = []
    for k, (use, hold) in enumerate(parts):
        head = learn(use, budget.fold_iterations, seed + 1 + k, f"fold {k}")
        done += budget.fold_iterations
        held = hold_out(head, pool, hold, device)
        scores[hold] = held.logits
        heads.append((head.cpu(), hold))
        if held.maps is not None and pool.maps is not None:
            known = pool.mapped.numpy()[hold]
            predicted.append(held.maps[known])
            true.append(pool.maps[torch.from_numpy(hold)].numpy()[known] / np.float32(255))
    final = learn(np.arange(len(pool.source)), budget.iterations, seed, "head").cpu()
    if not predicted:
        return _Known(final, heads, scores, [])
    said, is_there = np.concatenate(predicted), np.concatenate(true)
    return _Known(final, heads, scores, [(said[:, i], is_there[:, i]) for i in range(labels)])


@dataclass(frozen=True, slots=True)
class _Distances:
    """A Gaussian of everything; those of its cross-fitting, each with the images that it did not see; what they say.

    ``scores`` are of each image that is plain, by the one that had not seen it.
    """

    final: GaussianHead
    parts: list[tuple[GaussianHead, NDArray[np.int64]]]
    scores: NDArray[np.float64]


def _cross_gaussian(pool: Pool, parts: Sequence[_Part]) -> _Distances:
    plain = np.flatnonzero(pool.plain)
    # The plain images come first, so that they have the same numbers here as in the pool.
    deepest = pool.features[-1][torch.from_numpy(plain)].permute(0, 3, 1, 2).float()
    clean = _clean(pool, plain)
    normal = pool.anomalous.numpy()[plain] == 0
    heads = [_gaussian(deepest, clean, learn[pool.plain[learn]]) for learn, _ in parts]
    distances = torch.zeros(len(deepest), *deepest.shape[2:])
    for head, (_, hold) in zip(heads, parts, strict=True):
        distances[torch.from_numpy(hold)] = head.distances(deepest[torch.from_numpy(hold)])
    scores = np.zeros(len(deepest))
    for head, (learn, hold) in zip(heads, parts, strict=True):
        seen = learn[pool.plain[learn]]
        head.expect(distances[torch.from_numpy(seen[normal[seen]])])
        scores[hold] = head.logit(distances[torch.from_numpy(hold)]).double().numpy()
    final = _gaussian(deepest, clean, plain)
    final.expect(distances[torch.from_numpy(normal)])
    return _Distances(final, [(head, hold) for head, (_, hold) in zip(heads, parts, strict=True)], scores)


def _gaussian(deepest: Tensor, clean: Tensor, use: NDArray[np.int64]) -> GaussianHead:
    head = GaussianHead(*(int(size) for size in deepest.shape[1:]))
    index = torch.from_numpy(use)
    head.fit(deepest[index], clean[index])
    return head.eval()


def _clean(pool: Pool, index: NDArray[np.int64]) -> Tensor:
    """Cells of the deepest features that show nothing but what is normal, bool ``[N, h, w]``.

    Around a defect that is marked, an anomalous image shows one more normal surface.
    """
    height, width = pool.features[-1].shape[1:3]
    there = fn.adaptive_max_pool2d(pool.defects[torch.from_numpy(index)].float(), (height, width))
    near = fn.max_pool2d(there, 3, 1, 1)[:, 0]
    return (near < _TRACE) & pool.located[torch.from_numpy(index)][:, None, None]


def _fold(head: nn.Module, pool: Pool, hold: NDArray[np.int64], examples: Sequence[Example]) -> Fold:
    return Fold(head.eval(), tuple(examples[i] for i in pool.source[hold]))
