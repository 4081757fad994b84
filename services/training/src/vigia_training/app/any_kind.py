"""Trains what the labels of a manifest ask for."""

from __future__ import annotations

from vigia_training.app.images import Read
from vigia_training.app.labels import train_labels
from vigia_training.app.train import Options, Progress, Result, Task, train
from vigia_training.domain.annotations import wants_labels
from vigia_training.domain.text import whole

#: Models of this service judge images, whatever else a dataset's labels are called.
_JUDGING = ":lookoutvision:"


def train_any(task: Task, read: Read, options: Options, progress: Progress) -> Result:
    """A model that judges images normal or anomalous, or one that gives labels. BadData as either says."""
    return (train_labels if wants(task) else train)(task, read, options, progress)


def wants(task: Task) -> bool:
    """Whether it is a model that gives labels."""
    return _JUDGING not in task.arn and wants_labels(whole(task.training_manifest))
