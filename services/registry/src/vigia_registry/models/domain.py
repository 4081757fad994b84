"""What a model version is, how it may change, and what it is called on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

from vigia_contracts.base import ObjectRef, Payload
from vigia_contracts.training import ManifestChecks, ModelMetrics, OutputLocation
from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.identity.domain import Service
from vigia_registry.projects.domain import Project, milliseconds, prefix_of


class ModelState(StrEnum):
    """What has become of the version itself; whether it is hosted is another matter."""

    TRAINING = "TRAINING"
    TRAINED = "TRAINED"
    TRAINING_FAILED = "TRAINING_FAILED"
    COPYING = "COPYING"
    COPYING_FAILED = "COPYING_FAILED"
    DELETING = "DELETING"


class AwsStatus(StrEnum):
    """A model version's status as Lookout for Vision names it; the copies are Custom Labels' alone."""

    TRAINING = "TRAINING"
    TRAINED = "TRAINED"
    TRAINING_FAILED = "TRAINING_FAILED"
    COPYING = "COPYING"
    COPYING_FAILED = "COPYING_FAILED"
    STARTING_HOSTING = "STARTING_HOSTING"
    HOSTED = "HOSTED"
    HOSTING_FAILED = "HOSTING_FAILED"
    STOPPING_HOSTING = "STOPPING_HOSTING"
    DELETING = "DELETING"


class VersionStatus(StrEnum):
    """A model version's status as Custom Labels names it."""

    TRAINING_IN_PROGRESS = "TRAINING_IN_PROGRESS"
    TRAINING_COMPLETED = "TRAINING_COMPLETED"
    TRAINING_FAILED = "TRAINING_FAILED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    COPYING_IN_PROGRESS = "COPYING_IN_PROGRESS"
    COPYING_COMPLETED = "COPYING_COMPLETED"
    COPYING_FAILED = "COPYING_FAILED"


TRANSITIONS: Final[dict[ModelState, frozenset[ModelState]]] = {
    ModelState.TRAINING: frozenset({ModelState.TRAINED, ModelState.TRAINING_FAILED}),
    ModelState.TRAINED: frozenset({ModelState.DELETING}),
    ModelState.TRAINING_FAILED: frozenset({ModelState.DELETING}),
    ModelState.COPYING: frozenset({ModelState.TRAINED, ModelState.COPYING_FAILED}),
    ModelState.COPYING_FAILED: frozenset({ModelState.DELETING}),
    ModelState.DELETING: frozenset(),
}

#: From which status an operation may be asked. A version that failed to start may be started again, or given up; one
#: that is on its way in or out is left alone until it has arrived.
MAY_START: Final = frozenset({AwsStatus.TRAINED, AwsStatus.HOSTING_FAILED})
MAY_STOP: Final = frozenset({AwsStatus.HOSTED, AwsStatus.HOSTING_FAILED})
MAY_DELETE: Final = frozenset(
    {AwsStatus.TRAINED, AwsStatus.TRAINING_FAILED, AwsStatus.COPYING_FAILED, AwsStatus.HOSTING_FAILED}
)

_HOSTED: Final = {
    Observed.ABSENT: AwsStatus.STARTING_HOSTING,
    Observed.LOADING: AwsStatus.STARTING_HOSTING,
    Observed.DRAINING: AwsStatus.STARTING_HOSTING,
    Observed.SERVING: AwsStatus.HOSTED,
    Observed.FAILED: AwsStatus.HOSTING_FAILED,
}
_NOT_HOSTED: Final = {
    Observed.ABSENT: AwsStatus.TRAINED,
    Observed.FAILED: AwsStatus.TRAINED,
    Observed.LOADING: AwsStatus.STOPPING_HOSTING,
    Observed.DRAINING: AwsStatus.STOPPING_HOSTING,
    Observed.SERVING: AwsStatus.STOPPING_HOSTING,
}


def aws_status(state: ModelState, desired: Desired, observed: Observed) -> AwsStatus:
    """The status that clients see. Hosting matters only once the version is trained."""
    if state is not ModelState.TRAINED:
        return AwsStatus(state.value)
    return (_HOSTED if desired is Desired.HOSTED else _NOT_HOSTED)[observed]


def model_arn(region: str, account_id: str, project: str, version: int | str) -> str:
    """The version's ARN in the Lookout for Vision service."""
    return f"arn:aws:lookoutvision:{region}:{account_id}:model/{project}/{version}"


def version_arn(project: Project, name: str, created_at: datetime) -> str:
    """The version's ARN in Custom Labels."""
    own = f"arn:aws:{Service.CUSTOM_LABELS.value}:{project.region}:{project.account_id}:project/{project.name}"
    return f"{own}/version/{name}/{milliseconds(created_at)}"


#: A version's number, or the newest one.
VersionName = int | Literal["latest"]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A version as Lookout for Vision names it: by its project's name and its number."""

    project: str
    version: VersionName


#: How a request names a version: as above, or by its ARN.
VersionRef = Numbered | str


class GivenManifests(Payload):
    """The customer's manifests to train on, in the place of datasets. ``testing`` None: training splits the first."""

    training: ObjectRef
    testing: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a customer asks for when a version is to be trained.

    In Custom Labels it has a ``name``, and may bring manifests of its own (``given``) or say that training is to split
    the training dataset (``split``).
    """

    output: OutputLocation
    description: str | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    given: GivenManifests | None = None
    split: bool = False


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """What a customer asks for when a version (by the ARNs of it and its project) is to be copied."""

    source_project: str
    source: str
    destination_project: str
    name: str
    output: OutputLocation
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A model version as it is stored.

    ``name``: what customers call it, where that is not its number. ``training_manifest`` is None of a copy, and while
    a job reads what was ``given``.
    """

    id: UUID
    arn: str
    project_id: UUID
    account_id: str
    region: str
    version: int
    name: str | None = None
    source_arn: str | None = None
    state: ModelState
    status_message: str
    description: str | None = None
    kms_key_id: str | None = None
    output: OutputLocation
    given: GivenManifests | None = None
    training_manifest: ObjectRef | None = None
    test_manifest: ObjectRef | None = None
    stage: str | None = None
    progress: float | None = None
    training_end: datetime | None = None
    attempt: int | None = None
    artifact: ObjectRef | None = None
    manifest: dict[str, Any] | None = None
    metrics: ModelMetrics | None = None
    evaluation_manifest: ObjectRef | None = None
    evaluation_result: ObjectRef | None = None
    evaluation_ended_at: datetime | None = None
    checks: ManifestChecks | None = None
    training_snapshot: ObjectRef | None = None
    training_seconds: float | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def service(self) -> Service:
        """Whose version it is."""
        return Service.LOOKOUT if self.name is None else Service.CUSTOM_LABELS

    @property
    def called(self) -> str:
        """What customers call it, and what stands in file names and messages."""
        return self.name or str(self.version)

    @property
    def project_name(self) -> str:
        """Of its project, as the ARN has it."""
        return self.arn.split("/")[1]


@dataclass(frozen=True, slots=True)
class ModelView:
    """A version as clients see it: what is stored, and how it is hosted. ``started``: whether anybody ever asked for
    it to be hosted."""

    model: ModelVersion
    status: AwsStatus
    status_message: str
    min_units: int | None
    max_units: int | None
    desired_units: int = 0
    in_service_units: int = 0
    started: bool = False

    @property
    def version_status(self) -> VersionStatus:
        """The status as Custom Labels names it."""
        if self.status is not AwsStatus.TRAINED:
            return _NAMED[self.status]
        if self.started:
            return VersionStatus.STOPPED
        copied = self.model.source_arn is not None
        return VersionStatus.COPYING_COMPLETED if copied else VersionStatus.TRAINING_COMPLETED

    @property
    def named_status(self) -> str:
        """The status as the version's own service names it."""
        return (self.status if self.model.service is Service.LOOKOUT else self.version_status).value


_NAMED: Final = {
    AwsStatus.TRAINING: VersionStatus.TRAINING_IN_PROGRESS,
    AwsStatus.TRAINING_FAILED: VersionStatus.TRAINING_FAILED,
    AwsStatus.COPYING: VersionStatus.COPYING_IN_PROGRESS,
    AwsStatus.COPYING_FAILED: VersionStatus.COPYING_FAILED,
    AwsStatus.STARTING_HOSTING: VersionStatus.STARTING,
    AwsStatus.HOSTED: VersionStatus.RUNNING,
    AwsStatus.HOSTING_FAILED: VersionStatus.FAILED,
    AwsStatus.STOPPING_HOSTING: VersionStatus.STOPPING,
    AwsStatus.DELETING: VersionStatus.DELETING,
}


def artifact_prefix(project: Project, model: ModelVersion) -> str:
    """Where in the artifact bucket everything of a version lies.

    Projects of two services may have one name, so in Custom Labels the project's id tells them apart.
    """
    if model.service is Service.LOOKOUT:
        return f"{model.account_id}/{model.region}/{project.name}/{model.version}"
    return f"{prefix_of(project)}{model.version}"
