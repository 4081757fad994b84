"""What a packaging job does: read the artifact, write the component, the recipe last. Safe to repeat."""

from __future__ import annotations

import asyncio
from uuid import UUID

from vigia_contracts.base import ObjectRef
from vigia_registry.db import Database
from vigia_registry.hosting.artifacts import UnusableArtifact, fetch
from vigia_registry.models import repository as models
from vigia_registry.models.domain import ModelVersion
from vigia_registry.objects import remove_below
from vigia_registry.packaging import repository
from vigia_registry.packaging.component import RECIPE, Component, build
from vigia_registry.packaging.domain import UNDER_WAY, PackagingJob, PackagingState
from vigia_registry.thresholds import repository as thresholds
from vigia_runtime.errors import AccessDenied, NotFound, Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore

log = get_logger(__name__)

_RUNNING = "The model is being packaged."


async def package(database: Database, objects: ObjectStore, job_id: UUID) -> None:
    """Make the component of a job that is under way; of any other nothing is done.

    What trying again cannot help fails the job and says why. Transient when store or database do not answer.
    """
    begun = await _begin(database, job_id)
    if begun is None:
        return
    job, model, threshold = begun
    try:
        artifact = await fetch(objects, _artifact_of(model))
        component = await asyncio.to_thread(build, job, model.arn, artifact, threshold)
        await _write(database, objects, job, component)
    except UnusableArtifact as error:
        await fail(database, objects, job_id, f"The model's artifact cannot be used: {error}")
    except (NotFound, AccessDenied) as error:
        await fail(database, objects, job_id, f"The component cannot be written: {error.message}")


async def fail(database: Database, objects: ObjectStore, job_id: UUID, message: str) -> None:
    """Give a job up that is under way, and remove what it wrote."""
    async with database.transaction() as session:
        job = await repository.lock_by_id(session, job_id)
        if job is None or job.state not in UNDER_WAY:
            return
        await repository.move(session, job, PackagingState.FAILED, message)
    await _remove(objects, job)


async def _remove(objects: ObjectStore, job: PackagingJob) -> None:
    bucket = job.configuration.output.bucket
    try:
        # First what makes the rest a component.
        await objects.delete(bucket, job.folder + RECIPE)
        await remove_below(objects, bucket, job.folder)
    except (NotFound, AccessDenied, Transient) as error:
        log.warning("files of a failed packaging job stay", bucket=bucket, folder=job.folder, error=str(error))


async def _begin(database: Database, job_id: UUID) -> tuple[PackagingJob, ModelVersion, float | None] | None:
    async with database.transaction() as session:
        job = await repository.lock_by_id(session, job_id)
        if job is None or job.state not in UNDER_WAY:
            return None
        # Not locked: it cannot be deleted while the job is under way, and whoever asks for jobs locks it first.
        model = await models.find(session, job.project_id, job.model_version)
        if model is None:
            raise RuntimeError(f"the model version of packaging job {job.id} is gone")
        if job.state is PackagingState.CREATED:
            await repository.move(session, job, PackagingState.RUNNING, _RUNNING)
        newest = (await thresholds.newest(session, [model.id])).get(model.id)
        return job, model, None if newest is None else newest.limits.value


def _artifact_of(model: ModelVersion) -> ObjectRef:
    if model.artifact is None:
        raise UnusableArtifact("training left none")
    return model.artifact


async def _write(database: Database, objects: ObjectStore, job: PackagingJob, component: Component) -> None:
    bucket = job.configuration.output.bucket
    for name, data in component.files.items():
        await objects.put(bucket, job.folder + name, data)
    async with database.transaction() as session:
        # Locked, so that no recipe appears of a job that was given up meanwhile.
        locked = await repository.lock_by_id(session, job.id)
        if locked is not None and locked.state in UNDER_WAY:
            ref = await objects.put(bucket, job.folder + RECIPE, component.recipe, content_type="application/json")
            message = f"The component is ready; its recipe is s3://{ref.bucket}/{ref.key}."
            await repository.move(session, locked, PackagingState.SUCCEEDED, message)
    if locked is not None and locked.state is PackagingState.FAILED:
        # Whoever gave it up has removed what lay there by then.
        await _remove(objects, job)
