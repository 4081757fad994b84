"""Datasets: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import repository
from vigia_registry.datasets.domain import (
    READABLE,
    Dataset,
    DatasetKind,
    DatasetRef,
    DatasetState,
    EntryFilter,
    EntryStats,
    ImageStats,
    LabelUse,
    ListedEntry,
    dataset_arn,
    may_become,
    named_by,
)
from vigia_registry.datasets.errors import (
    DatasetArnNotFound,
    DatasetBusy,
    DatasetChanged,
    DatasetExists,
    DatasetNotFound,
    DatasetUnready,
    ManifestUnavailable,
    NotCopyable,
    NotDistributable,
)
from vigia_registry.errors import Resource
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.jobs import queue
from vigia_registry.objects import Fence, S3Rights
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository as project_rows
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project, prefix_of
from vigia_registry.settings import LimitSettings
from vigia_registry.tags import repository as tag_rows
from vigia_registry.tags import service as tags
from vigia_runtime.objects import ObjectNotFound, ObjectStore
from vigia_runtime.sealing import Seal

_EMPTY = "The dataset was created without images."
_IMPORTING = "The dataset is being created from its manifest."
_COPYING = "The dataset is being created from another dataset."
_DISTRIBUTING = "The entries of the dataset are being distributed."
_UPDATING = "The dataset is being updated."
_DELETING = "The dataset is being deleted."
#: States in which there are no entries yet, or soon no more.
_WITHOUT_ENTRIES = (DatasetState.CREATE_IN_PROGRESS, DatasetState.DELETE_IN_PROGRESS)


def check_named(fence: Fence, rights: S3Rights, source: ObjectRef) -> None:
    """ManifestUnavailable when the manifest may not be named, AccessDenied when the caller's policies say no."""
    if not fence.allows(source.bucket, source.key):
        raise ManifestUnavailable(f"The manifest may not be read: {fence.why(source.bucket)}.")
    rights.require("GetBucketLocation", source.bucket)
    rights.require("GetObject", source.bucket, source.key)
    if source.version_id is not None:
        rights.require("GetObjectVersion", source.bucket, source.key)


async def check_manifest(
    objects: ObjectStore, fence: Fence, rights: S3Rights, source: ObjectRef, most_bytes: int
) -> None:
    """ManifestUnavailable when the manifest may not be named, does not exist or is too large, AccessDenied when the
    caller's policies say no. Its content is checked by the import.

    Of a pinned version only the bucket is checked here, the rest by the import.
    """
    check_named(fence, rights, source)
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
    source: ObjectRef | DatasetRef | None,
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
        status_message=_EMPTY if source is None else _IMPORTING if isinstance(source, ObjectRef) else _COPYING,
        source=source,
        created_at=now,
        updated_at=now,
        stats=None if project.service is Service.LOOKOUT else EntryStats(),
    )
    if not await repository.add(session, dataset):
        raise DatasetExists(project_name, kind)
    if source is not None:
        await queue.entries_import(session, dataset.id, _key_of(rights))
    return dataset


async def by_arn(session: AsyncSession, owner: Owner, arn: str) -> tuple[Project, Dataset]:
    """The owner's dataset of that ARN and its project; DatasetArnNotFound, also where a later one is called so."""
    named = named_by(arn)
    project = None if named is None else await project_rows.by_name(session, owner, named[0])
    dataset = None if named is None or project is None else await repository.find(session, project.id, named[1])
    if project is None or dataset is None or dataset_arn(project, dataset) != arn:
        raise DatasetArnNotFound(arn)
    return project, dataset


async def lock_by_arn(session: AsyncSession, owner: Owner, arn: str) -> tuple[Project, Dataset]:
    """As ``by_arn``; the project is locked, so that its name can come to mean no other dataset in the transaction."""
    named = named_by(arn)
    if named is not None:
        await project_rows.lock_by_name(session, owner, named[0])
    return await by_arn(session, owner, arn)


async def to_copy(session: AsyncSession, owner: Owner, arn: str) -> DatasetRef:
    """The dataset of that ARN as a source of another one; DatasetArnNotFound, NotCopyable."""
    _, dataset = await by_arn(session, owner, arn)
    if dataset.state in (*_WITHOUT_ENTRIES, DatasetState.CREATE_FAILED):
        raise NotCopyable(arn, dataset.state)
    return DatasetRef(dataset.id)


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
) -> Page[ListedEntry]:
    """Entries in the order in which they came. ProjectNotFound, DatasetNotFound, DatasetUnready."""
    dataset = await _find(session, owner, project_name, kind)
    if dataset.state in _WITHOUT_ENTRIES:
        raise DatasetUnready(project_name, kind, dataset.state)
    scope = ["entries", str(dataset.id), *chosen.scope()]
    position = pages.read(scope, token)
    after = None if position is None else int(position[0])
    rows = await repository.page(session, dataset.id, chosen, after, limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [str(row.id)])


async def page_of_labels(
    session: AsyncSession, pages: Pages, owner: Owner, arn: str, token: str | None, limit: int
) -> Page[LabelUse]:
    """Labels of a dataset of Custom Labels, by name. DatasetArnNotFound, DatasetUnready."""
    project, dataset = await by_arn(session, owner, arn)
    if dataset.state in _WITHOUT_ENTRIES:
        raise DatasetUnready(project.name, dataset.kind, dataset.state)
    scope = ["labels", str(dataset.id)]
    position = pages.read(scope, token)
    labels = dataset.stats.labels if dataset.stats is not None else ()
    rows = [label for label in labels if position is None or label.name > position[0]]
    return pages.cut(scope, rows[: limit + 1], limit, lambda row: [row.name])


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
    await repository.begin(session, dataset, DatasetState.UPDATE_IN_PROGRESS, _UPDATING, source)
    await queue.entries_import(session, dataset.id, _key_of(rights))
    return await _require(session, project, kind)


async def delete(session: AsyncSession, owner: Owner, project_name: str, kind: DatasetKind) -> None:
    """Start to delete a dataset; its images stay. ProjectNotFound, DatasetNotFound, DatasetBusy."""
    project = await projects.lock_active(session, owner, project_name)
    dataset = await _lock_for(session, project, kind, DatasetState.DELETE_IN_PROGRESS)
    await repository.move(session, dataset, DatasetState.DELETE_IN_PROGRESS, _DELETING)
    await queue.dataset_deletion(session, dataset.id)


async def distribute(session: AsyncSession, owner: Owner, arns: Sequence[str]) -> None:
    """Start to move a representative share of a training dataset's entries to the project's empty test dataset.

    ``arns`` names the two, in any order; both are being updated from now on. DatasetArnNotFound, NotDistributable,
    DatasetUnready.
    """
    named = [await lock_by_arn(session, owner, arn) for arn in arns]
    of_kind = {dataset.kind: dataset for _, dataset in named}
    project = named[0][0]
    if len(named) != len(DatasetKind) or set(of_kind) != set(DatasetKind) or named[1][0].id != project.id:
        raise NotDistributable("Name the training dataset and the test dataset of one project.")
    # In the order in which their job locks them.
    for found in sorted(of_kind.values(), key=lambda dataset: dataset.id):
        dataset = await repository.lock(session, project.id, found.kind)
        if dataset is None:
            raise DatasetNotFound(project.name, found.kind)
        if not may_become(dataset.state, DatasetState.UPDATE_IN_PROGRESS):
            raise DatasetUnready(project.name, dataset.kind, dataset.state)
        of_kind[found.kind] = dataset
    train, test = of_kind[DatasetKind.TRAIN], of_kind[DatasetKind.TEST]
    if test.stats is not None and test.stats.total:
        raise NotDistributable(f"The test dataset of project {project.name} is not empty.")
    await repository.begin(session, train, DatasetState.UPDATE_IN_PROGRESS, _DISTRIBUTING)
    await repository.begin(session, test, DatasetState.UPDATE_IN_PROGRESS, _DISTRIBUTING, DatasetRef(train.id))
    await queue.entries_import(session, test.id, None)


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


async def tag(session: AsyncSession, limits: LimitSettings, owner: Owner, arn: str, given: Mapping[str, str]) -> None:
    """Tag the dataset of that ARN. DatasetArnNotFound, TagReserved, TooManyTags."""
    await lock_by_arn(session, owner, arn)
    await tags.put(session, Resource.DATASET, arn, given, limits.tags)


async def untag(session: AsyncSession, owner: Owner, arn: str, keys: Collection[str]) -> None:
    """Take tags from the dataset of that ARN; keys that it does not have are no error. DatasetArnNotFound."""
    await lock_by_arn(session, owner, arn)
    await tag_rows.remove(session, arn, keys)


async def tags_of(session: AsyncSession, owner: Owner, arn: str) -> dict[str, str]:
    """The tags of the dataset of that ARN, by key. DatasetArnNotFound."""
    await by_arn(session, owner, arn)
    return await tag_rows.of(session, arn)
