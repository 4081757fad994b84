"""Training jobs and what becomes of them. Key: the model version's ARN."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vigia_contracts.base import ObjectRef, Payload, UtcTime

TRAINING_REQUESTED = "vigia.training.requested.v1"
TRAINING_STARTED = "vigia.training.started.v1"
TRAINING_PROGRESSED = "vigia.training.progressed.v1"
TRAINING_COMPLETED = "vigia.training.completed.v1"
TRAINING_FAILED = "vigia.training.failed.v1"


class OutputLocation(Payload):
    bucket: str
    prefix: str = ""


class ManifestChecks(Payload):
    """What training found in the lines of its manifests (Custom Labels): files in the customer's bucket."""

    summary: ObjectRef
    training: ObjectRef = Field(description="the manifest, with the errors and warnings of each line")
    testing: ObjectRef


class TrainingRequest(Payload):
    """Train one model version. The manifests are immutable snapshots of the datasets, JSON Lines."""

    service: Literal["lookoutvision", "rekognition"] = Field(
        default="lookoutvision",
        description="whose rules hold for the manifests, and whose files are written; rekognition is Custom Labels",
    )
    model_arn: str
    account_id: str
    region: str
    project: str
    model_version: str = Field(description="its number; in Custom Labels its name")
    training_manifest: ObjectRef
    test_manifest: ObjectRef | None = Field(default=None, description="None: training splits by itself")
    output: OutputLocation = Field(description="where the customer wants the evaluation files")
    artifact_prefix: OutputLocation = Field(description="folder for the artifact, ours, content-addressed below")
    kms_key_id: str | None = Field(default=None, description="key that seals the artifact; None: the account's own")
    seed: int = 0
    requested_at: UtcTime


class TrainingStarted(Payload):
    model_arn: str
    attempt: int = Field(ge=1)
    worker: str
    started_at: UtcTime


class TrainingProgress(Payload):
    model_arn: str
    attempt: int = Field(ge=1)
    stage: str = Field(description="reading, features, training, evaluating, exporting, uploading")
    fraction: float = Field(ge=0, le=1, description="of the whole work, in time; it never falls within an attempt")
    remaining_seconds: float | None = Field(default=None, ge=0, description="by the speed measured so far; may rise")
    message: str = ""
    at: UtcTime


class ClassMetrics(Payload):
    """Pixel metrics of one anomaly label over the test images. ``iou`` is the mean over images (AIIOU)."""

    name: str
    precision: float
    recall: float
    f1: float
    iou: float


class LabelMetrics(Payload):
    """One label of a model that gives labels, at its threshold: of images, or of boxes that overlap by half."""

    name: str
    threshold: float = Field(ge=0, le=1, description="confidence with the best F1 on the test images")
    precision: float
    recall: float
    f1: float
    average_precision: float
    test_images: int


class ModelMetrics(Payload):
    """Image metrics on the test part; positive class is anomaly.

    Of a model that gives labels: means over ``labels``, each weighing the same; ``average_precision`` of boxes is
    mAP50; ``roc_auc`` is 0 where boxes are found, for which there is none.
    """

    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    classes: list[ClassMetrics] = Field(default_factory=list)
    labels: list[LabelMetrics] = Field(default_factory=list, description="of models that give labels")
    training_images: int
    test_images: int
    warnings: list[str] = Field(default_factory=list, description="what makes the numbers less certain than they look")


class TrainingCompleted(Payload):
    model_arn: str
    attempt: int = Field(ge=1)
    artifact: ObjectRef = Field(description="the artifact's manifest.json; its folder holds the rest")
    manifest: dict[str, object]
    metrics: ModelMetrics
    evaluation_manifest: ObjectRef
    evaluation_result: ObjectRef
    training_snapshot: ObjectRef | None = Field(default=None, description="Custom Labels: the images learnt from")
    checks: ManifestChecks | None = Field(default=None, description="Custom Labels")
    seconds: float = Field(ge=0)
    completed_at: UtcTime


class TrainingFailed(Payload):
    """``code``: bad_data (the customer's images or masks), failed (gave up after retries), cancelled."""

    model_arn: str
    attempt: int = Field(ge=1)
    code: str
    message: str = Field(max_length=2000)
    checks: ManifestChecks | None = Field(
        default=None, description="Custom Labels, where the manifests could be read: they say what is wrong"
    )
    failed_at: UtcTime
