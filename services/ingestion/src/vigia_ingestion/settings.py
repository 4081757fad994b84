"""Settings of ingestion, read from VIGIA_INGESTION_*."""

from __future__ import annotations

from vigia_runtime.settings import (
    BucketSettings,
    HttpSettings,
    KafkaSettings,
    ObjectSettings,
    RegistrySettings,
    ServiceSettings,
    service_config,
)


class Settings(ServiceSettings):
    """What ingestion must be told."""

    model_config = service_config("ingestion")

    kafka: KafkaSettings
    objects: ObjectSettings
    registry: RegistrySettings
    buckets: BucketSettings = BucketSettings()
    http: HttpSettings = HttpSettings()
