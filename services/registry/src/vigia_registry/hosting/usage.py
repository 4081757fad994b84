"""Measures how many inference units every hosted version has, once a minute, onto topic ``usage``."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import derived_id
from vigia_contracts.events import Event
from vigia_contracts.topics import USAGE
from vigia_contracts.usage import UNITS_MEASURED, UnitsMeasured
from vigia_registry import schema
from vigia_registry.hosting import overview

_SOURCE: Final = "vigia/registry"


async def measure(session: AsyncSession, minute: datetime) -> int:
    """Announce the units of every version that is hosted or should be; how many there are.

    The event's id is made of version and minute: who measures a minute again, as a new leader does, adds nothing.
    """
    measured = [
        UnitsMeasured(
            account_id=version.account_id,
            region=version.region,
            project=version.project,
            model_arn=version.arn,
            model_version=str(version.version),
            minute=minute,
            min_units=version.min_units,
            max_units=version.max_units,
            desired_units=version.desired_units,
            in_service_units=version.in_service_units,
        )
        for version in await overview.units(session)
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
