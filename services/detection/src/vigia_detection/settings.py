"""What detection is told by its environment: ``VIGIA_DETECTION_…``."""

from __future__ import annotations

import os

from pydantic import Field

from vigia_runtime.settings import (
    BucketSettings,
    Group,
    HttpSettings,
    KafkaSettings,
    ObjectSettings,
    RegistrySettings,
    ServiceSettings,
    TritonSettings,
    service_config,
)


def _threads() -> int:
    return max(2, os.cpu_count() or 2)


class DecidingSettings(Group):
    """How frames and requests are handled."""

    concurrency: int = Field(default=32, ge=1, le=1024, description="frames or requests judged at once")
    vision_threads: int = Field(default_factory=_threads, ge=1, le=256, description="images decoded at once")
    retry_seconds: float = Field(
        default=60.0, gt=0, le=600, description="how long an outcome waits for broker and object store to take it"
    )
    request_seconds: float = Field(default=10.0, gt=0, le=60, description="requests: from arrival to decision")
    announce_seconds: float = Field(
        default=2.0, ge=0, le=30, description="requests: how long a version just hosted may take to be known"
    )
    api_pass_evidence_share: float = Field(
        default=0.1, ge=0, le=1, description="share of images judged good by request that is kept"
    )
    account_id: str = Field(
        default="000000000000",
        pattern=r"^\d{12}$",
        description="account for frames of unknown cameras, if several have cameras",
    )


class LabelSettings(Group):
    """What images of DetectCustomLabels may be. The defaults are what Custom Labels had."""

    max_image_bytes: int = Field(
        default=4 * 1024**2, ge=1024, le=32 * 1024**2, description="bytes of an image in a request"
    )
    max_stored_bytes: int = Field(
        default=15 * 1024**2, ge=1024, le=64 * 1024**2, description="bytes of an image in the object store"
    )
    min_side: int = Field(default=64, ge=1, le=4096, description="pixels of an image's shorter side, at least")
    max_side: int = Field(default=4096, ge=64, le=4096, description="pixels of its longer side, at most")
    max_aspect: float = Field(default=20.0, ge=1, description="how many times the shorter side the longer may be")


class IdentitySettings(Group):
    """What callers' policies decide about."""

    s3_policies: bool = Field(
        default=False, description="whether images of DetectCustomLabels in S3 need S3 actions of the caller's policies"
    )


class Settings(ServiceSettings):
    """Both processes read the same names, so that one environment serves both; ``registry`` is needed by http."""

    model_config = service_config("detection")

    kafka: KafkaSettings
    objects: ObjectSettings
    triton: TritonSettings
    buckets: BucketSettings = BucketSettings()
    deciding: DecidingSettings = DecidingSettings()
    labels: LabelSettings = LabelSettings()
    identity: IdentitySettings = IdentitySettings()
    http: HttpSettings = HttpSettings()
    registry: RegistrySettings | None = None
