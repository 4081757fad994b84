"""Measures how many inference units every hosted version has, once a minute, onto topic ``usage``."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import derived_id
from vigia_contracts.events import Event
from vigia_contracts.topics import USAGE
from vigia_contracts.usage import UNITS_MEASURED, UnitsMeasured
from vigia_registry import schema
from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.hosting.tables import hostings
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.tables import projects

_SOURCE: Final = "vigia/registry"


async def measure(session: AsyncSession, minute: datetime) -> int:
    """Announce the units of every version that is hosted or should be; how many there are.

    The event's id is made of version and minute: who measures a minute again, as a new leader does, adds nothing.
    """
    rows = await session.execute(
        select(
            model_versions.c.account_id,
            model_versions.c.region,
            projects.c.name,
            model_versions.c.arn,
            model_versions.c.version,
            hostings.c.desired,
            hostings.c.observed,
            hostings.c.min_units,
            hostings.c.max_units,
            hostings.c.in_service_units,
        )
        .join(model_versions, model_versions.c.id == hostings.c.model_version_id)
        .join(projects, projects.c.id == model_versions.c.project_id)
        .where(or_(hostings.c.desired == Desired.HOSTED, hostings.c.observed == Observed.SERVING))
        .order_by(model_versions.c.arn)
    )
    measured = [
        UnitsMeasured(
            account_id=row.account_id,
            region=row.region,
            project=row.name,
            model_arn=row.arn,
            model_version=str(row.version),
            minute=minute,
            min_units=row.min_units,
            max_units=row.max_units,
            desired_units=row.min_units if row.desired == Desired.HOSTED else 0,
            in_service_units=row.in_service_units if row.observed == Observed.SERVING else 0,
        )
        for row in rows
    ]
    for one in measured:
        event = Event(
            type=UNITS_MEASURED,
            source=_SOURCE,
            id=str(derived_id("units", one.model_arn, minute.isoformat())),
            time=minute,
            data=one,
            key=one.model_arn,
        )
        await schema.announcements.add(session, USAGE, event)
    return len(measured)
