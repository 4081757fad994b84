"""One training in several processes, one for each GPU, started by ``torchrun`` or by the worker.

Every process has the whole network and learns from images of its own; gradients are averaged. They are averaged here
and not by a wrapper around the network: a step in which no image shows a box has no gradients for boxes, for which a
wrapper would wait for ever.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
from torch import distributed, nn

#: A process that waits longer for the others ends: one of them is gone.
_PATIENCE = timedelta(minutes=10)


class Followed(Exception):  # noqa: N818 - no error: this process has done its part
    """Raised in a process that only helped another to learn."""


def rank() -> int:
    """This process's number; 0 leads, tells and stores."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Its number on this machine, which is its GPU's."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def processes() -> int:
    """How many there are in all, 1 where nobody said."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join(device: torch.device) -> None:
    """Meets the other processes, if there are any; once in a process."""
    if processes() > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)


def share(whole: int) -> int:
    """This process's part of ``whole``, at least 1."""
    return max(1, whole // processes() + (rank() < whole % processes()))


def agreed(steps: int) -> int:
    """``steps``, if every process begins after as many; RuntimeError if one found another checkpoint."""
    if processes() > 1:
        found: list[int | None] = [None] * processes()
        distributed.all_gather_object(found, steps)
        if len(set(found)) > 1:
            raise RuntimeError(f"processes would go on from different steps: {found}")
    return steps


def part() -> None:
    """Ends the common work. Followed in all processes but the first, which goes on alone."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
    if rank() > 0:
        raise Followed


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Every process gets the mean of all processes' gradients; one without some counts as 0."""
    if processes() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
    distributed.all_reduce(flat)
    flat /= processes()
    parts = flat.split(
        [  # type: ignore[no-untyped-call]
            parameter.numel() for parameter in parameters
        ]
    )
    for parameter, part in zip(parameters, parts, strict=True):
        assert parameter.grad is not None
        parameter.grad.copy_(part.view_as(parameter))
