"""Asking for hosting and looking at it. Every function works in the caller's transaction; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.hosting.domain import Desired, HostingView, Observed
from vigia_registry.hosting.scaling import within
from vigia_registry.hosting.tables import hostings

_VIEW = (
    hostings.c.model_version_id,
    hostings.c.desired,
    hostings.c.observed,
    hostings.c.reason,
    hostings.c.in_service_units,
    hostings.c.desired_units,
    hostings.c.min_units,
    hostings.c.max_units,
)


async def request_start(
    session: AsyncSession, model_version_id: UUID, min_units: int, max_units: int | None = None
) -> None:
    """From now on the version is to be hosted by ``min_units``, and with ``max_units`` by as many as demand asks for.

    A start that failed before is tried again. For a version that serves, this changes its units and interrupts
    nothing.
    """
    start = insert(hostings).values(
        model_version_id=model_version_id,
        desired=Desired.HOSTED,
        min_units=min_units,
        max_units=max_units,
        desired_units=min_units,
    )
    failed = hostings.c.observed == Observed.FAILED
    await session.execute(
        start.on_conflict_do_update(
            index_elements=[hostings.c.model_version_id],
            set_={
                "desired": start.excluded.desired,
                "min_units": start.excluded.min_units,
                "max_units": start.excluded.max_units,
                "desired_units": start.excluded.desired_units,
                "observed": case((failed, Observed.ABSENT), else_=hostings.c.observed),
                "observed_at": case((failed, func.now()), else_=hostings.c.observed_at),
                "reason": None,
                **_touched(),
            },
        )
    )


async def request_stop(session: AsyncSession, model_version_id: UUID) -> None:
    """From now on the version is not to be hosted. No effect on one that never was."""
    await session.execute(
        update(hostings)
        .where(hostings.c.model_version_id == model_version_id)
        .values(desired=Desired.NONE, reason=None, **_touched())
    )


async def view(session: AsyncSession, model_version_id: UUID) -> HostingView:
    """How the version is hosted; a version that never was is wanted and seen nowhere."""
    return (await views(session, [model_version_id])).get(model_version_id, HostingView())


async def views(session: AsyncSession, model_version_ids: Iterable[UUID]) -> dict[UUID, HostingView]:
    """How each of these versions is hosted; those that never were are left out."""
    rows = await session.execute(select(*_VIEW).where(hostings.c.model_version_id.in_(list(model_version_ids))))
    return {row.model_version_id: _hosting_view(row) for row in rows}


def _touched() -> dict[str, Any]:
    return {
        "generation": hostings.c.generation + 1,
        "revision": hostings.c.revision + 1,
        "updated_at": func.now(),
    }


def _hosting_view(row: Row[*tuple[Any, ...]]) -> HostingView:
    desired = Desired(row.desired)
    units = within(row.desired_units, row.min_units, row.max_units)
    return HostingView(
        desired=desired,
        observed=Observed(row.observed),
        reason=row.reason,
        units=row.in_service_units,
        desired_units=units if desired is Desired.HOSTED else 0,
        min_units=row.min_units,
        max_units=row.max_units,
        started=True,
    )
