"""Project policies: use cases. Every function works in the caller's transaction.

They go with their project.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner
from vigia_registry.pagination import Page, Pages
from vigia_registry.policies import domain, repository
from vigia_registry.policies.domain import ProjectPolicy
from vigia_registry.policies.errors import PolicyExists, PolicyNotFound, TooManyPolicies, WrongRevision
from vigia_registry.projects import service as projects
from vigia_runtime.policies import Decision
from vigia_runtime.sigv4 import Credential


async def put(
    session: AsyncSession, owner: Owner, arn: str, name: str, document: str, revision_id: str | None, limit: int
) -> str:
    """Attach a policy to the project of that ARN, or replace the one whose latest revision ``revision_id`` is.

    The new revision's id. PolicyMalformed, ProjectNotFound, ProjectBeingDeleted, PolicyExists, WrongRevision,
    TooManyPolicies when the project has ``limit`` already.
    """
    domain.parse(document)
    project = await projects.by_arn(session, owner, arn)
    project = await projects.lock_active(session, owner, project.name)
    policy = await repository.find(session, project.id, name)
    new_id = secrets.token_hex(16)
    if revision_id is not None:
        if policy is None or policy.revision_id != revision_id.lower():
            raise WrongRevision(project.name, name, revision_id)
        await repository.change(session, policy, document, new_id)
        return new_id
    if policy is not None:
        raise PolicyExists(project.name, name)
    if await repository.count(session, project.id) >= limit:
        raise TooManyPolicies(project.name, limit)
    now = datetime.now(UTC)
    await repository.add(session, ProjectPolicy(project.id, name, document, new_id, now, now))
    return new_id


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, arn: str, token: str | None, limit: int
) -> Page[ProjectPolicy]:
    """The policies of the project of that ARN, by name. ProjectNotFound."""
    project = await projects.by_arn(session, owner, arn)
    scope = ("policies", str(project.id))
    position = pages.read(scope, token)
    after = None if position is None else position[0]
    rows = await repository.page(session, project.id, after, limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [row.name])


async def delete(session: AsyncSession, owner: Owner, arn: str, name: str, revision_id: str | None) -> None:
    """Remove a policy; with ``revision_id`` only if that is its latest revision.

    ProjectNotFound, ProjectBeingDeleted, PolicyNotFound, WrongRevision.
    """
    project = await projects.by_arn(session, owner, arn)
    project = await projects.lock_active(session, owner, project.name)
    policy = await repository.find(session, project.id, name)
    if policy is None:
        raise PolicyNotFound(project.name, name)
    if revision_id is not None and policy.revision_id != revision_id.lower():
        raise WrongRevision(project.name, name, revision_id)
    await repository.remove(session, policy)


async def decide(session: AsyncSession, project_id: UUID, caller: Credential, action: str, resource: str) -> Decision:
    """What a project's policies say to the caller's doing ``action`` to one of its versions."""
    policies = await repository.page(session, project_id, None, None)
    return domain.decide([policy.document for policy in policies], caller, action, resource)
