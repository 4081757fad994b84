"""Projects in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, and_, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner, Service
from vigia_registry.identity.tables import accounts
from vigia_registry.projects.domain import TRANSITIONS, Project, ProjectState
from vigia_registry.projects.tables import projects
from vigia_registry.states import step

_COLUMNS = (
    projects.c.id,
    projects.c.account_id,
    projects.c.region,
    projects.c.service,
    projects.c.name,
    projects.c.arn,
    projects.c.state,
    projects.c.next_version,
    projects.c.created_at,
)


def _project(row: RowMapping) -> Project:
    return Project(**{**row, "service": Service(row["service"]), "state": ProjectState(row["state"])})


def of_owner(owner: Owner) -> ColumnElement[bool]:
    """What holds of the owner's projects."""
    return and_(
        projects.c.account_id == owner.account_id,
        projects.c.region == owner.region,
        projects.c.service == owner.service.value,
    )


def _named(owner: Owner, name: str) -> Select[Any]:
    return select(*_COLUMNS).where(of_owner(owner), projects.c.name == name)


async def lock_account(session: AsyncSession, account_id: str) -> None:
    """Wait until nobody else counts what this account has."""
    await session.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True))


async def add(session: AsyncSession, project: Project) -> bool:
    """Store a new project; False when the name is taken."""
    values = {
        "id": project.id,
        "account_id": project.account_id,
        "region": project.region,
        "service": project.service.value,
        "name": project.name,
        "arn": project.arn,
        "state": project.state.value,
        "created_at": project.created_at,
    }
    added = await session.execute(insert(projects).values(values).on_conflict_do_nothing().returning(projects.c.id))
    return added.one_or_none() is not None


async def by_name(session: AsyncSession, owner: Owner, name: str) -> Project | None:
    """The project of that name, or None."""
    row = (await session.execute(_named(owner, name))).one_or_none()
    return None if row is None else _project(row._mapping)


async def lock_by_name(session: AsyncSession, owner: Owner, name: str) -> Project | None:
    """As ``by_name``; nobody else changes the project until the transaction ends."""
    row = (await session.execute(_named(owner, name).with_for_update(key_share=True))).one_or_none()
    return None if row is None else _project(row._mapping)


async def by_id(session: AsyncSession, project_id: UUID) -> Project | None:
    """The project of that id, or None."""
    row = (await session.execute(select(*_COLUMNS).where(projects.c.id == project_id))).one_or_none()
    return None if row is None else _project(row._mapping)


async def lock_by_id(session: AsyncSession, project_id: UUID) -> Project | None:
    """The project of that id, locked, or None."""
    row = (
        await session.execute(select(*_COLUMNS).where(projects.c.id == project_id).with_for_update(key_share=True))
    ).one_or_none()
    return None if row is None else _project(row._mapping)


async def count(session: AsyncSession, owner: Owner) -> int:
    """How many projects the account has in the region."""
    found = await session.execute(select(func.count()).select_from(projects).where(of_owner(owner)))
    return found.scalar_one()


async def by_arn(session: AsyncSession, owner: Owner, arn: str) -> Project | None:
    """The owner's project of that ARN, or None."""
    row = (await session.execute(select(*_COLUMNS).where(of_owner(owner), projects.c.arn == arn))).one_or_none()
    return None if row is None else _project(row._mapping)


async def page(
    session: AsyncSession, owner: Owner, after: tuple[datetime, UUID] | None, limit: int, names: Sequence[str] = ()
) -> list[Project]:
    """Up to ``limit`` projects, oldest first, behind the position ``after``; those being deleted are still there.

    With ``names``, only projects that are called so.
    """
    query = select(*_COLUMNS).where(of_owner(owner))
    if names:
        query = query.where(projects.c.name.in_(names))
    if after is not None:
        query = query.where(tuple_(projects.c.created_at, projects.c.id) > after)
    rows = await session.execute(query.order_by(projects.c.created_at, projects.c.id).limit(limit))
    return [_project(row._mapping) for row in rows]


async def take_version(session: AsyncSession, project_id: UUID) -> int:
    """The next model version's number; no other call ever gets the same one."""
    taken = await session.execute(
        update(projects)
        .where(projects.c.id == project_id)
        .values(next_version=projects.c.next_version + 1)
        .returning(projects.c.next_version - 1)
    )
    return int(taken.scalar_one())


async def move(session: AsyncSession, project: Project, target: ProjectState) -> None:
    """Store the project's new state; ForbiddenTransitionError."""
    state = step(TRANSITIONS, project.state, target)
    await session.execute(update(projects).where(projects.c.id == project.id).values(state=state.value))


async def remove(session: AsyncSession, project_id: UUID) -> None:
    """Forget the project."""
    await session.execute(delete(projects).where(projects.c.id == project_id))
