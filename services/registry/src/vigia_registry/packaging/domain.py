"""What a packaging job is, how it may change, and what its component is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from vigia_contracts.training import OutputLocation


class PackagingState(StrEnum):
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


TRANSITIONS: Final[dict[PackagingState, frozenset[PackagingState]]] = {
    PackagingState.CREATED: frozenset({PackagingState.RUNNING, PackagingState.FAILED}),
    PackagingState.RUNNING: frozenset({PackagingState.SUCCEEDED, PackagingState.FAILED}),
    PackagingState.SUCCEEDED: frozenset(),
    PackagingState.FAILED: frozenset(),
}
UNDER_WAY: Final = frozenset({PackagingState.CREATED, PackagingState.RUNNING})


class Device(StrEnum):
    """Devices that need no further description."""

    JETSON_XAVIER = "jetson_xavier"


class Os(StrEnum):
    LINUX = "LINUX"


class Arch(StrEnum):
    ARM64 = "ARM64"
    X86_64 = "X86_64"


class Accelerator(StrEnum):
    """What computes beside the processor."""

    NVIDIA = "NVIDIA"


class Platform(BaseModel):
    """The hardware that a component is for; without an accelerator the processor computes."""

    model_config = ConfigDict(frozen=True)

    os: Os
    arch: Arch
    accelerator: Accelerator | None = None


#: What each device is.
PLATFORM_OF: Final = {
    Device.JETSON_XAVIER: Platform(os=Os.LINUX, arch=Arch.ARM64, accelerator=Accelerator.NVIDIA),
}


class Configuration(BaseModel):
    """What a customer asks for; as it was asked, and so as it is told again.

    Exactly one of ``device`` and ``platform`` is set in one that was accepted. ``compiler_options`` is JSON.
    """

    model_config = ConfigDict(frozen=True)

    device: Device | None = None
    platform: Platform | None = None
    compiler_options: str | None = None
    output: OutputLocation
    component_name: str
    component_version: str | None = None
    component_description: str | None = None
    tags: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class PackagingRequest:
    """A job to be. Without a name it gets one."""

    configuration: Configuration
    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class PackagingJob:
    """A job as it is stored. ``model_version_id`` is None once that version was deleted; its number stays."""

    id: UUID
    project_id: UUID
    model_version_id: UUID | None
    account_id: str
    region: str
    name: str
    model_version: int
    description: str | None
    configuration: Configuration
    component_name: str
    component_version: str
    state: PackagingState
    status_message: str
    created_at: datetime
    updated_at: datetime

    @property
    def folder(self) -> str:
        """The key prefix of the component's files, with a slash at its end; no two jobs share one."""
        prefix = self.configuration.output.prefix.rstrip("/")
        return f"{prefix}/{self._own_folder}" if prefix else self._own_folder

    @property
    def _own_folder(self) -> str:
        return f"{self.component_name}/{self.component_version}/{self.id}/"

    @property
    def component_version_arn(self) -> str:
        """The component's ARN, as Greengrass forms it."""
        return component_version_arn(self.region, self.account_id, self.component_name, self.component_version)


def component_version_arn(region: str, account_id: str, name: str, version: str) -> str:
    """The ARN of a version of a component."""
    return f"arn:aws:greengrass:{region}:{account_id}:components:{name}:versions:{version}"


def default_component_version(model_version: int) -> str:
    """The component's version where none was asked for."""
    return f"{model_version}.0.0"
