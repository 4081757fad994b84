"""What people see of hosting: every version that is or should be hosted, and how each Triton has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.hosting.scaling import within
from vigia_registry.hosting.tables import hostings, sightings
from vigia_registry.hosting.versions import Report
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.tables import projects


@dataclass(frozen=True, slots=True)
class Sighting:
    """A version as one Triton was last seen to have it."""

    triton: str
    report: Report
    reason: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class HostedVersion:
    """A version, what is wanted of it and what is seen. ``since``: when ``observed`` last changed.

    ``service``: whose project it is, for both may have one of the name. ``version``: what customers call it.
    """

    service: Service
    project: str
    version: str
    arn: str
    desired: Desired
    observed: Observed
    reason: str | None
    min_units: int
    max_units: int | None
    desired_units: int
    in_service_units: int
    triton_model: str | None
    since: datetime
    tritons: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class HostedUnits:
    """Inference units of a version that is hosted or should be. ``max_units`` None: their number is fixed."""

    account_id: str
    region: str
    project: str
    version: str
    arn: str
    min_units: int
    max_units: int | None
    desired_units: int
    in_service_units: int


async def units(session: AsyncSession) -> list[HostedUnits]:
    """The units of every version of every account that is hosted or should be, by ARN."""
    rows = await session.execute(
        select(
            hostings,
            projects.c.name.label("project"),
            model_versions.c.account_id,
            model_versions.c.region,
            model_versions.c.name,
            model_versions.c.version,
            model_versions.c.arn,
        )
        .join(model_versions, model_versions.c.id == hostings.c.model_version_id)
        .join(projects, projects.c.id == model_versions.c.project_id)
        .where(or_(hostings.c.desired == Desired.HOSTED, hostings.c.observed == Observed.SERVING))
        .order_by(model_versions.c.arn)
    )
    return [
        HostedUnits(
            account_id=row.account_id,
            region=row.region,
            project=row.project,
            version=row.name or str(row.version),
            arn=row.arn,
            min_units=row.min_units,
            max_units=row.max_units,
            desired_units=_desired(row),
            in_service_units=row.in_service_units if row.observed == Observed.SERVING else 0,
        )
        for row in rows
    ]


async def hosted(session: AsyncSession, owner: Owner) -> list[HostedVersion]:
    """The account's versions that are or should be hosted, by project and number. They are few: each costs memory.

    Those of both services, whichever the owner stands for.
    """
    rows = await session.execute(
        select(
            hostings,
            projects.c.service,
            projects.c.name.label("project"),
            model_versions.c.version,
            model_versions.c.name,
            model_versions.c.arn,
        )
        .join(model_versions, model_versions.c.id == hostings.c.model_version_id)
        .join(projects, projects.c.id == model_versions.c.project_id)
        .where(
            model_versions.c.account_id == owner.account_id,
            model_versions.c.region == owner.region,
            or_(hostings.c.desired == Desired.HOSTED, hostings.c.observed != Observed.ABSENT),
        )
        .order_by(projects.c.name, projects.c.service, model_versions.c.version)
    )
    found = rows.all()
    ids = [row.model_version_id for row in found]
    notes = await session.execute(
        select(sightings).where(sightings.c.model_version_id.in_(ids)).order_by(sightings.c.triton)
    )
    by_version: dict[object, list[Sighting]] = {}
    for note in notes:
        sighting = Sighting(note.triton, Report(note.report), note.reason, note.seen_at)
        by_version.setdefault(note.model_version_id, []).append(sighting)
    return [
        HostedVersion(
            service=Service(row.service),
            project=row.project,
            version=row.name or str(row.version),
            arn=row.arn,
            desired=Desired(row.desired),
            observed=Observed(row.observed),
            reason=row.reason,
            min_units=row.min_units,
            max_units=row.max_units,
            desired_units=_desired(row),
            in_service_units=row.in_service_units,
            triton_model=row.triton_model,
            since=row.observed_at,
            tritons=tuple(by_version.get(row.model_version_id, ())),
        )
        for row in found
    ]


def _desired(row: Row[*tuple[Any, ...]]) -> int:
    if row.desired != Desired.HOSTED:
        return 0
    return within(row.desired_units, row.min_units, row.max_units)
