"""The job that gives a dataset entries: of a manifest, of a set of changes, or of another dataset. All or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import labels, repository
from vigia_registry.datasets.distribution import TooFewImagesError, choose
from vigia_registry.datasets.domain import Dataset, DatasetKind, DatasetRef, DatasetState, EntryStats, Fault
from vigia_registry.datasets.manifest import Entry, ManifestError, bucket_of, read_entries
from vigia_registry.db import Database
from vigia_registry.identity.domain import Service
from vigia_registry.objects import S3Rights, fence_of, stream
from vigia_registry.settings import CustomLabelsSettings, QuotaSettings, Settings
from vigia_runtime.errors import AccessDenied, AppError, Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import BucketNotFound, ObjectNotFound, ObjectStore
from vigia_runtime.sealing import most_sealed

log = get_logger(__name__)

_BATCH = 500
#: Characters after which a batch is full before that: lines may be long.
_BATCH_CHARACTERS = 4_000_000
_DONE = {
    DatasetState.CREATE_IN_PROGRESS: (DatasetState.CREATE_COMPLETE, "The dataset was created successfully."),
    DatasetState.UPDATE_IN_PROGRESS: (DatasetState.UPDATE_COMPLETE, "The dataset was updated successfully."),
}
_FROM_MANIFEST = "The dataset was successfully created from the manifest file."
_NOTHING_TO_COPY = "The dataset whose entries were to be copied does not exist any more."
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
    database: Database, objects: ObjectStore, settings: Settings, dataset_id: UUID, rights: S3Rights | None = None
) -> None:
    """Read the dataset's source into its entries and settle its state. ``rights``: of who asked for it.

    Safe to repeat: a dataset that waits for nothing is left alone. Transient errors of the store and the database
    propagate, and leave everything as it was.
    """
    async with database.transaction() as session:
        dataset = await repository.by_id(session, dataset_id)
        giver = None if dataset is None else await _giver(session, dataset)
    if dataset is None:
        return
    if dataset.state not in _DONE or dataset.source is None:
        await _finish(database, objects, dataset)
        return
    try:
        async with database.transaction() as session:
            await _fill(session, objects, settings, dataset, giver, rights)
    except _OvertakenError:
        log.warning("an import was overtaken and changes nothing", dataset=str(dataset_id))
        return
    except ManifestError as error:
        await _give_up(database, dataset, giver, str(error), Fault.CLIENT)
    await _finish(database, objects, dataset)


async def fail(
    database: Database, objects: ObjectStore, dataset_id: UUID, message: str, fault: Fault = Fault.SERVICE
) -> None:
    """Settle the state of a dataset whose import came to nothing; its entries are as they were before."""
    async with database.transaction() as session:
        dataset = await repository.by_id(session, dataset_id)
        giver = None if dataset is None else await _giver(session, dataset)
    if dataset is None or dataset.source is None:  # in the latter case it waits for another one's job, if for any
        return
    await _give_up(database, dataset, giver, message, fault)
    try:
        await _finish(database, objects, dataset)
    except (Transient, AppError) as error:
        # It is settled by then, and so the customer may have begun something new.
        log.warning("changes of a failed update stay", dataset=str(dataset_id), error=str(error))


async def _giver(session: AsyncSession, dataset: Dataset) -> Dataset | None:
    """The dataset that gives entries away to this one, which waits for them; None where none does."""
    if dataset.state is not DatasetState.UPDATE_IN_PROGRESS or not isinstance(dataset.source, DatasetRef):
        return None
    return await repository.by_id(session, dataset.source.dataset)


async def _give_up(database: Database, before: Dataset, giver: Dataset | None, message: str, fault: Fault) -> None:
    """The import of the dataset as it was ``before`` has failed, and so what ``giver`` was to give."""
    async with database.transaction() as session:
        try:
            await _lock(session, before, giver)
        except _OvertakenError:
            return
        if before.state is DatasetState.CREATE_IN_PROGRESS:
            await repository.move(session, before, DatasetState.CREATE_FAILED, message, fault)
        if before.state is DatasetState.UPDATE_IN_PROGRESS:
            for one in filter(None, (before, giver)):
                rolling = DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS
                await repository.move(session, one, rolling, message, fault)
                if giver is not None:  # no changes wait, so neither needs ``_finish``, which knows of one alone
                    ended = DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE
                    await repository.move(session, replace(one, state=rolling), ended, message, fault)


async def _lock(session: AsyncSession, *before: Dataset | None) -> None:
    """Lock the datasets, in an order that all keep to; _OvertakenError where one is not what it was ``before``."""
    for one in sorted(filter(None, before), key=lambda dataset: dataset.id):
        if await repository.lock_by_id(session, one.id) != one:
            raise _OvertakenError


async def _finish(database: Database, objects: ObjectStore, before: Dataset) -> None:
    """End a rollback, and forget the changes that ``before`` waited for.

    The database has rolled back by itself; the state in between is there for clients that expect it.
    """
    async with database.transaction() as session:
        dataset = await repository.lock_by_id(session, before.id)
        if dataset is not None and dataset.state is DatasetState.UPDATE_FAILED_ROLLBACK_IN_PROGRESS:
            state = DatasetState.UPDATE_FAILED_ROLLBACK_COMPLETE
            await repository.move(session, dataset, state, dataset.status_message, dataset.fault)
    if before.state in _CHANGED and isinstance(before.source, ObjectRef):
        await objects.delete(before.source.bucket, before.source.key)


async def _fill(
    session: AsyncSession,
    objects: ObjectStore,
    settings: Settings,
    dataset: Dataset,
    giver: Dataset | None,
    rights: S3Rights | None,
) -> None:
    """Everything that the job changes when it succeeds, in one transaction; ManifestError, _OvertakenError."""
    state, message = _DONE[dataset.state]
    match dataset.source:
        case ObjectRef() as source:
            service = await _import(session, objects, settings, dataset, source, rights)
            if service is Service.CUSTOM_LABELS and dataset.state is DatasetState.CREATE_IN_PROGRESS:
                message = _FROM_MANIFEST
        case DatasetRef(source_id) if dataset.state is DatasetState.CREATE_IN_PROGRESS:
            if await repository.by_id(session, source_id) is None:
                raise ManifestError(_NOTHING_TO_COPY)
            await repository.copy_entries(session, source_id, dataset.id)
            service = Service.CUSTOM_LABELS
        case _:
            if giver is None or giver.state is not DatasetState.UPDATE_IN_PROGRESS or giver.source is not None:
                raise _OvertakenError
            await _distribute(session, giver, dataset)
            service = Service.CUSTOM_LABELS
    stats = None if service is Service.LOOKOUT else await _counted(session, settings.custom_labels, dataset)
    # Locked only now, so that a long import makes nobody wait.
    await _lock(session, dataset, giver)
    await repository.move(session, dataset, state, message, stats=stats)
    if giver is not None:
        await repository.move(session, giver, state, message, stats=await repository.count_entries(session, giver.id))


async def _import(
    session: AsyncSession,
    objects: ObjectStore,
    settings: Settings,
    dataset: Dataset,
    source: ObjectRef,
    rights: S3Rights | None,
) -> Service:
    """Read a manifest, or changes, into entries; which service's they are."""
    owner = await repository.owner_of(session, dataset.project_id)
    fence = fence_of(settings.buckets, owner.account_id)
    known = await repository.first_source_ref(session, dataset.id)
    bucket = None if known is None else bucket_of(known)
    if owner.service is Service.CUSTOM_LABELS:
        limits = settings.custom_labels
        words = labels.TOO_LARGE, labels.UNREADABLE, labels.FORBIDDEN
        chunks = _chunks(objects, source, limits.max_manifest_bytes, *words)
        most = _most(limits, dataset)
        entries = labels.read_entries(chunks, most, limits.max_labels, bucket, fence, rights, limits.line)
        await _merge(session, dataset, entries)
        return owner.service
    quotas = settings.quotas
    place = f"The manifest s3://{source.bucket}/{source.key}"
    version = "" if source.version_id is None else f" in version {source.version_id}"
    chunks = _chunks(
        objects,
        source,
        quotas.max_manifest_bytes,
        f"The manifest is larger than {quotas.max_manifest_bytes} bytes.",
        f"{place} does not exist{version}.",
        f"{place} may not be read.",
    )
    most = _most(quotas, dataset)
    await _merge(session, dataset, read_entries(chunks, most, quotas.max_mask_labels, bucket, fence, rights))
    await _check_anomalies(session, quotas, dataset)
    return owner.service


async def _merge(session: AsyncSession, dataset: Dataset, entries: AsyncIterator[Entry]) -> None:
    await repository.begin_staging(session)
    batch: list[Entry] = []
    characters = 0
    async for entry in entries:
        batch.append(entry)
        characters += len(entry.line)
        if len(batch) == _BATCH or characters > _BATCH_CHARACTERS:
            await repository.stage(session, batch)
            batch.clear()
            characters = 0
    await repository.stage(session, batch)
    await repository.merge(session, dataset.id)


def _most(limits: QuotaSettings | CustomLabelsSettings, dataset: Dataset) -> int:
    return limits.max_images_train if dataset.kind is DatasetKind.TRAIN else limits.max_images_test


async def _check_anomalies(session: AsyncSession, quotas: QuotaSettings, dataset: Dataset) -> None:
    total, most = (await repository.stats(session, dataset.id)).total, _most(quotas, dataset)
    if total > most:
        raise ManifestError(f"The dataset would have {total} images, more than {most}.")
    count = await repository.count_labels(session, dataset.project_id)
    if count > quotas.max_labels:
        raise ManifestError(f"The project would have {count} anomaly labels, more than {quotas.max_labels}.")


async def _counted(session: AsyncSession, limits: CustomLabelsSettings, dataset: Dataset) -> EntryStats:
    """What the dataset of Custom Labels holds now; ManifestError where that is too much."""
    stats = await repository.count_entries(session, dataset.id)
    if stats.total > _most(limits, dataset):
        raise ManifestError(labels.TOO_MANY_ROWS)
    if len(stats.labels) > limits.max_labels:
        raise ManifestError(labels.TOO_MANY_LABELS)
    return stats


async def _distribute(session: AsyncSession, giver: Dataset, taker: Dataset) -> None:
    """Move a representative share of one dataset's entries to another, empty one; ManifestError."""
    ids, images = await repository.labels_of_entries(session, giver.id)
    try:
        # Seconds for many entries: other jobs go on meanwhile.
        chosen = await asyncio.to_thread(choose, images)
    except TooFewImagesError as error:
        raise ManifestError(labels.TOO_FEW_IMAGES) from error
    if not chosen:
        raise ManifestError(labels.TOO_FEW_IMAGES)
    if await repository.give_entries(session, giver.id, taker.id, [ids[index] for index in chosen]) != len(chosen):
        raise _OvertakenError


async def _chunks(
    objects: ObjectStore, source: ObjectRef, most_bytes: int, too_large: str, missing: str, forbidden: str
) -> AsyncIterator[bytes]:
    """The manifest in pieces; ManifestError with one of the three texts."""
    read = 0
    try:
        # What is far too large is not read until that shows; what is sealed is a little larger than its content.
        most_stored = most_sealed(most_bytes)
        if source.version_id is None and (await objects.head(source.bucket, source.key)).size > most_stored:
            raise ManifestError(too_large)
        async for chunk in stream(objects, source):
            read += len(chunk)
            if read > most_bytes:
                raise ManifestError(too_large)
            yield chunk
    except (BucketNotFound, ObjectNotFound) as error:
        raise ManifestError(missing) from error
    except AccessDenied as error:
        raise ManifestError(forbidden) from error
