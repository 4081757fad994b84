"""One training in two processes, started as for two GPUs, on the processor."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from vigia_training.learning import parallel
from vigia_training.learning.backbone import load_backbone
from vigia_training.learning.detection.crops import Annotated, Variation
from vigia_training.learning.detection.trainer import fit
from vigia_training.learning.label_budget import DetectionBudget


def test_two_processes_learn_one_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*command, __file__, tmp_path], check=True, timeout=300, capture_output=True)
    first, second = (json.loads((tmp_path / str(rank)).read_text()) for rank in (0, 1))
    # Averaged gradients are the mean of both, a missing one counting as 0.
    assert first["gradients"] == second["gradients"] == [[1.5, 1.5], [2.0]]
    assert (first["share"], second["share"]) == (2, 1)
    # Both saw other crops and end with the same weights, and the second has nothing more to do.
    assert first["seen"] != second["seen"]
    assert first["weights"] == second["weights"]
    assert (first["followed"], second["followed"]) == (False, True)


def test_one_process_needs_nobody() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parallel.average_gradients([parameter])
    assert parameter.grad is None
    assert parallel.share(8) == 8
    assert parallel.agreed(5) == 5
    parallel.part()


def _process(folder: Path) -> None:
    device = torch.device("cpu")
    parallel.join(device)
    rank = parallel.rank()
    both, one = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    both.grad = torch.full((2,), 1.0 + rank)
    one.grad = torch.full((1,), 4.0) if rank == 0 else None
    parallel.average_gradients([both, one])
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(90, 120, (4, 96, 128, 3), np.uint8)
    pixels[:, 20:44, 30:54] = 220
    box, none = np.array([[30, 20, 54, 44]], np.float32), np.zeros((0, 4), np.float32)
    images = [Annotated(image, box, np.zeros(1, np.int64), none) for image in pixels]
    detector = fit(load_backbone(), images, 1, DetectionBudget(4, 3, 64), Variation(), 0, device, lambda _: None)
    # Batch statistics are each process's own: they tell that it saw other crops.
    seen = [float(value.sum()) for name, value in detector.named_buffers() if name.endswith("running_mean")]
    digest = hashlib.sha256()
    for name, value in sorted(detector.named_parameters()):
        digest.update(name.encode() + value.detach().numpy().tobytes())
    followed = False
    try:
        parallel.part()
    except parallel.Followed:
        followed = True
    told = {
        "gradients": [both.grad.tolist(), one.grad.tolist() if one.grad is not None else None],
        "share": parallel.share(3),
        "seen": seen,
        "weights": digest.hexdigest(),
        "followed": followed,
    }
    (folder / str(rank)).write_text(json.dumps(told))


if __name__ == "__main__":
    _process(Path(sys.argv[1]))
