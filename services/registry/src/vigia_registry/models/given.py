"""The job of a version that is trained on the customer's own manifests: they become snapshots, then training is asked.

What is wrong with a manifest as a whole ends the training here, with the texts that clients know. What is wrong with
its lines is training's matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from vigia_contracts.base import ObjectRef
from vigia_registry.datasets import labels
from vigia_registry.db import Database
from vigia_registry.identity.domain import Service
from vigia_registry.models import images, repository, snapshots
from vigia_registry.models.domain import GivenManifests, ModelState, ModelVersion
from vigia_registry.models.requests import announce
from vigia_registry.objects import Fence, S3Rights, fence_of, stream
from vigia_registry.projects import repository as projects
from vigia_registry.projects.domain import Project
from vigia_runtime.errors import AccessDenied, NotFound, Transient
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import BucketSettings

_INVALID: Final = "The manifest file extension or contents are invalid."
_EMPTY: Final = "The manifest file is empty."
_TOO_LARGE: Final = "The manifest file size exceeds the maximum supported size."
_IMAGES_FORBIDDEN: Final = "The permissions for the images S3 bucket are invalid."
FORBIDDEN: Final = "The S3 bucket permissions are incorrect."
SERVICE_ISSUE: Final = "Amazon Rekognition experienced a service issue."


class _UnusableError(Exception):
    """No training can come of the manifest; the text is what clients are told."""


async def read(
    database: Database,
    objects: ObjectStore,
    buckets: BucketSettings,
    most_bytes: int,
    model_version_id: UUID,
    rights: S3Rights,
) -> None:
    """Request the training of a version whose manifests were given, or fail it. ``rights``: of who asked for it.

    Safe to repeat: a version that waits for nothing is left alone. A manifest has at most ``most_bytes``, of which a
    few are held. Transient when store or database do not answer, or a manifest changes meanwhile.
    """
    async with database.transaction() as session:
        model = await repository.by_id(session, model_version_id)
    if model is None or not _waits(model):
        return
    assert model.given is not None
    fence = fence_of(buckets, model.account_id)
    try:
        await _snapshot(database, objects, buckets, most_bytes, model, model.given, fence, rights)
    except _UnusableError as error:
        await fail(database, model_version_id, str(error))


async def fail(database: Database, model_version_id: UUID, message: str) -> None:
    """End the training of a version whose manifests came to nothing."""
    async with database.transaction() as session:
        model = await repository.lock_by_id(session, model_version_id)
        if model is not None and _waits(model):
            await repository.move(session, model, ModelState.TRAINING_FAILED, {"status_message": message})


def _waits(model: ModelVersion) -> bool:
    return model.state is ModelState.TRAINING and model.given is not None and model.training_manifest is None


async def _snapshot(
    database: Database,
    objects: ObjectStore,
    buckets: BucketSettings,
    most_bytes: int,
    before: ModelVersion,
    given: GivenManifests,
    fence: Fence,
    rights: S3Rights,
) -> None:
    async with database.transaction() as session:
        project = await projects.by_id(session, before.project_id)
    if project is None:
        return
    # No lock is held meanwhile.
    refs: list[ObjectRef | None] = []
    for source in (given.training, given.testing):
        if source is None:
            refs.append(None)
            continue
        refs.append(await _copied(objects, buckets.datasets, project, most_bytes, source, fence, rights))
    async with database.transaction() as session:
        # Locked, so that nobody deletes the last version that needs the same snapshots from here on.
        await projects.lock_by_id(session, project.id)
        model = await repository.lock_by_id(session, before.id)
        if model is None or not _waits(model):
            return
        for ref in refs:
            if ref is not None and not await objects.exists(ref.bucket, ref.key):
                raise Transient(f"the snapshot {ref.key} was deleted with the version that needed it before")
        model = replace(model, training_manifest=refs[0], test_manifest=refs[1])
        await repository.change(session, model.id, {"training_manifest": refs[0], "test_manifest": refs[1]})
        await announce(session, buckets, project, model)


async def _copied(
    objects: ObjectStore,
    bucket: str,
    project: Project,
    most_bytes: int,
    source: ObjectRef,
    fence: Fence,
    rights: S3Rights,
) -> ObjectRef:
    """The snapshot of a manifest that is not blank, and whose images may be read; _UnusableError."""

    def read() -> AsyncIterator[bytes]:
        return _limited(objects, most_bytes, source)

    try:
        if not fence.allows(source.bucket, source.key):
            raise _UnusableError(FORBIDDEN)
        rights.require("GetBucketLocation", source.bucket)
        rights.require("GetObject", source.bucket, source.key)
        if source.version_id is not None:
            rights.require("GetObjectVersion", source.bucket, source.key)
        named = snapshots.Named()
        # What is written is what was looked at: it has the name.
        await _look(named.passing(read()), fence, rights)
        return await snapshots.put(objects, bucket, project, named, read)
    except AccessDenied as error:
        raise _UnusableError(FORBIDDEN) from error
    except NotFound as error:
        raise _UnusableError(_INVALID) from error


async def _look(chunks: AsyncIterator[bytes], fence: Fence, rights: S3Rights) -> None:
    """_UnusableError where the manifest has no line, or one with an image that may not be read."""

    def look(lines: Sequence[bytes]) -> None:
        if images.outside(lines, fence):
            raise _UnusableError(_IMAGES_FORBIDDEN)
        try:
            images.require(Service.CUSTOM_LABELS, lines, rights)
        except AccessDenied as error:
            raise _UnusableError(_IMAGES_FORBIDDEN) from error

    blank = True

    async def lines() -> AsyncIterator[bytes]:
        nonlocal blank
        async for _, line in labels.numbered_lines(chunks):
            blank = blank and line is not None and not line.strip()
            if line is not None:  # of one that is too long nobody reads anything
                yield line

    async for batch in images.batches(lines()):
        await asyncio.to_thread(look, batch)
    if blank:
        raise _UnusableError(_EMPTY)


async def _limited(objects: ObjectStore, most_bytes: int, source: ObjectRef) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in stream(objects, source):
        size += len(chunk)
        if size > most_bytes:
            raise _UnusableError(_TOO_LARGE)
        yield chunk
