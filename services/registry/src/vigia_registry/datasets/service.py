"""Datasets: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import repository
from vigia_registry.datasets.domain import (
    READABLE,
    Dataset,
    DatasetKind,
    DatasetState,
    EntryFilter,
    ImageStats,
    may_become,
)
from vigia_registry.datasets.errors import (
    DatasetBusy,
    DatasetChanged,
    DatasetExists,
    DatasetNotFound,
    ManifestUnavailable,
)
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import queue
from vigia_registry.objects import Fence, S3Rights
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project, prefix_of
from vigia_runtime.objects import ObjectNotFound, ObjectStore
from vigia_runtime.sealing import Seal

_EMPTY = "The dataset was created without images."
_IMPORTING = "The dataset is being created from its manifest."
_UPDATING = "The dataset is being updated."
_DELETING = "The dataset is being deleted."


async def check_manifest(
    objects: ObjectStore, fence: Fence, rights: S3Rights, source: ObjectRef, most_bytes: int
) -> None:
    """ManifestUnavailable when the manifest may not be named, does not exist or is too large, AccessDenied when the
    caller's policies say no. Its content is checked by the import.

    Of a pinned version only the bucket is checked here, the rest by the import.
    """
    if not fence.allows(source.bucket, source.key):
        raise ManifestUnavailable(f"The manifest may not be read: {fence.why(source.bucket)}.")
    rights.require("GetBucketLocation", source.bucket)
    rights.require("GetObject", source.bucket, source.key)
    if source.version_id is not None:
        rights.require("GetObjectVersion", source.bucket, source.key)
    if not await objects.bucket_exists(source.bucket):
        raise ManifestUnavailable(f"The bucket {source.bucket} of the manifest does not exist.")
    if source.version_id is not None:
        return
    try:
        size = (await objects.head(source.bucket, source.key)).size
    except ObjectNotFound as error:
        raise ManifestUnavailable(f"The manifest {error.message}.") from error
    if size > most_bytes:
        raise ManifestUnavailable(
            f"The manifest s3://{source.bucket}/{source.key} has {size} bytes, more than {most_bytes}."
        )


async def create(
    session: AsyncSession,
    owner: Owner,
    project_name: str,
    kind: DatasetKind,
    source: ObjectRef | None,
    rights: S3Rights,
) -> Dataset:
    """A new dataset: empty and complete without a source, else being imported with the caller's ``rights``.

    ProjectNotFound, ProjectBeingDeleted, DatasetExists.
    """
    project = await projects.lock_active(session, owner, project_name)
    now = datetime.now(UTC)
    dataset = Dataset(
        id=uuid4(),
        project_id=project.id,
        kind=kind,
        state=DatasetState.CREATE_COMPLETE if source is None else DatasetState.CREATE_IN_PROGRESS,
        status_message=_EMPTY if source is None else _IMPORTING,
        source=source,
        created_at=now,
        updated_at=now,
    )
    if not await repository.add(session, dataset):
        raise DatasetExists(project_name, kind)
    if source is not None:
        await queue.entries_import(session, dataset.id, _key_of(rights))
    return dataset


async def get(session: AsyncSession, owner: Owner, project_name: str, kind: DatasetKind) -> tuple[Dataset, ImageStats]:
    """A dataset and how many images it has; ProjectNotFound, DatasetNotFound."""
    dataset = await _find(session, owner, project_name, kind)
    return dataset, await repository.stats(session, dataset.id)


async def page_of_entries(
    session: AsyncSession,
    pages: Pages,
    owner: Owner,
    project_name: str,
    kind: DatasetKind,
    chosen: EntryFilter,
    token: str | None,
    limit: int,
) -> Page[str]:
    """Entries as JSON Lines, in the order in which they came."""
    dataset = await _find(session, owner, project_name, kind)
    if dataset.state in (DatasetState.CREATE_IN_PROGRESS, DatasetState.DELETE_IN_PROGRESS):
        raise DatasetBusy(project_name, kind, dataset.state)
    scope = ["entries", str(dataset.id), *chosen.scope()]
    position = pages.read(scope, token)
    after = None if position is None else int(position[0])
    rows = await repository.page(session, dataset.id, chosen, after, limit + 1)
    page = pages.cut(scope, rows, limit, lambda row: [str(row[0])])
    return Page([line for _, line in page.items], page.next_token)


async def update_entries(
    session: AsyncSession,
    objects: ObjectStore,
    bucket: str,
    owner: Owner,
    project_name: str,
    kind: DatasetKind,
    changes: bytes,
    rights: S3Rights,
) -> Dataset:
    """Start to add or replace entries; all of ``changes`` (JSON Lines) or nothing.

    ``bucket`` is ours, where the changes wait for the job. ProjectNotFound, DatasetNotFound, DatasetBusy.
    """
    project = await projects.lock_active(session, owner, project_name)
    dataset = await _lock_for(session, project, kind, DatasetState.UPDATE_IN_PROGRESS)
    # A key of its own: the job removes it, and must not remove what another update waits for.
    stored = await objects.put(bucket, f"{prefix_of(project)}changes/{uuid4()}", changes, seal=Seal(project.account_id))
    source = ObjectRef(bucket=stored.bucket, key=stored.key)
    await repository.move(session, dataset, DatasetState.UPDATE_IN_PROGRESS, _UPDATING, source)
    await queue.entries_import(session, dataset.id, _key_of(rights))
    return await _require(session, project, kind)


async def delete(session: AsyncSession, owner: Owner, project_name: str, kind: DatasetKind) -> None:
    """Start to delete a dataset; its images stay. ProjectNotFound, DatasetNotFound, DatasetBusy."""
    project = await projects.lock_active(session, owner, project_name)
    dataset = await _lock_for(session, project, kind, DatasetState.DELETE_IN_PROGRESS)
    await repository.move(session, dataset, DatasetState.DELETE_IN_PROGRESS, _DELETING)
    await queue.dataset_deletion(session, dataset.id)


async def readable(session: AsyncSession, project: Project, kind: DatasetKind) -> Dataset | None:
    """The project's dataset, whose entries are whole; None when there is none. DatasetBusy."""
    dataset = await repository.find(session, project.id, kind)
    if dataset is not None and dataset.state not in READABLE:
        raise DatasetBusy(project.name, kind, dataset.state)
    return dataset


async def require_unchanged(session: AsyncSession, project: Project, kind: DatasetKind, before: Dataset | None) -> None:
    """DatasetChanged when the dataset is not what it was ``before``; locked, it stays so for the transaction."""
    if await repository.lock(session, project.id, kind) != before:
        raise DatasetChanged(project.name, kind)


def _key_of(rights: S3Rights) -> str | None:
    return None if rights.caller is None else rights.caller.access_key_id


async def _find(session: AsyncSession, owner: Owner, project_name: str, kind: DatasetKind) -> Dataset:
    return await _require(session, await projects.get(session, owner, project_name), kind)


async def _require(session: AsyncSession, project: Project, kind: DatasetKind) -> Dataset:
    dataset = await repository.find(session, project.id, kind)
    if dataset is None:
        raise DatasetNotFound(project.name, kind)
    return dataset


async def _lock_for(session: AsyncSession, project: Project, kind: DatasetKind, target: DatasetState) -> Dataset:
    dataset = await repository.lock(session, project.id, kind)
    if dataset is None:
        raise DatasetNotFound(project.name, kind)
    if not may_become(dataset.state, target):
        raise DatasetBusy(project.name, kind, dataset.state)
    return dataset


async def of_projects(session: AsyncSession, project_ids: Sequence[UUID]) -> dict[UUID, list[Dataset]]:
    """Datasets by project, training first; projects without any are left out."""
    return await repository.of_projects(session, project_ids)


async def of_project(session: AsyncSession, project: Project) -> list[Dataset]:
    """The project's datasets, training first."""
    return await repository.of_project(session, project.id)
