"""The job of a version that is trained on the customer's own manifests: they become snapshots, then training is asked.

What is wrong with a manifest as a whole ends the training here, with the texts that clients know. What is wrong with
its lines is training's matter.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final
from uuid import UUID

from vigia_contracts.base import ObjectRef
from vigia_registry.db import Database
from vigia_registry.identity.domain import Service
from vigia_registry.models import images, repository, snapshots
from vigia_registry.models.domain import GivenManifests, ModelState, ModelVersion
from vigia_registry.models.requests import announce
from vigia_registry.objects import Fence, S3Rights, fence_of, stream
from vigia_registry.projects import repository as projects
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

    Safe to repeat: a version that waits for nothing is left alone. Holds a whole manifest in memory, which has at most
    ``most_bytes``. Transient when store or database do not answer.
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
    # No lock is held meanwhile, and no more than one manifest.
    refs: list[ObjectRef | None] = []
    for source in (given.training, given.testing):
        if source is None:
            refs.append(None)
            continue
        content = await _content(objects, most_bytes, source, fence, rights)
        refs.append(await snapshots.put(objects, buckets.datasets, project, content))
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


async def _content(objects: ObjectStore, most_bytes: int, source: ObjectRef, fence: Fence, rights: S3Rights) -> bytes:
    """The manifest's bytes, which are not blank; _UnusableError."""
    try:
        if not fence.allows(source.bucket, source.key):
            raise _UnusableError(FORBIDDEN)
        rights.require("GetBucketLocation", source.bucket)
        rights.require("GetObject", source.bucket, source.key)
        if source.version_id is not None:
            rights.require("GetObjectVersion", source.bucket, source.key)
        content = await _read(objects, most_bytes, source)
    except AccessDenied as error:
        raise _UnusableError(FORBIDDEN) from error
    except NotFound as error:
        raise _UnusableError(_INVALID) from error
    if not content.strip():
        raise _UnusableError(_EMPTY)
    lines = await asyncio.to_thread(content.split, b"\n")
    try:
        if await asyncio.to_thread(images.outside, lines, fence):
            raise _UnusableError(_IMAGES_FORBIDDEN)
        await images.check(Service.CUSTOM_LABELS, lines, rights)
    except AccessDenied as error:
        raise _UnusableError(_IMAGES_FORBIDDEN) from error
    return content


async def _read(objects: ObjectStore, most_bytes: int, source: ObjectRef) -> bytes:
    content = bytearray()
    async for chunk in stream(objects, source):
        content += chunk
        if len(content) > most_bytes:
            raise _UnusableError(_TOO_LARGE)
    return bytes(content)
