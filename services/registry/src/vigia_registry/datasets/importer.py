"""The import job: a manifest, or a set of changes, into entries. All of it or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import repository
from vigia_registry.datasets.domain import Dataset, DatasetKind, DatasetState
from vigia_registry.datasets.manifest import Entry, ManifestError, bucket_of, read_entries
from vigia_registry.db import Database
from vigia_registry.objects import S3Rights, fence_of, stream
from vigia_registry.settings import QuotaSettings
from vigia_runtime.errors import AccessDenied, AppError, Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import BucketNotFound, ObjectNotFound, ObjectStore
from vigia_runtime.settings import BucketSettings

log = get_logger(__name__)

_BATCH = 500
_DONE = {
    DatasetState.CREATE_IN_PROGRESS: (DatasetState.CREATE_COMPLETE, "The dataset was created successfully."),
    DatasetState.UPDATE_IN_PROGRESS: (DatasetState.UPDATE_COMPLETE, "The dataset was updated successfully."),
}
#: States of a dataset whose source are changes, which waited in a bucket of ours. A manifest is the customer's.
_CHANGED = frozenset(
    {
        DatasetState.UPDATE_IN_PROGRESS,
        DatasetState.UPDATE_COMPLETE,
        DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS,
        DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE,
    }
)


class _OvertakenError(Exception):
    """The dataset is not what it was when the import began: another worker took this one for dead and did the job."""


async def import_entries(
    database: Database,
    objects: ObjectStore,
    buckets: BucketSettings,
    quotas: QuotaSettings,
    dataset_id: UUID,
    rights: S3Rights | None = None,
) -> None:
    """Read the dataset's source into its entries and settle its state. ``rights``: of who asked for it.

    Safe to repeat: a dataset that waits for nothing is left alone. Transient errors of the store and the database
    propagate, and leave everything as it was.
    """
    async with database.transaction() as session:
        dataset = await repository.by_id(session, dataset_id)
    if dataset is None:
        return
    if dataset.state not in _DONE or dataset.source is None:
        await _finish(database, objects, dataset)
        return
    try:
        async with database.transaction() as session:
            await _copy(session, objects, buckets, quotas, dataset, dataset.source, rights)
            # Locked only now, so that a long import makes nobody wait.
            if await repository.lock_by_id(session, dataset_id) != dataset:
                raise _OvertakenError
            state, message = _DONE[dataset.state]
            await repository.move(session, dataset, state, message)
    except _OvertakenError:
        log.warning("an import was overtaken and changes nothing", dataset=str(dataset_id))
        return
    except ManifestError as error:
        await _give_up(database, dataset, str(error))
    await _finish(database, objects, dataset)


async def fail(database: Database, objects: ObjectStore, dataset_id: UUID, message: str) -> None:
    """Settle the state of a dataset whose import came to nothing; its entries are as they were before."""
    async with database.transaction() as session:
        dataset = await repository.by_id(session, dataset_id)
    if dataset is None:
        return
    await _give_up(database, dataset, message)
    try:
        await _finish(database, objects, dataset)
    except (Transient, AppError) as error:
        # It is settled by then, and so the customer may have begun something new.
        log.warning("changes of a failed update stay", dataset=str(dataset_id), error=str(error))


async def _give_up(database: Database, before: Dataset, message: str) -> None:
    """The import of the dataset as it was ``before`` has failed."""
    async with database.transaction() as session:
        if await repository.lock_by_id(session, before.id) != before:
            return
        if before.state is DatasetState.CREATE_IN_PROGRESS:
            await repository.move(session, before, DatasetState.CREATE_FAILED, message)
        if before.state is DatasetState.UPDATE_IN_PROGRESS:
            await repository.move(session, before, DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS, message)


async def _finish(database: Database, objects: ObjectStore, before: Dataset) -> None:
    """End a rollback, and forget the changes that ``before`` waited for.

    The database has rolled back by itself; the state in between is there for clients that expect it.
    """
    async with database.transaction() as session:
        dataset = await repository.lock_by_id(session, before.id)
        if dataset is not None and dataset.state is DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS:
            state = DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE
            await repository.move(session, dataset, state, dataset.status_message)
    if before.state in _CHANGED and before.source is not None:
        await objects.delete(before.source.bucket, before.source.key)


async def _copy(
    session: AsyncSession,
    objects: ObjectStore,
    buckets: BucketSettings,
    quotas: QuotaSettings,
    dataset: Dataset,
    source: ObjectRef,
    rights: S3Rights | None,
) -> None:
    fence = fence_of(buckets, await repository.account_of(session, dataset.project_id))
    known = await repository.first_source_ref(session, dataset.id)
    bucket = None if known is None else bucket_of(known)
    most = quotas.max_images_train if dataset.kind is DatasetKind.TRAIN else quotas.max_images_test
    await repository.begin_staging(session)
    batch: list[Entry] = []
    async for entry in read_entries(
        _chunks(objects, source, quotas.max_manifest_bytes), most, quotas.max_mask_labels, bucket, fence, rights
    ):
        batch.append(entry)
        if len(batch) == _BATCH:
            await repository.stage(session, batch)
            batch.clear()
    await repository.stage(session, batch)
    await repository.merge(session, dataset.id)
    total = (await repository.stats(session, dataset.id)).total
    if total > most:
        raise ManifestError(f"The dataset would have {total} images, more than {most}.")
    labels = await repository.count_labels(session, dataset.project_id)
    if labels > quotas.max_labels:
        raise ManifestError(f"The project would have {labels} anomaly labels, more than {quotas.max_labels}.")


async def _chunks(objects: ObjectStore, source: ObjectRef, most_bytes: int) -> AsyncIterator[bytes]:
    read = 0
    try:
        async for chunk in stream(objects, source):
            read += len(chunk)
            if read > most_bytes:
                raise ManifestError(f"The manifest is larger than {most_bytes} bytes.")
            yield chunk
    except (BucketNotFound, ObjectNotFound) as error:
        version = "" if source.version_id is None else f" in version {source.version_id}"
        raise ManifestError(f"The manifest s3://{source.bucket}/{source.key} does not exist{version}.") from error
    except AccessDenied as error:
        raise ManifestError(f"The manifest s3://{source.bucket}/{source.key} may not be read.") from error
