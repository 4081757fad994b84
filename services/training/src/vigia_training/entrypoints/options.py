"""Settings to what a training takes."""

from __future__ import annotations

from vigia_training.app.train import Options
from vigia_training.learning import parallel
from vigia_training.learning.checkpoints import Checkpoints, Store
from vigia_training.settings import LearningSettings


def options_of(learning: LearningSettings, store: Store) -> Options:
    """How to train on this machine; what is learnt so far is kept in ``store``."""
    return Options(
        threads=max(1, learning.cores // parallel.processes()),
        device=learning.device,
        checkpoints=Checkpoints(store, every=learning.checkpoint_seconds),
        budget=learning.budget,
        backbone_name=learning.backbone,
        backbone_file=learning.backbone_path,
        precision=learning.precision,
        false_rejects=learning.false_rejects,
        detection=learning.detection,
        classification=learning.classification,
    )
