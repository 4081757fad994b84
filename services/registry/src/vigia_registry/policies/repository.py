"""Project policies in the database."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.policies.domain import ProjectPolicy
from vigia_registry.policies.tables import project_policies


async def find(session: AsyncSession, project_id: UUID, name: str) -> ProjectPolicy | None:
    """The project's policy of that name, or None."""
    query = select(project_policies).where(project_policies.c.project_id == project_id, project_policies.c.name == name)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else ProjectPolicy(**row._mapping)


async def page(session: AsyncSession, project_id: UUID, after: str | None, limit: int | None) -> list[ProjectPolicy]:
    """Up to ``limit`` policies of the project, or all, by name, behind the name ``after``."""
    name = project_policies.c.name.collate("C")
    query = select(project_policies).where(project_policies.c.project_id == project_id)
    if after is not None:
        query = query.where(name > after)
    rows = await session.execute(query.order_by(name).limit(limit))
    return [ProjectPolicy(**row._mapping) for row in rows]


async def count(session: AsyncSession, project_id: UUID) -> int:
    """How many policies the project has."""
    found = await session.execute(
        select(func.count()).select_from(project_policies).where(project_policies.c.project_id == project_id)
    )
    return found.scalar_one()


async def add(session: AsyncSession, policy: ProjectPolicy) -> None:
    """Store a new policy."""
    await session.execute(
        insert(project_policies).values(
            project_id=policy.project_id,
            name=policy.name,
            document=policy.document,
            revision_id=policy.revision_id,
            created_at=policy.created_at,
            updated_at=policy.updated_at,
        )
    )


async def change(session: AsyncSession, policy: ProjectPolicy, document: str, revision_id: str) -> None:
    """Store a new document and its revision."""
    await session.execute(
        update(project_policies)
        .where(project_policies.c.project_id == policy.project_id, project_policies.c.name == policy.name)
        .values(document=document, revision_id=revision_id, updated_at=func.now())
    )


async def remove(session: AsyncSession, policy: ProjectPolicy) -> None:
    """Forget the policy."""
    await session.execute(
        delete(project_policies).where(
            project_policies.c.project_id == policy.project_id, project_policies.c.name == policy.name
        )
    )
