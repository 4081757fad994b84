"""What a model version is, how it may change, and what it is called on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ManifestChecks, ModelMetrics, OutputLocation
from vigia_registry.hosting.domain import Desired, Observed


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


#: A version's number, or the newest one.
VersionName = int | Literal["latest"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a customer asks for when a version is to be trained."""

    output: OutputLocation
    description: str | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version as it is stored. ``name``: what customers call it, where that is not its number."""

    id: UUID
    arn: str
    project_id: UUID
    account_id: str
    region: str
    version: int
    state: ModelState
    status_message: str
    description: str | None
    kms_key_id: str | None
    output: OutputLocation
    training_manifest: ObjectRef
    test_manifest: ObjectRef | None
    stage: str | None
    progress: float | None
    training_end: datetime | None
    attempt: int | None
    artifact: ObjectRef | None
    manifest: dict[str, Any] | None
    metrics: ModelMetrics | None
    evaluation_manifest: ObjectRef | None
    evaluation_result: ObjectRef | None
    evaluation_ended_at: datetime | None
    created_at: datetime
    updated_at: datetime
    name: str | None = None
    source_arn: str | None = None
    given: dict[str, Any] | None = None
    checks: ManifestChecks | None = None
    training_snapshot: ObjectRef | None = None
    training_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelView:
    """A version as clients see it: what is stored, and how it is hosted."""

    model: ModelVersion
    status: AwsStatus
    status_message: str
    min_units: int | None
    max_units: int | None
    desired_units: int = 0
    in_service_units: int = 0
