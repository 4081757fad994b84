"""The registry's settings: prefix ``VIGIA_REGISTRY_``, groups separated by ``__``."""

from __future__ import annotations

from pydantic import Field, SecretStr

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
    secret_key: SecretStr = Field(
        min_length=32, description="seals stored secrets and page tokens; at least 32 characters"
    )
    internal_token: SecretStr = Field(min_length=16, description="what other services show to read credentials")
