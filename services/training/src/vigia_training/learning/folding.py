"""Batch norms that never learn, made part of the convolutions before them."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def folded(module: M) -> M:
    """A copy that computes the same, as ``module`` does in evaluation, with a third less work and memory."""
    result = copy.deepcopy(module)
    _fold(result)
    return result


def _fold(module: nn.Module) -> None:
    children = list(module.named_children())
    for (_, conv), (name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
            conv.weight = nn.Parameter(conv.weight.detach() * gain[:, None, None, None])
            conv.bias = nn.Parameter((norm.bias - norm.running_mean * gain).detach())
            # timm's norms bring the activation that follows them.
            setattr(module, name, getattr(norm, "act", nn.Identity()))
    for _, child in module.named_children():
        _fold(child)
