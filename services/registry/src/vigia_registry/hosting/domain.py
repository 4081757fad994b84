"""The words of hosting: what is wanted, what is seen, and what a version is called in Triton."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


class Desired(StrEnum):
    NONE = "none"
    HOSTED = "hosted"


class Observed(StrEnum):
    ABSENT = "absent"  # in no Triton
    LOADING = "loading"  # on its way in; nobody is told yet
    SERVING = "serving"  # checked on every Triton, and announced
    FAILED = "failed"  # gave up; StartModel may try again
    DRAINING = "draining"  # no longer announced, still answers what is under way


@dataclass(frozen=True, slots=True)
class HostingView:
    """What the rest of the registry may know about a version's hosting. ``units`` are inference units in service,
    ``desired_units`` those that there should be. ``started``: whether anybody ever asked for it."""

    desired: Desired = Desired.NONE
    observed: Observed = Observed.ABSENT
    reason: str | None = None
    units: int = 0
    desired_units: int = 0
    min_units: int = 0
    max_units: int | None = None
    started: bool = False


@dataclass(frozen=True, slots=True)
class Hosting:
    """A version that is hosted or should be, by ``units`` inference units at present.

    ``since`` is when ``observed`` last changed. ``told_at``: of one that drains, since when nobody is told of it.
    """

    id: UUID
    arn: str
    triton_model: str
    desired: Desired
    observed: Observed
    units: int
    in_service_units: int
    generation: int
    since: datetime
    min_units: int = 1
    max_units: int | None = None
    told_at: datetime | None = None


def triton_name(namespace: str, project: str, version: int, arn: str, digest: str) -> str:
    """The name of a version in Triton: readable, safe as a folder, and never used for other content.

    ``digest`` is the SHA-256 (hex) of the artifact's manifest, which itself holds the digest of every file. The ARN
    takes part so that two accounts that trained the same artifact do not unload each other's.
    """
    safe = _UNSAFE.sub("-", project).strip("-")[:100] or "project"
    owner = hashlib.sha256(arn.encode()).hexdigest()[:8]
    return f"{namespace}.{safe}.v{version}.{digest[:16]}.{owner}"


def in_namespace(namespace: str, name: str) -> bool:
    """Whether a model found in Triton is ours to unload."""
    return name.startswith(f"{namespace}.")
