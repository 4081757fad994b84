"""The deletion job of a dataset: its entries and its row. Images are never touched."""

from __future__ import annotations

from uuid import UUID

from vigia_registry.datasets import repository
from vigia_registry.datasets.domain import DatasetState
from vigia_registry.db import Database


async def delete_dataset(database: Database, dataset_id: UUID) -> None:
    """Remove a dataset that is marked for it. Safe to repeat."""
    async with database.transaction() as session:
        dataset = await repository.lock_by_id(session, dataset_id)
        if dataset is not None and dataset.state is DatasetState.DELETE_IN_PROGRESS:
            await repository.remove(session, dataset_id)
