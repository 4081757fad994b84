"""What a dataset is, and how it may change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from vigia_contracts.base import ObjectRef


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


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as it is stored."""

    id: UUID
    project_id: UUID
    kind: DatasetKind
    state: DatasetState
    status_message: str
    source: ObjectRef | None
    created_at: datetime
    updated_at: datetime
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries a list shows; None and an empty text mean all."""

    labeled: bool | None = None
    anomaly_class: str | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    source_contains: str | None = None

    def scope(self) -> list[str | None]:
        """The filter as text, for page tokens."""
        moments = (self.created_before, self.created_after)
        return [
            None if self.labeled is None else str(self.labeled),
            self.anomaly_class,
            *(None if moment is None else moment.isoformat() for moment in moments),
            self.source_contains,
        ]
