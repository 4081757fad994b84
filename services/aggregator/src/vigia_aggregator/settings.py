"""Settings of the aggregator, by entry point: ``VIGIA_AGGREGATOR_…``."""

from __future__ import annotations

from pydantic import Field

from vigia_runtime.settings import (
    BucketSettings,
    Group,
    HttpSettings,
    KafkaSettings,
    ObjectSettings,
    PostgresSettings,
    RegistrySettings,
    ServiceSettings,
    service_config,
)


class BatchSettings(Group):
    """How inspections are gathered before they are written."""

    size: int = Field(default=1000, ge=1, le=10_000, description="most records in one transaction")
    within_seconds: float = Field(default=0.05, gt=0, le=5, description="longest wait for inspections to fill one")
    retry_seconds: float = Field(default=60, ge=0, le=900, description="how long Postgres or Kafka may be away")


class RetentionSettings(Group):
    """How long results are kept, in days. Rollups by day and totals are kept for ever; samples of CloudWatch metrics as
    CloudWatch keeps them, 15 months."""

    days: int = Field(default=90, ge=1, le=3650, description="inspections and faults")
    minute_days: int = Field(default=14, ge=1, le=3650, description="rollups by minute")
    hour_days: int = Field(default=400, ge=1, le=3650, description="rollups by hour")
    call_days: int = Field(default=90, ge=1, le=3650, description="records of calls (audit)")
    future_hours: int = Field(default=24, ge=0, le=48, description="how far a capture time may lie in the future")


class QuerySettings(Group):
    """What one request may cost."""

    timeout_seconds: float = Field(default=5, gt=0, le=60, description="longest statement")
    follow_seconds: float = Field(default=30, gt=0, le=120, description="longest wait of a follower")
    followers: int = Field(default=200, ge=1, le=10_000, description="followers that may wait at once")


class _Common(ServiceSettings):
    model_config = service_config("aggregator")

    kafka: KafkaSettings | None = None
    postgres: PostgresSettings
    objects: ObjectSettings | None = None
    http: HttpSettings = HttpSettings()
    registry: RegistrySettings | None = None
    buckets: BucketSettings = BucketSettings()
    batch: BatchSettings = BatchSettings()
    retention: RetentionSettings = RetentionSettings()
    query: QuerySettings = QuerySettings()


class MigrateSettings(_Common):
    """``migrate`` needs Postgres alone."""


class WorkerSettings(_Common):
    """``worker`` needs Kafka and Postgres."""

    kafka: KafkaSettings


class ServeSettings(_Common):
    """``http`` needs Postgres, the object store and registry's credentials."""

    objects: ObjectSettings
    registry: RegistrySettings
