"""Model versions: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import OutputLocation
from vigia_registry.datasets import repository as dataset_rows
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import Dataset, DatasetKind
from vigia_registry.errors import Resource
from vigia_registry.hosting import announcements as deployments
from vigia_registry.hosting import service as hosting
from vigia_registry.hosting.domain import Desired, HostingView
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.jobs import queue
from vigia_registry.models import images, outputs, repository, snapshots
from vigia_registry.models.domain import (
    MAY_DELETE,
    MAY_START,
    MAY_STOP,
    AwsStatus,
    ModelRequest,
    ModelState,
    ModelVersion,
    ModelView,
    Numbered,
    VersionName,
    VersionRef,
    aws_status,
    model_arn,
    version_arn,
)
from vigia_registry.models.errors import (
    ArnNotFound,
    DatasetsInTheWay,
    ModelBeingPackaged,
    ModelBusy,
    ModelExists,
    ModelNotFound,
    NotTrainable,
    TestDatasetInTheWay,
    TooManyModels,
    TooManyTrainings,
    TooManyUnits,
    UnitsOutOfOrder,
)
from vigia_registry.models.requests import announce
from vigia_registry.models.trainability import DatasetCounts, problems
from vigia_registry.objects import S3Rights
from vigia_registry.packaging import repository as packaging
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository as project_rows
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project
from vigia_registry.settings import LimitSettings, QuotaSettings
from vigia_registry.tags import repository as tag_rows
from vigia_registry.tags import service as tags
from vigia_runtime.objects import ObjectStore
from vigia_runtime.sealing import Seal
from vigia_runtime.settings import BucketSettings

_TRAINING = "The model is being trained."
_DELETING = "The model is being deleted."


async def create(
    session: AsyncSession,
    objects: ObjectStore,
    buckets: BucketSettings,
    limits: LimitSettings,
    quotas: QuotaSettings,
    owner: Owner,
    project_name: str,
    request: ModelRequest,
    rights: S3Rights,
) -> ModelVersion:
    """A new version whose training is requested when the transaction commits, or when a job has read what was given.

    The datasets are written to ``buckets.datasets`` first, so a request never names what is not there.
    ProjectNotFound, ProjectBeingDeleted, DatasetBusy, DatasetChanged, DatasetsInTheWay, TestDatasetInTheWay,
    NotTrainable, UnknownKey, OutputForbidden, OutputUnusable, OutputUnavailable, TagReserved, ModelExists,
    TooManyModels, TooManyTrainings, TooManyTags, AccessDenied when the caller's policies do not allow what training
    reads and writes.
    """
    tags.check(request.tags)
    # The slow part holds no lock: callers wait for each other only to be numbered.
    project = await projects.get(session, owner, project_name)
    train, test = await _sources(session, project, request, quotas)
    objects.check(Seal(project.account_id, request.kms_key_id))
    files = outputs.names(project.service, project.name, request.name or outputs.LONGEST_NUMBER)
    await outputs.check(objects, buckets, rights, owner.account_id, request.output, files)
    refs: list[ObjectRef | None] = []
    for dataset in (train, test):
        if dataset is not None and rights.caller is not None:
            await images.check(project.service, snapshots.lines_of(session, project, dataset.id), rights)
    for dataset in (train, test):
        ref = (
            None if dataset is None else await snapshots.write(session, objects, buckets.datasets, project, dataset.id)
        )
        refs.append(ref)

    project = await projects.lock_active(session, owner, project_name)
    await datasets.require_unchanged(session, project, DatasetKind.TRAIN, train)
    await datasets.require_unchanged(session, project, DatasetKind.TEST, test)
    await check_new(session, limits, project, request.name)
    await project_rows.lock_account(session, owner.account_id)
    if await repository.count_trainings(session, owner) >= limits.trainings:
        raise TooManyTrainings(project.name, limits.trainings)
    for dataset, ref in zip((train, test), refs, strict=True):
        # Gone where the last version that needed it was deleted since it was written; from here on it stays.
        if dataset is not None and ref is not None and not await objects.exists(ref.bucket, ref.key):
            await snapshots.write(session, objects, buckets.datasets, project, dataset.id)
    number = await project_rows.take_version(session, project.id)
    model = replace(
        new_version(project, number, request.name, request.output, ModelState.TRAINING, _TRAINING),
        description=request.description,
        kms_key_id=request.kms_key_id,
        given=request.given,
        training_manifest=refs[0],
        test_manifest=refs[1],
    )
    outputs.require_writable(rights, request.output, outputs.names(project.service, project.name, model.called))
    await repository.add(session, model)
    await tags.put(session, Resource.MODEL, model.arn, request.tags, limits.tags)
    if request.given is None:
        await announce(session, buckets, project, model)
    else:
        await queue.manifests_reading(session, model.id, rights.key)
    return model


async def get(session: AsyncSession, owner: Owner, project_name: str, version: VersionName) -> ModelView:
    """A version as clients see it; ``latest`` is the one with the highest number. ProjectNotFound, ModelNotFound."""
    project = await projects.get(session, owner, project_name)
    model = await repository.find(session, project.id, version)
    if model is None:
        raise ModelNotFound(project_name, version)
    return await viewed(session, model)


async def tagged(
    session: AsyncSession, owner: Owner, project_name: str, version: VersionName
) -> tuple[str, dict[str, str]] | None:
    """The ARN of a version, with its number also for ``latest``, and its tags; None where there is none."""
    project = await project_rows.by_name(session, owner, project_name)
    model = None if project is None else await repository.find(session, project.id, version)
    return None if model is None else (model.arn, await tag_rows.of(session, model.arn))


async def page(
    session: AsyncSession,
    pages: Pages,
    owner: Owner,
    project_name: str,
    token: str | None,
    limit: int,
    names: Sequence[str] = (),
) -> Page[ModelView]:
    """The project's versions, newest first: those of the given names, or all."""
    project = await projects.get(session, owner, project_name)
    scope = ("models", str(project.id), *names)
    position = pages.read(scope, token)
    before = None if position is None else int(position[0])
    rows = await repository.page(session, project.id, before, limit + 1, names)
    page = pages.cut(scope, rows, limit, lambda row: [str(row.version)])
    hosted = await hosting.views(session, [model.id for model in page.items])
    return Page([_view(model, hosted.get(model.id, HostingView())) for model in page.items], page.next_token)


async def start(
    session: AsyncSession, limits: LimitSettings, owner: Owner, ref: VersionRef, min_units: int, max_units: int | None
) -> ModelView:
    """Ask for a version to be served, by ``min_units`` inference units, growing to ``max_units`` where given.

    ProjectNotFound, ModelNotFound, ArnNotFound, ModelBusy, UnitsOutOfOrder, TooManyUnits.
    """
    if max_units is not None and max_units < min_units:
        raise UnitsOutOfOrder(min_units, max_units)
    if max(min_units, max_units or 0) > limits.inference_units:
        raise TooManyUnits(ref, limits.inference_units)
    view = await _lock(session, owner, ref)
    if view.status not in MAY_START:
        raise ModelBusy(_exact(ref, view), view.named_status, "started")
    await hosting.request_start(session, view.model.id, min_units, max_units)
    return await viewed(session, view.model)


async def stop(session: AsyncSession, owner: Owner, ref: VersionRef) -> None:
    """Ask for a version to be served no more. ProjectNotFound, ModelNotFound, ArnNotFound, ModelBusy."""
    view = await _lock(session, owner, ref)
    if view.status not in MAY_STOP:
        raise ModelBusy(_exact(ref, view), view.named_status, "stopped")
    await hosting.request_stop(session, view.model.id)


async def delete(session: AsyncSession, owner: Owner, ref: VersionRef, after_seconds: float = 0) -> ModelVersion:
    """Start to delete a version that is neither trained, hosted, copied nor packaged just now.

    It stays listed, as being deleted, for ``after_seconds`` at least. ProjectNotFound, ModelNotFound, ArnNotFound,
    ModelBusy, ModelBeingPackaged.
    """
    view = await _lock(session, owner, ref)
    if view.status not in MAY_DELETE:
        raise ModelBusy(_exact(ref, view), view.named_status, "deleted")
    job = await packaging.under_way(session, view.model.id)
    if job is not None:
        raise ModelBeingPackaged(_exact(ref, view), job)
    await hosting.request_stop(session, view.model.id)
    await repository.move(session, view.model, ModelState.DELETING, {"status_message": _DELETING})
    await queue.model_deletion(session, view.model.id, after_seconds)
    return view.model


async def tag(session: AsyncSession, limits: LimitSettings, owner: Owner, arn: str, given: Mapping[str, str]) -> None:
    """Tag the version of that ARN; what serves says so at once. ArnNotFound, TagReserved, TooManyTags."""
    model = await _lock_by_arn(session, owner, arn)
    await tags.put(session, Resource.MODEL, arn, given, limits.tags)
    await deployments.refresh_project(session, model.project_id)


async def untag(session: AsyncSession, owner: Owner, arn: str, keys: Collection[str]) -> None:
    """Take tags from the version of that ARN; keys that it does not have are no error. ArnNotFound."""
    model = await _lock_by_arn(session, owner, arn)
    await tag_rows.remove(session, arn, keys)
    await deployments.refresh_project(session, model.project_id)


async def tags_of(session: AsyncSession, owner: Owner, arn: str) -> dict[str, str]:
    """The tags of the version of that ARN, by key. ArnNotFound."""
    if await repository.find_by_arn(session, owner, arn) is None:
        raise ArnNotFound(arn)
    return await tag_rows.of(session, arn)


async def viewed(session: AsyncSession, model: ModelVersion) -> ModelView:
    """The version as clients see it now."""
    return _view(model, await hosting.view(session, model.id))


async def check_new(session: AsyncSession, limits: LimitSettings, project: Project, name: str | None) -> None:
    """ModelExists, TooManyModels; the project is locked, so that nobody else adds to it meanwhile."""
    if name is not None and await repository.named(session, project.id, name) is not None:
        raise ModelExists(project.name, name)
    if await repository.count(session, project.id) >= limits.models:
        raise TooManyModels(project.name, limits.models)


def new_version(
    project: Project, number: int, name: str | None, output: OutputLocation, state: ModelState, message: str
) -> ModelVersion:
    """A version of which nothing is known yet."""
    now = datetime.now(UTC)
    return ModelVersion(
        id=uuid4(),
        arn=(
            model_arn(project.region, project.account_id, project.name, number)
            if name is None
            else version_arn(project, name, now)
        ),
        project_id=project.id,
        account_id=project.account_id,
        region=project.region,
        version=number,
        name=name,
        state=state,
        status_message=message,
        output=output,
        created_at=now,
        updated_at=now,
    )


async def _sources(
    session: AsyncSession, project: Project, request: ModelRequest, quotas: QuotaSettings
) -> tuple[Dataset | None, Dataset | None]:
    """The datasets to train and to test on; none at all where the customer gave manifests instead."""
    if request.given is not None:
        if await dataset_rows.count(session, project.id):
            raise DatasetsInTheWay(project.name)
        return None, None
    train = await datasets.readable(session, project, DatasetKind.TRAIN)
    test = await datasets.readable(session, project, DatasetKind.TEST)
    if train is None:
        raise NotTrainable(["The project has no training dataset."])
    if test is not None and request.split:
        raise TestDatasetInTheWay(project.name)
    # What datasets of Custom Labels lack, training tells, beside what is wrong with each line.
    if project.service is Service.LOOKOUT:
        found = problems(await _counts(session, train), None if test is None else await _counts(session, test), quotas)
        if found:
            raise NotTrainable(found)
    return train, test


async def _counts(session: AsyncSession, dataset: Dataset) -> DatasetCounts:
    stats = await dataset_rows.stats(session, dataset.id)
    labels = await dataset_rows.label_counts(session, dataset.id)
    return DatasetCounts(
        normal=stats.normal, anomaly=stats.anomaly, alone={label.name: label.alone for label in labels}
    )


async def _lock(session: AsyncSession, owner: Owner, ref: VersionRef) -> ModelView:
    if isinstance(ref, Numbered):
        project = await projects.get(session, owner, ref.project)
        model = await repository.lock(session, project.id, ref.version)
        if model is None:
            raise ModelNotFound(ref.project, ref.version)
    else:
        model = await _lock_by_arn(session, owner, ref)
    return await viewed(session, model)


def _exact(ref: VersionRef, view: ModelView) -> VersionRef:
    """As ``ref``, but with its number also for ``latest``."""
    return replace(ref, version=view.model.version) if isinstance(ref, Numbered) else ref


async def _lock_by_arn(session: AsyncSession, owner: Owner, arn: str) -> ModelVersion:
    found = await repository.find_by_arn(session, owner, arn)
    model = None if found is None else await repository.lock_by_id(session, found.id)
    if model is None:
        raise ArnNotFound(arn)
    return model


def _view(model: ModelVersion, hosted: HostingView) -> ModelView:
    status = aws_status(model.state, hosted.desired, hosted.observed)
    wanted = hosted.desired is Desired.HOSTED
    return ModelView(
        model=model,
        status=status,
        status_message=_message(model, status, hosted),
        min_units=hosted.min_units if wanted else None,
        max_units=hosted.max_units if wanted else None,
        desired_units=hosted.desired_units,
        in_service_units=hosted.units,
        started=hosted.started,
    )


def _message(model: ModelVersion, status: AwsStatus, hosted: HostingView) -> str:
    match status:
        case AwsStatus.HOSTED if hosted.units < hosted.desired_units:
            return f"The model is running, with {hosted.units} of {hosted.desired_units} inference units in service."
        case AwsStatus.HOSTED:
            return "The model is running."
        case AwsStatus.STARTING_HOSTING:
            return "The model is starting."
        case AwsStatus.STOPPING_HOSTING:
            return "The model is stopping."
        case AwsStatus.HOSTING_FAILED:
            return hosted.reason or "The model could not be started."
        case _:
            return model.status_message
