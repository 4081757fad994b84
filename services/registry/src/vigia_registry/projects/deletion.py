"""The deletion job of a project: its trials, its files with us, then its row."""

from __future__ import annotations

from uuid import UUID

from vigia_registry.db import Database
from vigia_registry.objects import remove_below
from vigia_registry.projects import repository
from vigia_registry.projects.domain import ProjectState, prefix_of
from vigia_registry.tags import repository as tags
from vigia_registry.trials import repository as trials
from vigia_runtime.objects import ObjectStore


async def delete_project(database: Database, objects: ObjectStore, bucket: str, project_id: UUID) -> None:
    """Remove a project that is marked for it, with its trials and all its objects in ``bucket``. Safe to repeat."""
    async with database.transaction() as session:
        project = await repository.lock_by_id(session, project_id)
        if project is None or project.state is not ProjectState.DELETING:
            return
        # First, for whoever writes objects of a trial holds it locked.
        await trials.remove_of_project(session, project.id)
        await remove_below(objects, bucket, prefix_of(project))
        await tags.remove_all(session, project.arn)
        await repository.remove(session, project.id)
