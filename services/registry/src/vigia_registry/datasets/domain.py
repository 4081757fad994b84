"""What a dataset is, and how it may change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from vigia_contracts.base import ObjectRef
from vigia_contracts.ground_truth import Problem
from vigia_registry.projects.domain import Project, milliseconds

_ARN: Final = re.compile(r":project/(?P<project>[^/]+)/dataset/(?P<kind>train|test)/[0-9]+")


class DatasetKind(StrEnum):
    TRAIN = "train"
    TEST = "test"


class DatasetState(StrEnum):
    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    CREATE_FAILED = "CREATE_FAILED"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    UPDATE_FAILED_ROLLBACK_IN_PROGRESS = "UPDATE_FAILED_ROLLBACK_IN_PROGRESS"
    UPDATE_FAILED_ROLLBACK_COMPLETE = "UPDATE_FAILED_ROLLBACK_COMPLETE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"


_S = DatasetState
_CHANGEABLE = frozenset({_S.UPDATE_IN_PROGRESS, _S.DELETE_IN_PROGRESS})

TRANSITIONS: Final[dict[DatasetState, frozenset[DatasetState]]] = {
    _S.CREATE_IN_PROGRESS: frozenset({_S.CREATE_COMPLETE, _S.CREATE_FAILED}),
    _S.CREATE_COMPLETE: _CHANGEABLE,
    _S.CREATE_FAILED: frozenset({_S.DELETE_IN_PROGRESS}),
    _S.UPDATE_IN_PROGRESS: frozenset({_S.UPDATE_COMPLETE, _S.UPDATE_FAILED_ROLLBACK_IN_PROGRESS}),
    _S.UPDATE_COMPLETE: _CHANGEABLE,
    _S.UPDATE_FAILED_ROLLBACK_IN_PROGRESS: frozenset({_S.UPDATE_FAILED_ROLLBACK_COMPLETE}),
    _S.UPDATE_FAILED_ROLLBACK_COMPLETE: _CHANGEABLE,
    _S.DELETE_IN_PROGRESS: frozenset(),
}

#: States in which the entries are whole and nobody is changing them.
READABLE: Final = frozenset({_S.CREATE_COMPLETE, _S.UPDATE_COMPLETE, _S.UPDATE_FAILED_ROLLBACK_COMPLETE})


def may_become(state: DatasetState, target: DatasetState) -> bool:
    """Whether a dataset may go from ``state`` to ``target``."""
    return target in TRANSITIONS[state]


@dataclass(frozen=True, slots=True)
class ImageStats:
    """How many images a dataset has; ``labeled`` is normal plus anomaly."""

    total: int
    normal: int
    anomaly: int

    @property
    def labeled(self) -> int:
        return self.normal + self.anomaly


class Fault(StrEnum):
    """Whose fault it is that an operation failed."""

    CLIENT = "CLIENT_ERROR"
    SERVICE = "SERVICE_ERROR"


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A dataset whose entries another one gets: all of them where that one is made, a share where it is updated."""

    dataset: UUID


@dataclass(frozen=True, slots=True)
class LabelUse:
    """How many images have a label at all, and how many have it on a box."""

    name: str
    images: int
    boxed: int


@dataclass(frozen=True, slots=True)
class EntryStats:
    """What a dataset of Custom Labels holds: entries, those that are labelled, those with errors, labels by name."""

    total: int = 0
    labeled: int = 0
    faulty: int = 0
    labels: tuple[LabelUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as it is stored. ``stats`` is known of Custom Labels, and counted when entries change."""

    id: UUID
    project_id: UUID
    kind: DatasetKind
    state: DatasetState
    status_message: str
    source: ObjectRef | DatasetRef | None
    created_at: datetime
    updated_at: datetime
    fault: Fault | None = None
    stats: EntryStats | None = None


def dataset_arn(project: Project, dataset: Dataset) -> str:
    """The ARN of a dataset of Custom Labels; the time of its creation tells it from others that the project had.

    Between the creations of two datasets of a kind lie a deletion and its job, so no two have the same millisecond.
    """
    own = f"arn:aws:{project.service.value}:{project.region}:{project.account_id}:project/{project.name}"
    return f"{own}/dataset/{dataset.kind.value}/{milliseconds(dataset.created_at)}"


def named_by(arn: str) -> tuple[str, DatasetKind] | None:
    """The project's name and the kind that a dataset's ARN names; None where it is none."""
    found = _ARN.search(arn)
    return None if found is None else (found["project"], DatasetKind(found["kind"]))


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """One entry of a list: its line as given, and of Custom Labels whether it is labelled and what is wrong with it.

    ``errors`` are objects with ``code``, ``message`` and ``where``, the path of what has the error.
    """

    id: int
    line: str
    labeled: bool | None
    errors: list[dict[str, Any]] | None


def unusable(errors: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether one of an entry's errors spoils all of it, and not just one annotation."""
    return any(not Problem(error["code"], error["message"], tuple(error["where"])).of_box for error in errors or ())


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries a list shows; None and empty ones mean all. ``labels``: at least one of them; ``faulty``: only
    entries with errors."""

    labeled: bool | None = None
    anomaly_class: str | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    source_contains: str | None = None
    labels: tuple[str, ...] = ()
    faulty: bool = False

    def scope(self) -> list[str | None]:
        """The filter as text, for page tokens."""
        moments = (self.created_before, self.created_after)
        return [
            None if self.labeled is None else str(self.labeled),
            self.anomaly_class,
            *(None if moment is None else moment.isoformat() for moment in moments),
            self.source_contains,
            str(self.faulty),
            *self.labels,
        ]
