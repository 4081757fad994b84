"""The registry's settings: prefix ``VIGIA_REGISTRY_``, groups separated by ``__``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator

from vigia_registry.hosting.settings import HostingSettings, ServingSettings
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


class LimitSettings(Group):
    """How much an account may have. What exceeds a limit is refused, never cut off."""

    projects: int = Field(default=100, ge=1, description="projects per account and region")
    models: int = Field(default=100, ge=1, description="model versions per project")
    trainings: int = Field(default=20, ge=1, description="trainings at once per account and region")
    inference_units: int = Field(default=10, ge=1, description="inference units of one model version")


class AnnouncementSettings(Group):
    """Topics ``cameras`` and ``deployments``, which hold what exists."""

    check_seconds: float = Field(
        default=180.0, gt=0, description="pause between checks that the topics hold what the database says"
    )


class RetentionSettings(Group):
    """How long objects are kept."""

    evidence_days: int = Field(default=90, ge=1, le=36500, description="days that stored images and masks are kept")
    frames_hours: int = Field(default=24, ge=1, le=876000, description="hours that frames too large for Kafka are kept")


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
    limits: LimitSettings = LimitSettings()
    hosting: HostingSettings = HostingSettings()
    serving: ServingSettings = ServingSettings()
    announcements: AnnouncementSettings = AnnouncementSettings()
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
