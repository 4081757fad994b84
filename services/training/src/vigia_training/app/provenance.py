"""What an artifact was made of and with, as its manifest says it: the same facts for every kind of model.

Nothing of when or where: the same input on the same machine gives the same artifact.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import vigia_training
import vigia_vision
from vigia_training.domain.text import sha256_of

if TYPE_CHECKING:
    from vigia_training.app.train import Options, Task

#: Packages whose versions can change what is learnt, or how an image is decoded.
_PACKAGES = ("torch", "timm", "numpy", "scipy", "scikit-learn", "onnx", "onnxruntime", "pillow", "simplejpeg")


def provenance(task: Task, options: Options, digests: Mapping[str, str], device: torch.device) -> dict[str, str]:
    """What both kinds of training tell of themselves; ``digests``: SHA-256 of every image and mask by address."""
    return {
        "model_arn": task.arn,
        "seed": str(task.seed),
        "training_manifest_sha256": sha256_of(task.training_manifest),
        "test_manifest_sha256": "" if task.test_manifest is None else sha256_of(task.test_manifest),
        "data_sha256": _together(digests),
        "data_files": str(len(digests)),
        "backbone": options.backbone_name,
        "device": device.type,
        "threads": str(options.threads),
        "code": code(),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        # With what it was built for, which decides how it computes.
        "torch": torch.__version__,
    }


def fingerprint(options: Options, told: Mapping[str, str]) -> str:
    """What tells a training apart from all others: another one's checkpoints are of no use to it.

    Another number of threads is no other training: a worker that takes over on a smaller machine goes on.
    """
    budgets = [options.budget, options.detection, options.classification, options.false_rejects]
    facts = {name: fact for name, fact in told.items() if name != "threads"}
    return hashlib.sha256(json.dumps([facts, repr(budgets)], sort_keys=True).encode()).hexdigest()


@cache
def code() -> str:
    """The package's version and a digest of the sources that make a model."""
    digest = hashlib.sha256()
    for package in (vigia_training, vigia_vision):
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
    return f"{version('vigia-training')} sha256:{digest.hexdigest()}"


def _together(digests: Mapping[str, str]) -> str:
    """One digest of all: the address and the content of each, in the order of the addresses."""
    lines = (f"{digest}  {address}\n" for address, digest in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
