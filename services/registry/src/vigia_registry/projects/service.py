"""Projects: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.datasets import repository as datasets
from vigia_registry.errors import Resource
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.jobs import queue
from vigia_registry.models import repository as models
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository
from vigia_registry.projects.domain import Project, ProjectState, project_arn
from vigia_registry.projects.errors import (
    ProjectBeingDeleted,
    ProjectExists,
    ProjectNotEmpty,
    ProjectNotFound,
    TooManyProjects,
)
from vigia_registry.settings import LimitSettings
from vigia_registry.tags import repository as tag_rows
from vigia_registry.tags import service as tags


async def create(session: AsyncSession, owner: Owner, name: str, limit: int) -> Project:
    """A new project. ProjectExists, TooManyProjects when the account has ``limit`` already."""
    if await repository.by_name(session, owner, name) is not None:
        raise ProjectExists(name)
    await repository.lock_account(session, owner.account_id)
    if await repository.count(session, owner) >= limit:
        raise TooManyProjects(name, limit)
    now = datetime.now(UTC)
    project = Project(
        id=uuid4(),
        account_id=owner.account_id,
        region=owner.region,
        service=owner.service,
        name=name,
        arn=project_arn(owner, name, None if owner.service is Service.LOOKOUT else now),
        state=ProjectState.ACTIVE,
        next_version=1,
        created_at=now,
    )
    if not await repository.add(session, project):
        raise ProjectExists(name)
    return project


async def get(session: AsyncSession, owner: Owner, name: str) -> Project:
    """The project of that name; ProjectNotFound."""
    project = await repository.by_name(session, owner, name)
    if project is None:
        raise ProjectNotFound(name)
    return project


async def lock_active(session: AsyncSession, owner: Owner, name: str) -> Project:
    """The project, locked until the transaction ends; ProjectNotFound, ProjectBeingDeleted."""
    project = await repository.lock_by_name(session, owner, name)
    if project is None:
        raise ProjectNotFound(name)
    if project.state is ProjectState.DELETING:
        raise ProjectBeingDeleted(name)
    return project


async def by_arn(session: AsyncSession, owner: Owner, arn: str) -> Project:
    """The owner's project of that ARN; ProjectNotFound, also where a later one has its name."""
    project = await repository.by_arn(session, owner, arn)
    if project is None:
        raise ProjectNotFound(arn)
    return project


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, token: str | None, limit: int, names: Sequence[str] = ()
) -> Page[Project]:
    """Projects of the owner, oldest first: those of the given names, or all."""
    scope = ("projects", owner.account_id, owner.region, owner.service.value, *names)
    position = pages.read(scope, token)
    after = None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))
    rows = await repository.page(session, owner, after, limit + 1, names)
    return pages.cut(scope, rows, limit, lambda row: [row.created_at.isoformat(), str(row.id)])


async def delete(session: AsyncSession, owner: Owner, name: str) -> Project:
    """Start to delete a project that has no datasets and no model versions.

    ProjectNotFound, ProjectNotEmpty, ProjectBeingDeleted. What the product stored for it goes too; images never do.
    """
    project = await lock_active(session, owner, name)
    held, versions = await datasets.count(session, project.id), await models.count(session, project.id)
    if held or versions:
        raise ProjectNotEmpty(name, held, versions)
    await repository.move(session, project, ProjectState.DELETING)
    await queue.project_deletion(session, project.id)
    return project


async def tag(session: AsyncSession, limits: LimitSettings, owner: Owner, arn: str, given: Mapping[str, str]) -> None:
    """Tag the project of that ARN. ProjectNotFound, TagReserved, TooManyTags."""
    project = await _lock_by_arn(session, owner, arn)
    await tags.put(session, Resource.PROJECT, project.arn, given, limits.tags)


async def untag(session: AsyncSession, owner: Owner, arn: str, keys: Collection[str]) -> None:
    """Take tags from the project of that ARN; keys that it does not have are no error. ProjectNotFound."""
    project = await _lock_by_arn(session, owner, arn)
    await tag_rows.remove(session, project.arn, keys)


async def tags_of(session: AsyncSession, owner: Owner, arn: str) -> dict[str, str]:
    """The tags of the project of that ARN, by key. ProjectNotFound."""
    return await tag_rows.of(session, (await by_arn(session, owner, arn)).arn)


async def _lock_by_arn(session: AsyncSession, owner: Owner, arn: str) -> Project:
    found = await by_arn(session, owner, arn)
    project = await repository.lock_by_id(session, found.id)
    if project is None:
        raise ProjectNotFound(arn)
    return project
