"""The deletion job of a dataset: its entries, its tags and its row. Images are never touched."""

from __future__ import annotations

from uuid import UUID

from vigia_registry.datasets import repository
from vigia_registry.datasets.domain import DatasetState, dataset_arn
from vigia_registry.db import Database
from vigia_registry.projects import repository as projects
from vigia_registry.tags import repository as tags


async def delete_dataset(database: Database, dataset_id: UUID) -> None:
    """Remove a dataset that is marked for it. Safe to repeat."""
    async with database.transaction() as session:
        dataset = await repository.lock_by_id(session, dataset_id)
        if dataset is None or dataset.state is not DatasetState.DELETE_IN_PROGRESS:
            return
        project = await projects.by_id(session, dataset.project_id)
        if project is not None:  # it cannot go before its datasets
            await tags.remove_all(session, dataset_arn(project, dataset))
        await repository.remove(session, dataset_id)
