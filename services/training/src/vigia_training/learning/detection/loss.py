"""Which cells answer for which box, and how wrong they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from vigia_training.learning.detection.boxes import generalized_iou, pairwise_iou

#: Cells that answer for one box.
_CELLS = 10
#: How much a cell's class score and its box's overlap count when cells are chosen.
_SCORE_POWER = 0.5
_OVERLAP_POWER = 4.0
#: Empty cells weigh by their score to this power, so that many easy ones do not drown the rest.
_FOCUS = 2.0
_EMPTY_WEIGHT = 0.75
_BOX_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Truth:
    """Boxes ``[n, 4]`` in pixels with their classes ``[n]``, and regions ``[m, 4]`` where nothing is taught."""

    boxes: Tensor
    classes: Tensor
    ignored: Tensor


@dataclass(frozen=True, slots=True)
class _Targets:
    """Per cell: the score wanted of each class ``[A, C]``, the box's index, whether it answers for one, and weight."""

    scores: Tensor
    box: Tensor
    answers: Tensor
    weight: Tensor


def detection_loss(logits: Tensor, boxes: Tensor, at: Tensor, stride: Tensor, truths: list[Truth]) -> Tensor:
    """``logits`` ``[N, A, C]`` and ``boxes`` ``[N, A, 4]`` against one truth per image; cells lie ``at`` ``[A, 2]``.

    Cells whose class and box agree best with a box learn it (task-aligned assignment); the score they learn is the
    overlap they reach, so that scores rank boxes by how well they fit.
    """
    entropy, overlap, total = logits.new_zeros(()), logits.new_zeros(()), logits.new_zeros(())
    for image, truth in enumerate(truths):
        target = _assign(logits[image].detach(), boxes[image].detach(), at, stride, truth)
        score = torch.sigmoid(logits[image])
        weight = torch.where(target.scores > 0, target.scores, _EMPTY_WEIGHT * score.detach().pow(_FOCUS))
        losses = fn.binary_cross_entropy_with_logits(logits[image], target.scores, reduction="none")
        entropy = entropy + (losses * weight * target.weight[:, None]).sum()
        if target.answers.any():
            wanted = target.scores[target.answers].sum(1)
            fit = generalized_iou(boxes[image][target.answers], truth.boxes[target.box[target.answers]])
            overlap = overlap + ((1 - fit) * wanted).sum()
            total = total + wanted.sum()
    return (entropy + _BOX_WEIGHT * overlap) / total.clamp(min=1)


@torch.no_grad()
def _assign(logits: Tensor, boxes: Tensor, at: Tensor, stride: Tensor, truth: Truth) -> _Targets:
    cells = len(logits)
    scores = torch.zeros_like(logits)
    weight = torch.ones(cells, device=logits.device)
    if len(truth.ignored):
        weight = torch.where(_inside(at, truth.ignored).any(0), 0.0, weight)
    none = torch.zeros(cells, dtype=torch.bool, device=logits.device)
    if not len(truth.boxes):
        return _Targets(scores, torch.zeros_like(none, dtype=torch.long), none, weight)
    overlaps = pairwise_iou(truth.boxes, boxes)  # [n, A]
    fit = torch.sigmoid(logits)[:, truth.classes].T.pow(_SCORE_POWER) * overlaps.pow(_OVERLAP_POWER)
    # A box smaller than a cell still has the cell around its middle.
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    near = ((middle[:, None] - at[None]).abs() < 0.75 * stride[None, :, None]).all(-1)
    allowed = _inside(at, truth.boxes) | near
    ranked = torch.where(allowed, fit + 1e-9, torch.zeros_like(fit))
    best = ranked.topk(min(_CELLS, cells), dim=1)
    chosen = torch.zeros_like(allowed).scatter_(1, best.indices, True) & allowed
    # A cell in several boxes answers for the one that it fits best.
    contested = torch.where(chosen, overlaps + 1e-9, torch.zeros_like(overlaps))
    value, box = contested.max(0)
    answers = value > 0
    held = chosen & (torch.arange(len(truth.boxes), device=box.device)[:, None] == box[None])
    fit = torch.where(held, fit, torch.zeros_like(fit))
    reached = torch.where(held, overlaps, torch.zeros_like(overlaps)).amax(1)
    # The best cell of a box learns the overlap it reaches, the others in proportion to how well they fit.
    wanted = (fit / fit.amax(1, keepdim=True).clamp(min=1e-9) * reached[:, None]).amax(0)
    index = torch.arange(cells, device=box.device)[answers]
    scores[index, truth.classes[box[answers]]] = wanted[answers].clamp(min=1e-3)
    return _Targets(scores, box, answers, torch.where(answers, torch.ones_like(weight), weight))


def _inside(at: Tensor, boxes: Tensor) -> Tensor:
    """``[n, A]``: whether each position lies in each box."""
    x, y = at[None, :, 0], at[None, :, 1]
    left, top, right, bottom = (boxes[:, side, None] for side in range(4))
    return (x > left) & (x < right) & (y > top) & (y < bottom)
