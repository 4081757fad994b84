"""Packaging jobs in the database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, and_, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner
from vigia_registry.packaging.domain import TRANSITIONS, UNDER_WAY, Configuration, PackagingJob, PackagingState
from vigia_registry.packaging.tables import packaging_jobs
from vigia_registry.states import step

_IS_UNDER_WAY = packaging_jobs.c.state.in_([state.value for state in sorted(UNDER_WAY)])


def _job(row: RowMapping) -> PackagingJob:
    return PackagingJob(
        **{
            **row,
            "state": PackagingState(row["state"]),
            "configuration": Configuration.model_validate(row["configuration"]),
        }
    )


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(packaging_jobs.c.account_id == owner.account_id, packaging_jobs.c.region == owner.region)


async def add(session: AsyncSession, job: PackagingJob) -> bool:
    """Store a new job; False when its name or its component is taken."""
    values = {
        "id": job.id,
        "project_id": job.project_id,
        "model_version_id": job.model_version_id,
        "account_id": job.account_id,
        "region": job.region,
        "name": job.name,
        "model_version": job.model_version,
        "description": job.description,
        "configuration": job.configuration.model_dump(mode="json"),
        "component_name": job.component_name,
        "component_version": job.component_version,
        "state": job.state.value,
        "status_message": job.status_message,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }
    added = await session.execute(
        insert(packaging_jobs).values(values).on_conflict_do_nothing().returning(packaging_jobs.c.id)
    )
    return added.one_or_none() is not None


async def find(session: AsyncSession, project_id: UUID, name: str) -> PackagingJob | None:
    """The project's job of that name, or None."""
    query = select(packaging_jobs).where(packaging_jobs.c.project_id == project_id, packaging_jobs.c.name == name)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _job(row._mapping)


async def lock_by_id(session: AsyncSession, job_id: UUID) -> PackagingJob | None:
    """The job of that id, which nobody else changes until the transaction ends, or None."""
    query = select(packaging_jobs).where(packaging_jobs.c.id == job_id).with_for_update(key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _job(row._mapping)


async def page(
    session: AsyncSession, project_id: UUID, before: tuple[datetime, UUID] | None, limit: int
) -> list[PackagingJob]:
    """Up to ``limit`` jobs of the project, newest first, older than the position ``before``."""
    query = select(packaging_jobs).where(packaging_jobs.c.project_id == project_id)
    if before is not None:
        query = query.where(tuple_(packaging_jobs.c.created_at, packaging_jobs.c.id) < before)
    rows = await session.execute(
        query.order_by(packaging_jobs.c.created_at.desc(), packaging_jobs.c.id.desc()).limit(limit)
    )
    return [_job(row._mapping) for row in rows]


async def count(session: AsyncSession, project_id: UUID) -> int:
    """How many jobs the project has."""
    found = await session.execute(
        select(func.count()).select_from(packaging_jobs).where(packaging_jobs.c.project_id == project_id)
    )
    return found.scalar_one()


async def count_under_way(session: AsyncSession, owner: Owner) -> int:
    """How many jobs the account has under way in the region."""
    found = await session.execute(select(func.count()).select_from(packaging_jobs).where(_of(owner), _IS_UNDER_WAY))
    return found.scalar_one()


async def under_way(session: AsyncSession, model_version_id: UUID) -> str | None:
    """The name of a job that packages the version just now, or None."""
    query = (
        select(packaging_jobs.c.name)
        .where(packaging_jobs.c.model_version_id == model_version_id, _IS_UNDER_WAY)
        .order_by(packaging_jobs.c.created_at)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def move(session: AsyncSession, job: PackagingJob, target: PackagingState, message: str) -> None:
    """Store a new state and what it means; ForbiddenTransitionError."""
    state = step(TRANSITIONS, job.state, target)
    await session.execute(
        update(packaging_jobs)
        .where(packaging_jobs.c.id == job.id)
        .values(state=state.value, status_message=message, updated_at=func.now())
    )
