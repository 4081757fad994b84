"""What a project is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")
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
    name: str
    arn: str
    state: ProjectState
    next_version: int
    created_at: datetime


def may_be_named(text: str) -> bool:
    """Whether a project can have this name."""
    return len(text) <= LONGEST_NAME and NAME.fullmatch(text) is not None


def project_arn(region: str, account_id: str, name: str) -> str:
    """The project's ARN in the Lookout for Vision service."""
    return f"arn:aws:lookoutvision:{region}:{account_id}:project/{name}"


def prefix_of(project: Project) -> str:
    """Where in the dataset bucket everything of a project lies; no two projects share it, not even by name."""
    return prefix_for(project.account_id, project.id)


def prefix_for(account_id: str, project_id: UUID) -> str:
    """As ``prefix_of``, of a project that is known by its id."""
    return f"{account_id}/{project_id}/"
