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
from vigia_runtime.logging import get_logger
from vigia_runtime.outbox import Backlog

log = get_logger(__name__)

_SOURCE: Final = "vigia/registry"


async def measure(session: AsyncSession, minute: datetime, most_waiting: int | None = None) -> int:
    """Announce the units of every version that is hosted or should be; how many there are.

    The event's id is made of version and minute: who measures a minute again, as a new leader does, adds nothing.
    While ``most_waiting`` announcements wait for Kafka, nothing is measured.
    """
    if most_waiting is not None:
        backlog = Backlog(schema.outbox)
        await backlog.refresh(session, most_waiting)
        if backlog.size >= most_waiting:
            log.warning("too much waits for Kafka, units are not measured", waiting=backlog.size)
            return 0
    measured = [
        UnitsMeasured(
            account_id=version.account_id,
            region=version.region,
            project=version.project,
            model_arn=version.arn,
            model_version=version.version,
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
