"""The registry's settings: prefix ``VIGIA_REGISTRY_``, groups separated by ``__``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from vigia_contracts.ground_truth import LIMITS, LineLimits
from vigia_registry.hosting.settings import HostingSettings, ScalingSettings, ServingSettings
from vigia_runtime.settings import (
    BucketSettings,
    Group,
    HttpSettings,
    KafkaSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TritonSettings,
    service_config,
)


class BootstrapSettings(Group):
    """The first account and its admin key; ``migrate`` creates them where they are missing."""

    account_id: str = Field(default="000000000000", pattern=r"^[0-9]{12}$", description="12 digits")
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,32}$", description="its region")
    access_key_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]{16,128}$", description="its key's id")
    secret_access_key: SecretStr | None = Field(default=None, description="its key's secret")


class IdentitySettings(Group):
    """What callers' policies decide about."""

    s3_policies: bool = Field(
        default=False, description="whether what is read and written for a caller needs S3 actions of its policies"
    )


class LimitSettings(Group):
    """How much an account may have. What exceeds a limit is refused, never cut off."""

    projects: int = Field(default=100, ge=1, description="projects per account and region")
    models: int = Field(default=100, ge=1, description="model versions per project")
    trainings: int = Field(default=20, ge=1, description="trainings at once per account and region")
    copies: int = Field(default=5, ge=1, description="copies of model versions at once into one project")
    project_policies: int = Field(default=5, ge=1, description="policies of one project")
    inference_units: int = Field(default=10, ge=1, description="inference units of one model version")
    tags: int = Field(default=50, ge=1, description="tags of one resource")
    packagings: int = Field(default=20, ge=1, description="packaging jobs at once per account and region")
    packaging_jobs: int = Field(default=1000, ge=1, description="packaging jobs kept per project")
    trials: int = Field(default=1000, ge=1, description="trial detections per project; they go only with the project")
    trial_images: int = Field(default=2000, ge=1, le=10_000, description="images of one trial detection")


class QuotaSettings(Group):
    """How much a dataset may hold and a model version must be trained on, and how long that may take.

    The defaults are what Lookout for Vision had. Images are those that are labelled, but for the most of a dataset.
    """

    max_images_train: int = Field(default=16_000, ge=1, description="images of a training dataset, labelled or not")
    max_images_test: int = Field(default=4_000, ge=1, description="images of a test dataset, labelled or not")
    max_segmented_train: int = Field(default=8_000, ge=1, description="images of a training dataset, segmentation")
    max_segmented_test: int = Field(default=800, ge=1, description="images of a test dataset, segmentation")
    max_labels: int = Field(default=100, ge=1, le=100, description="anomaly labels of a project")
    max_mask_labels: int = Field(default=20, ge=1, description="anomaly labels of one mask")
    max_manifest_bytes: int = Field(default=1024**3, ge=1, description="bytes of a manifest")

    min_normal_single: int = Field(default=20, ge=1, description="normal images of a single dataset")
    min_anomaly_single: int = Field(default=10, ge=0, description="anomalous images of one, classification")
    min_label_single: int = Field(default=20, ge=0, description="images with just one label, for each, segmentation")
    min_normal_train: int = Field(default=10, ge=1, description="normal images of a training dataset beside a test one")
    min_anomaly_train: int = Field(default=0, ge=0, description="anomalous images of it, classification")
    min_normal_test: int = Field(default=10, ge=1, description="normal images of a test dataset")
    min_anomaly_test: int = Field(default=10, ge=0, description="anomalous images of it, classification")
    min_label_separate: int = Field(
        default=10, ge=0, description="images with just one label, for each, in both of two datasets, segmentation"
    )
    training_hours: int = Field(default=24, ge=1, description="hours that training may take")
    testing_hours: int = Field(default=24, ge=1, description="hours that testing may take, after training")


class CustomLabelsSettings(Group):
    """How much a dataset of Custom Labels may hold. The defaults are what the service had."""

    max_manifest_bytes: int = Field(default=1024**3, ge=1, description="bytes of a manifest")
    max_images_train: int = Field(
        default=250_000, ge=1, description="images of a training dataset, and lines of its manifest"
    )
    max_images_test: int = Field(default=250_000, ge=1, description="images of a test dataset, likewise")
    max_labels: int = Field(default=250, ge=1, le=250, description="labels of a dataset")
    max_boxes_image: int = Field(default=LIMITS.boxes, ge=1, description="boxes on one image")
    max_labels_image: int = Field(default=LIMITS.labels, ge=1, description="labels of one image as a whole")
    min_side: int = Field(default=LIMITS.least_side, ge=1, le=4096, description="pixels of a stated side of an image")
    max_side: int = Field(default=LIMITS.most_side, ge=64, le=4096, description="the same, at most")

    @property
    def line(self) -> LineLimits:
        """What one line may have."""
        return LineLimits(
            boxes=self.max_boxes_image,
            labels=self.max_labels_image,
            least_side=self.min_side,
            most_side=self.max_side,
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and ``burst`` of them at once."""

    per_second: float
    burst: int


def _rates(value: object) -> object:
    """``Operation=per_second/burst``, separated by commas, as a mapping."""
    if not isinstance(value, str):
        return value
    rates = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        found = re.fullmatch(r"([A-Za-z]+)=([0-9]{1,6}(?:\.[0-9]{1,6})?)/([0-9]{1,6})", part)
        if found is None or float(found[2]) <= 0 or int(found[3]) < 1:
            raise ValueError(f"{part} is not of the form Operation=per_second/burst with numbers above 0")
        rates[found[1]] = Rate(float(found[2]), int(found[3]))
    return rates


class RateSettings(Group):
    """How often an account may ask for each operation of an AWS protocol; every process counts by itself."""

    per_second: float = Field(default=5.0, gt=0, description="requests a second for an operation, in the long run")
    burst: int = Field(default=50, ge=1, description="requests for an operation at once")
    operations: Annotated[dict[str, Rate], BeforeValidator(_rates)] = Field(
        default={}, description="other rates: Operation=per_second/burst, comma-separated"
    )


class AnnouncementSettings(Group):
    """Topics ``cameras`` and ``deployments``, which hold what exists."""

    check_seconds: float = Field(
        default=180.0, gt=0, description="pause between checks that the topics hold what the database says"
    )


class AuditSettings(Group):
    """Records of calls."""

    max_waiting: int = Field(
        default=1_000_000,
        ge=1,
        description="announcements, most of them audit records, that may wait for Kafka; then calls are refused",
    )


class RetentionSettings(Group):
    """How long things are kept that nobody wants any more, or not for ever."""

    evidence_days: int = Field(default=90, ge=1, le=36500, description="days that stored images and masks are kept")
    frames_hours: int = Field(default=24, ge=1, le=876000, description="hours that frames too large for Kafka are kept")
    deleted_models_seconds: float = Field(
        default=8.0,
        ge=0,
        le=300,
        description="seconds that a deleted model version of Custom Labels stays listed: clients look every 5 seconds",
    )


class Settings(ServiceSettings):
    """Everything a process of the registry needs to know."""

    model_config = service_config("registry")

    kafka: KafkaSettings
    postgres: PostgresSettings
    objects: ObjectSettings
    triton: TritonSettings | None = None
    http: HttpSettings = HttpSettings()
    buckets: BucketSettings = BucketSettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    identity: IdentitySettings = IdentitySettings()
    limits: LimitSettings = LimitSettings()
    quotas: QuotaSettings = QuotaSettings()
    custom_labels: CustomLabelsSettings = CustomLabelsSettings()
    rates: RateSettings = RateSettings()
    hosting: HostingSettings = HostingSettings()
    serving: ServingSettings = ServingSettings()
    scaling: ScalingSettings = ScalingSettings()
    announcements: AnnouncementSettings = AnnouncementSettings()
    audit: AuditSettings = AuditSettings()
    retention: RetentionSettings = RetentionSettings()
    secret_key: SecretStr = Field(
        min_length=32, description="seals stored secrets and page tokens; at least 32 characters"
    )
    internal_token: SecretStr = Field(min_length=16, description="what other services show to read credentials")

    @model_validator(mode="after")
    def _expiring_buckets_are_their_own(self) -> Self:
        """Everything in the buckets of evidence and frames is deleted in time: nothing else may lie there."""
        buckets = self.buckets
        others = {buckets.artifacts, buckets.datasets}
        if buckets.evidence == buckets.frames or others & {buckets.evidence, buckets.frames}:
            raise ValueError(
                "BUCKETS__EVIDENCE and BUCKETS__FRAMES need a bucket each: all that lies there is deleted in time"
            )
        return self
