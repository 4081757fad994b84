"""Settings of training."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from vigia_contracts.ground_truth import LineLimits
from vigia_runtime.settings import Group, KafkaSettings, ObjectSettings, ServiceSettings, service_config
from vigia_training.adapters.machine import cores
from vigia_training.domain.given import ManifestLimits
from vigia_training.learning.budget import DEFAULT_BACKBONE, FALSE_REJECTS, Budget, DeviceName, Precision
from vigia_training.learning.label_budget import ClassificationBudget, DetectionBudget

_LIMITS = ManifestLimits()


class LearningSettings(Group):
    """How much work a training is, and with what. The budget is in counts: seconds would depend on the load."""

    threads: int = Field(default=0, ge=0, description="cores a training uses; 0 is all that this process may use")
    images: int = Field(default=Budget.images, ge=16, description="varied images that features are computed of")
    iterations: int = Field(default=Budget.iterations, ge=10, description="optimiser steps of the head")
    fold_iterations: int = Field(default=Budget.fold_iterations, ge=10, description="the same while cross-fitting")
    folds: int = Field(default=Budget.folds, ge=2, le=10, description="parts held back in turn, for the threshold")
    detection_iterations: int = Field(
        default=DetectionBudget.iterations, ge=10, description="optimiser steps of a detector, of up to 60 images"
    )
    classification_images: int = Field(
        default=ClassificationBudget.images, ge=16, description="varied images that a classifier's features are of"
    )
    classification_iterations: int = Field(
        default=ClassificationBudget.iterations, ge=10, description="optimiser steps of a classifier"
    )
    examples: int = Field(default=Budget.examples, ge=100, description="images learnt from at most, at random if more")
    false_rejects: float = Field(
        default=FALSE_REJECTS, ge=0.0001, le=0.2, description="share of normal images rejected by a model of them alone"
    )
    checkpoint_seconds: float = Field(
        default=30.0, gt=0, description="how often is kept what is learnt so far; what a death costs at most"
    )
    precision: Precision = Field(
        default="auto", description="of the served network: float32, int8, or int8 where that costs next to nothing"
    )
    device: DeviceName = Field(default="auto", description="cpu, cuda, or a GPU where there is one")
    processes: int = Field(default=1, ge=1, le=64, description="of a detector's training, one for each GPU")
    hours: float = Field(default=24.0, gt=0, description="a training that is estimated to take longer is refused")
    backbone: str = Field(default=DEFAULT_BACKBONE, description="timm name of the frozen network")
    backbone_path: Path | None = Field(
        default=None, description="its weights, .safetensors or .pth; default: packaged ones"
    )

    @property
    def cores(self) -> int:
        """Cores a training uses."""
        return self.threads or cores()

    @property
    def budget(self) -> Budget:
        """The budget as the trainer takes it."""
        return Budget(self.images, self.iterations, self.folds, self.fold_iterations, self.examples)

    @property
    def detection(self) -> DetectionBudget:
        """The budget of a detector as its trainer takes it."""
        return DetectionBudget(self.detection_iterations)

    @property
    def classification(self) -> ClassificationBudget:
        """The budget of a classifier as its trainer takes it."""
        return ClassificationBudget(self.classification_images, self.classification_iterations)


class ManifestSettings(Group):
    """What a Custom Labels training may be given."""

    manifest_bytes: int = Field(default=_LIMITS.manifest_bytes, ge=1, description="of one manifest")
    lines: int = Field(default=_LIMITS.lines, ge=1, description="of one manifest: images of a dataset")
    labels: int = Field(default=_LIMITS.labels, ge=2, description="different ones in one manifest")
    boxes: int = Field(default=_LIMITS.line.boxes, ge=1, description="on one image")
    image_labels: int = Field(default=_LIMITS.line.labels, ge=1, description="different ones of one image as a whole")
    tests_of_label: int = Field(default=_LIMITS.tests_of_label, ge=1, description="images of one label that test")
    min_side: int = Field(default=_LIMITS.line.least_side, ge=1, le=4096, description="pixels of an image's side")
    max_side: int = Field(default=_LIMITS.line.most_side, ge=64, le=4096, description="the same, at most")
    image_bytes: int = Field(default=_LIMITS.image_bytes, ge=1, description="of one image")
    aspect: float = Field(default=_LIMITS.aspect, ge=1, description="an image's longer side in shorter ones")

    @property
    def limits(self) -> ManifestLimits:
        """The limits as they are checked."""
        return ManifestLimits(
            manifest_bytes=self.manifest_bytes,
            lines=self.lines,
            labels=self.labels,
            image_bytes=self.image_bytes,
            aspect=self.aspect,
            tests_of_label=self.tests_of_label,
            line=LineLimits(
                boxes=self.boxes, labels=self.image_labels, least_side=self.min_side, most_side=self.max_side
            ),
        )


class Settings(ServiceSettings):
    """``VIGIA_TRAINING_…``"""

    model_config = service_config("training")
    kafka: KafkaSettings
    objects: ObjectSettings
    learning: LearningSettings = LearningSettings()
    manifests: ManifestSettings = ManifestSettings()
    max_attempts: int = Field(default=3, ge=1, description="how often a job that ends its process is begun")


class LocalSettings(BaseSettings):
    """The same of a training on local files, which needs nothing else."""

    model_config = service_config("training")
    learning: LearningSettings = LearningSettings()
