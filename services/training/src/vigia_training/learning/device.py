"""Where it is learnt: on the processor, or on a GPU in mixed precision."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vigia_training.domain.errors import BadData
from vigia_training.learning import parallel
from vigia_training.learning.budget import DeviceName


def device_of(wanted: DeviceName) -> torch.device:
    """``auto`` is a GPU where there is one; of several, each process of a training has its own. BadData without one."""
    if wanted == "cpu" or not torch.cuda.is_available():
        if wanted == "cuda":
            raise BadData("VIGIA_TRAINING_LEARNING__DEVICE is cuda, and this process sees no GPU that torch can use")
        return torch.device("cpu")
    return torch.device("cuda", parallel.local_rank())


def autocast(device: torch.device) -> torch.autocast:
    """Products in half as many bits on a GPU: bfloat16, float16 where that is not known.

    Not on processors, not even on those that multiply matrices of bfloat16: a detector's step became a fifth shorter on
    an idle machine, and three times as long where other work took a core and its threads waited for each other.
    """
    return torch.autocast(device.type, _half(device), enabled=device.type == "cuda")


def scaler(device: torch.device) -> torch.amp.GradScaler:
    """Keeps gradients above what float16 can hold; does nothing where that is not used."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda" and _half(device) is torch.float16)


def moved(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """``array`` on ``device``; to a GPU by pinned memory, while this thread goes on."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _half(device: torch.device) -> torch.dtype:
    known = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if known else torch.float16
