"""Settings to what a training takes."""

from __future__ import annotations

from vigia_training.app.train import Options
from vigia_training.settings import LearningSettings


def options_of(learning: LearningSettings) -> Options:
    """How to train on this machine."""
    return Options(
        threads=learning.cores,
        budget=learning.budget,
        backbone_name=learning.backbone,
        backbone_file=learning.backbone_path,
        precision=learning.precision,
        false_rejects=learning.false_rejects,
        detection=learning.detection,
        classification=learning.classification,
    )
