"""What a project is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from vigia_registry.identity.domain import Owner, Service

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")
#: What Custom Labels takes besides.
FREE_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]+")
LONGEST_NAME: Final = 255


class ProjectState(StrEnum):
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


#: A project being deleted stays that way until it is gone.
TRANSITIONS: dict[ProjectState, frozenset[ProjectState]] = {
    ProjectState.ACTIVE: frozenset({ProjectState.DELETING}),
    ProjectState.DELETING: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it is stored."""

    id: UUID
    account_id: str
    region: str
    service: Service
    name: str
    arn: str
    state: ProjectState
    next_version: int
    created_at: datetime

    @property
    def owner(self) -> Owner:
        return Owner(self.account_id, self.region, self.service)


def may_be_named(text: str, service: Service = Service.LOOKOUT) -> bool:
    """Whether a project of the service can have this name."""
    pattern = NAME if service is Service.LOOKOUT else FREE_NAME
    return len(text) <= LONGEST_NAME and pattern.fullmatch(text) is not None


def project_arn(owner: Owner, name: str, created_at: datetime | None = None) -> str:
    """The project's ARN. ``created_at``: given in Custom Labels, whose ARNs end with it, ms since 1970."""
    arn = f"arn:aws:{owner.service.value}:{owner.region}:{owner.account_id}:project/{name}"
    return arn if created_at is None else f"{arn}/{milliseconds(created_at)}"


def milliseconds(moment: datetime) -> int:
    """Since 1970, as ARNs of Custom Labels end."""
    return round(moment.timestamp() * 1000)


def prefix_of(project: Project) -> str:
    """Where in the dataset bucket everything of a project lies; no two projects share it, not even by name."""
    return prefix_for(project.account_id, project.id)


def prefix_for(account_id: str, project_id: UUID) -> str:
    """As ``prefix_of``, of a project that is known by its id."""
    return f"{account_id}/{project_id}/"
