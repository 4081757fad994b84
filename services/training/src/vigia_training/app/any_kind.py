"""Trains what the labels of a manifest ask for."""

from __future__ import annotations

from vigia_training.app.images import Read
from vigia_training.app.labels import train_labels
from vigia_training.app.train import Options, Progress, Result, Task, train
from vigia_training.domain.annotations import wants_labels


def train_any(task: Task, read: Read, options: Options, progress: Progress) -> Result:
    """A model that judges images normal or anomalous, or one that gives labels. BadData as either says."""
    work = train_labels if wants_labels(task.training_manifest) else train
    return work(task, read, options, progress)
