"""Trains one version of a Custom Labels model: what can be used of its manifests, with the files of its guide."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import torch
from PIL import Image

from vigia_training.app.digests import Digesting
from vigia_training.app.images import Read
from vigia_training.app.labels import learn_labels
from vigia_training.app.train import Options, Progress, Result, Task
from vigia_training.app.validation import CheckFiles, Datasets, validate
from vigia_training.domain.given import ManifestLimits
from vigia_training.domain.label_evaluation import training_snapshot
from vigia_vision import decode
from vigia_vision.decode import DEFAULT_LIMITS, Limits

#: The first that makes an image small enough; with the last one noise is, too.
_QUALITIES = (95, 85, 70, 50, 25)


def train_custom_labels(
    task: Task,
    datasets: Datasets,
    read: Read,
    options: Options,
    limits: ManifestLimits,
    tell: Progress,
    keep: Callable[[CheckFiles], None],
) -> Result:
    """Runs the whole training. BadData names what the customer has to put right; all else is a bug or the machine.

    ``keep`` is called once the manifests are checked, whatever comes of it.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(task.seed)
    read = Digesting(read)
    data = validate(datasets, read, limits, task.seed, lambda share: tell("reading", share), keep)
    result = learn_labels(task, data, lighter(read, limits), read.digests, options, tell)
    return replace(
        result, training_snapshot=training_snapshot(data.learn, data.labels, data.kind, data.sizes, result.at)
    )


def lighter(read: Read, limits: ManifestLimits) -> Read:
    """As ``read``; what has more bytes than is decoded elsewhere comes as a JPEG of the same pixels, nearly."""
    allowed = Limits(limits.image_bytes, DEFAULT_LIMITS.max_pixels, limits.line.most_side)

    def lightened(uri: str) -> bytes:
        data = read(uri)
        if len(data) <= DEFAULT_LIMITS.max_bytes:
            return data
        image = Image.fromarray(decode(data, allowed))
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            if file.tell() <= DEFAULT_LIMITS.max_bytes:
                break
        return file.getvalue()

    return lightened
