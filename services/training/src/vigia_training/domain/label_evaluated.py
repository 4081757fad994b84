"""What the report of a version that gives labels is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia_contracts.training import ModelMetrics
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.label_outcomes import Examined
from vigia_vision.manifest import LETTERBOX, InputContract, LabelKind
from vigia_vision.prepare import fitted


@dataclass(frozen=True, slots=True)
class LabelsEvaluated:
    """``parts``: for each image's address a number, the same of images that show one part. ``sizes``: width and height
    of every image. ``digests``: of the images' bytes. ``notes``: what training itself has to say of the data.
    """

    arn: str
    project: str
    version: str
    at: datetime
    kind: LabelKind
    results: Sequence[Examined]
    learn: Sequence[Annotation]
    parts: Mapping[str, int]
    metrics: ModelMetrics
    contract: InputContract
    sizes: Mapping[str, tuple[int, int]]
    digests: Mapping[str, str]
    provenance: Mapping[str, str]
    notes: Sequence[str] = ()

    @property
    def thresholds(self) -> dict[str, float]:
        """Of each label."""
        return {label.name: label.threshold for label in self.metrics.labels}

    def taught(self, one: Annotation) -> tuple[str, ...]:
        """Labels that a training image teaches: of an image of a logo alone, which nobody boxes, its own."""
        return one.labels if one.boxes is None else one.names(self.kind)

    def scale(self, width: int, height: int) -> tuple[float, float]:
        """Pixels of the tensor for one of an image of that size, across and down."""
        wide, high = self.contract.width, self.contract.height
        if self.contract.preparation == LETTERBOX:
            wide, high = fitted(width, height, wide, high)
        return wide / width, high / height
