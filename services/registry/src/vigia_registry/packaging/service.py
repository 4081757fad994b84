"""Packaging jobs: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import queue
from vigia_registry.models import repository as models
from vigia_registry.models import service as model_service
from vigia_registry.models.domain import ModelState, ModelVersion, Numbered, VersionName
from vigia_registry.models.errors import ModelBusy, ModelNotFound, OutputForbidden, OutputUnavailable
from vigia_registry.objects import S3Rights, fence_of
from vigia_registry.packaging import compiler, repository
from vigia_registry.packaging.component import FILES, LONGEST_FILE
from vigia_registry.packaging.domain import (
    PackagingJob,
    PackagingRequest,
    PackagingState,
    default_component_version,
)
from vigia_registry.packaging.errors import (
    ComponentExists,
    FolderUnusable,
    PackagingJobExists,
    PackagingJobNotFound,
    TooManyPackagingJobs,
    TooManyPackagings,
)
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository as project_rows
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project
from vigia_registry.settings import LimitSettings
from vigia_registry.tags import service as tags
from vigia_runtime.objects import ObjectStore, usable_key
from vigia_runtime.settings import BucketSettings

_CREATED = "The packaging job waits for its turn."


async def start(
    session: AsyncSession,
    objects: ObjectStore,
    buckets: BucketSettings,
    limits: LimitSettings,
    owner: Owner,
    project_name: str,
    version: VersionName,
    request: PackagingRequest,
    rights: S3Rights,
) -> PackagingJob:
    """A new job, which a worker begins when the transaction commits.

    ProjectNotFound, ModelNotFound, ModelBusy when the version is not trained, BadTarget, BadCompilerOptions,
    TagReserved, OutputForbidden, OutputUnavailable, FolderUnusable, PackagingJobExists, ComponentExists,
    TooManyPackagings, TooManyPackagingJobs, AccessDenied when the caller's policies do not allow what the job writes.
    """
    configuration = request.configuration
    compiler.options_of(configuration)
    tags.check(configuration.tags)
    # The slow part holds no lock. A project that has a version cannot be deleted, so the version's lock is enough.
    project = await projects.get(session, owner, project_name)
    if configuration.output.bucket in fence_of(buckets, owner.account_id).own:
        raise OutputForbidden(configuration.output.bucket)
    if not await objects.bucket_exists(configuration.output.bucket):
        raise OutputUnavailable(configuration.output.bucket)
    model = await models.lock(session, project.id, version)
    if model is None:
        raise ModelNotFound(project_name, version)
    if model.state is not ModelState.TRAINED:
        view = await model_service.get(session, owner, project_name, model.version)
        raise ModelBusy(Numbered(project_name, model.version), view.named_status, "packaged")
    await _check_limits(session, limits, owner, project)
    job = _new_job(project, model, request)
    if not usable_key(job.folder + LONGEST_FILE):
        raise FolderUnusable(job.folder)
    for file in FILES:
        rights.require("PutObject", configuration.output.bucket, job.folder + file)
    if not await repository.add(session, job):
        if await repository.find(session, project.id, job.name) is not None:
            raise PackagingJobExists(project_name, job.name)
        raise ComponentExists(project_name, job.name, job.component_name, job.component_version)
    await queue.packaging(session, job.id)
    return job


async def get(session: AsyncSession, owner: Owner, project_name: str, name: str) -> PackagingJob:
    """The project's job of that name; ProjectNotFound, PackagingJobNotFound."""
    project = await projects.get(session, owner, project_name)
    job = await repository.find(session, project.id, name)
    if job is None:
        raise PackagingJobNotFound(project_name, name)
    return job


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, project_name: str, token: str | None, limit: int
) -> Page[PackagingJob]:
    """The project's jobs, newest first. ProjectNotFound."""
    project = await projects.get(session, owner, project_name)
    scope = ("packaging-jobs", str(project.id))
    position = pages.read(scope, token)
    before = None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))
    rows = await repository.page(session, project.id, before, limit + 1)
    return pages.cut(scope, rows, limit, lambda row: [row.created_at.isoformat(), str(row.id)])


async def _check_limits(session: AsyncSession, limits: LimitSettings, owner: Owner, project: Project) -> None:
    await project_rows.lock_account(session, owner.account_id)
    if await repository.count(session, project.id) >= limits.packaging_jobs:
        raise TooManyPackagingJobs(project.name, limits.packaging_jobs)
    if await repository.count_under_way(session, owner) >= limits.packagings:
        raise TooManyPackagings(project.name, limits.packagings)


def _new_job(project: Project, model: ModelVersion, request: PackagingRequest) -> PackagingJob:
    configuration = request.configuration
    now, job_id = datetime.now(UTC), uuid4()
    return PackagingJob(
        id=job_id,
        project_id=project.id,
        model_version_id=model.id,
        account_id=project.account_id,
        region=project.region,
        name=request.name or str(job_id),
        model_version=model.version,
        description=request.description,
        configuration=configuration,
        component_name=configuration.component_name,
        component_version=configuration.component_version or default_component_version(model.version),
        state=PackagingState.CREATED,
        status_message=_CREATED,
        created_at=now,
        updated_at=now,
    )
