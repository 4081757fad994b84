"""Model versions: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_contracts.events import Event
from vigia_contracts.topics import TRAINING_JOBS
from vigia_contracts.training import TRAINING_REQUESTED, OutputLocation, TrainingRequest
from vigia_registry.datasets import repository as dataset_rows
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import Dataset, DatasetKind
from vigia_registry.datasets.manifest import parse_line
from vigia_registry.errors import Resource
from vigia_registry.hosting import announcements as deployments
from vigia_registry.hosting import service as hosting
from vigia_registry.hosting.domain import Desired, HostingView
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import queue
from vigia_registry.models import repository, snapshots
from vigia_registry.models.domain import (
    MAY_DELETE,
    MAY_START,
    MAY_STOP,
    AwsStatus,
    ModelRequest,
    ModelState,
    ModelVersion,
    ModelView,
    VersionName,
    aws_status,
    model_arn,
)
from vigia_registry.models.errors import (
    ArnNotFound,
    ModelBeingPackaged,
    ModelBusy,
    ModelNotFound,
    NotTrainable,
    OutputForbidden,
    OutputUnavailable,
    OutputUnusable,
    TooManyModels,
    TooManyTrainings,
    TooManyUnits,
    UnitsOutOfOrder,
)
from vigia_registry.models.trainability import DatasetCounts, problems
from vigia_registry.objects import S3Rights, fence_of
from vigia_registry.packaging import repository as packaging
from vigia_registry.pagination import Page, Pages
from vigia_registry.projects import repository as project_rows
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project
from vigia_registry.schema import announcements
from vigia_registry.settings import LimitSettings, QuotaSettings
from vigia_registry.tags import repository as tag_rows
from vigia_registry.tags import service as tags
from vigia_runtime.objects import ObjectStore, usable_key
from vigia_runtime.sealing import Seal
from vigia_runtime.settings import BucketSettings

_TRAINING = "The model is being trained."
_DELETING = "The model is being deleted."
#: The names that training gives to what it writes for the customer.
_RESULTS = (
    "EvaluationManifest-{project}-{version}.json",
    "EvaluationResult-{project}-{version}.json",
    "EvaluationReport-{project}-{version}.html",
    "EvaluationReport-{project}-{version}.json",
)
_LONGEST_VERSION = 9_999_999_999


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
    """A new version whose training is requested when the transaction commits.

    The datasets are written to ``buckets.datasets`` first, so a request never names what is not there.
    ProjectNotFound, ProjectBeingDeleted, DatasetBusy, DatasetChanged, NotTrainable, UnknownKey, OutputForbidden,
    OutputUnusable, OutputUnavailable, TagReserved, TooManyModels, TooManyTrainings, TooManyTags, AccessDenied when the
    caller's policies do not allow what training reads and writes.
    """
    tags.check(request.tags)
    # The slow part holds no lock: callers wait for each other only to be numbered.
    project = await projects.get(session, owner, project_name)
    train = await datasets.readable(session, project, DatasetKind.TRAIN)
    test = await datasets.readable(session, project, DatasetKind.TEST)
    if train is None:
        raise NotTrainable(["The project has no training dataset."])
    found = problems(await _counts(session, train), None if test is None else await _counts(session, test), quotas)
    if found:
        raise NotTrainable(found)
    objects.check(Seal(project.account_id, request.kms_key_id))
    if request.output.bucket in fence_of(buckets, owner.account_id).own:
        raise OutputForbidden(request.output.bucket)
    # The guide's own samples end the prefix with a slash; training joins it with exactly one.
    folder = request.output.prefix.rstrip("/")
    longest = max(_RESULTS, key=len).format(project=project_name, version=_LONGEST_VERSION)
    if not usable_key(f"{folder}/{longest}".lstrip("/")):
        raise OutputUnusable(request.output.prefix)
    rights.require("GetBucketLocation", request.output.bucket)
    if not await objects.bucket_exists(request.output.bucket):
        raise OutputUnavailable(request.output.bucket)
    for dataset in (train, test):
        if dataset is not None:
            await _check_images(session, rights, dataset)
    train_ref = await snapshots.write(session, objects, buckets.datasets, project, train.id)
    test_ref = None if test is None else await snapshots.write(session, objects, buckets.datasets, project, test.id)

    project = await projects.lock_active(session, owner, project_name)
    await datasets.require_unchanged(session, project, DatasetKind.TRAIN, train)
    await datasets.require_unchanged(session, project, DatasetKind.TEST, test)
    await _check_limits(session, limits, owner, project)
    for dataset, ref in ((train, train_ref), (test, test_ref)):
        # Gone where the last version that needed it was deleted since it was written; from here on it stays.
        if dataset is not None and ref is not None and not await objects.exists(ref.bucket, ref.key):
            await snapshots.write(session, objects, buckets.datasets, project, dataset.id)
    model = _new_version(project, await project_rows.take_version(session, project.id), request, train_ref, test_ref)
    for result in _RESULTS:
        key = f"{folder}/{result.format(project=project_name, version=model.version)}".lstrip("/")
        rights.require("PutObject", request.output.bucket, key)
    await repository.add(session, model)
    await tags.put(session, Resource.MODEL, model.arn, request.tags, limits.tags)
    await _announce(session, buckets, project, model)
    return model


async def get(session: AsyncSession, owner: Owner, project_name: str, version: VersionName) -> ModelView:
    """A version as clients see it; ``latest`` is the one with the highest number. ProjectNotFound, ModelNotFound."""
    project = await projects.get(session, owner, project_name)
    model = await repository.find(session, project.id, version)
    if model is None:
        raise ModelNotFound(project_name, version)
    return _view(model, await hosting.view(session, model.id))


async def tagged(
    session: AsyncSession, owner: Owner, project_name: str, version: VersionName
) -> tuple[str, dict[str, str]] | None:
    """The ARN of a version, with its number also for ``latest``, and its tags; None where there is none."""
    project = await project_rows.by_name(session, owner, project_name)
    model = None if project is None else await repository.find(session, project.id, version)
    return None if model is None else (model.arn, await tag_rows.of(session, model.arn))


async def page(
    session: AsyncSession, pages: Pages, owner: Owner, project_name: str, token: str | None, limit: int
) -> Page[ModelView]:
    """The project's versions, newest first."""
    project = await projects.get(session, owner, project_name)
    scope = ("models", str(project.id))
    position = pages.read(scope, token)
    before = None if position is None else int(position[0])
    rows = await repository.page(session, project.id, before, limit + 1)
    page = pages.cut(scope, rows, limit, lambda row: [str(row.version)])
    hosted = await hosting.views(session, [model.id for model in page.items])
    return Page([_view(model, hosted.get(model.id, HostingView())) for model in page.items], page.next_token)


async def start(
    session: AsyncSession,
    limits: LimitSettings,
    owner: Owner,
    project_name: str,
    version: VersionName,
    min_units: int,
    max_units: int | None,
) -> AwsStatus:
    """Ask for a version to be served, by ``min_units`` inference units, growing to ``max_units`` where given.

    ProjectNotFound, ModelNotFound, ModelBusy, UnitsOutOfOrder, TooManyUnits.
    """
    if max_units is not None and max_units < min_units:
        raise UnitsOutOfOrder(min_units, max_units)
    if max(min_units, max_units or 0) > limits.inference_units:
        raise TooManyUnits(project_name, version, limits.inference_units)
    view = await _lock(session, owner, project_name, version)
    if view.status not in MAY_START:
        raise ModelBusy(project_name, view.model.version, view.status, "started")
    await hosting.request_start(session, view.model.id, min_units, max_units)
    return await _status(session, view.model)


async def stop(session: AsyncSession, owner: Owner, project_name: str, version: VersionName) -> AwsStatus:
    """Ask for a version to be served no more. ProjectNotFound, ModelNotFound, ModelBusy."""
    view = await _lock(session, owner, project_name, version)
    if view.status not in MAY_STOP:
        raise ModelBusy(project_name, view.model.version, view.status, "stopped")
    await hosting.request_stop(session, view.model.id)
    # Also of one that failed to start, and so has nothing to stop: the protocol has no other word for an answer.
    return AwsStatus.STOPPING_HOSTING


async def delete(session: AsyncSession, owner: Owner, project_name: str, version: int) -> ModelVersion:
    """Start to delete a version that is neither trained, hosted nor packaged just now.

    ProjectNotFound, ModelNotFound, ModelBusy, ModelBeingPackaged.
    """
    view = await _lock(session, owner, project_name, version)
    if view.status not in MAY_DELETE:
        raise ModelBusy(project_name, version, view.status, "deleted")
    job = await packaging.under_way(session, view.model.id)
    if job is not None:
        raise ModelBeingPackaged(project_name, version, job)
    await hosting.request_stop(session, view.model.id)
    await repository.move(session, view.model, ModelState.DELETING, {"status_message": _DELETING})
    await queue.model_deletion(session, view.model.id)
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


def artifact_prefix(project: str, model: ModelVersion) -> str:
    """Where in the artifact bucket everything of a version lies."""
    return f"{model.account_id}/{model.region}/{project}/{model.version}"


async def _counts(session: AsyncSession, dataset: Dataset) -> DatasetCounts:
    stats = await dataset_rows.stats(session, dataset.id)
    labels = await dataset_rows.label_counts(session, dataset.id)
    return DatasetCounts(
        normal=stats.normal, anomaly=stats.anomaly, alone={label.name: label.alone for label in labels}
    )


async def _check_images(session: AsyncSession, rights: S3Rights, dataset: Dataset) -> None:
    """AccessDenied at the first image or mask to train on that the caller may not read."""
    if rights.caller is None:
        return
    lines = [line async for line in dataset_rows.labeled_lines(session, dataset.id)]

    def check() -> None:
        for line in lines:
            for place in parse_line(line.encode(), 0).places:
                rights.require("GetObject", *place)

    # Every image with every statement of the caller's: others are answered meanwhile.
    await asyncio.to_thread(check)


async def _check_limits(session: AsyncSession, limits: LimitSettings, owner: Owner, project: Project) -> None:
    if await repository.count(session, project.id) >= limits.models:
        raise TooManyModels(project.name, limits.models)
    await project_rows.lock_account(session, owner.account_id)
    if await repository.count_trainings(session, owner) >= limits.trainings:
        raise TooManyTrainings(project.name, limits.trainings)


def _new_version(
    project: Project, version: int, request: ModelRequest, training_manifest: ObjectRef, test_manifest: ObjectRef | None
) -> ModelVersion:
    now = datetime.now(UTC)
    return ModelVersion(
        id=uuid4(),
        arn=model_arn(project.region, project.account_id, project.name, version),
        project_id=project.id,
        account_id=project.account_id,
        region=project.region,
        version=version,
        state=ModelState.TRAINING,
        status_message=_TRAINING,
        description=request.description,
        kms_key_id=request.kms_key_id,
        output=request.output,
        training_manifest=training_manifest,
        test_manifest=test_manifest,
        stage=None,
        progress=None,
        training_end=None,
        attempt=None,
        artifact=None,
        manifest=None,
        metrics=None,
        evaluation_manifest=None,
        evaluation_result=None,
        evaluation_ended_at=None,
        created_at=now,
        updated_at=now,
    )


async def _announce(session: AsyncSession, buckets: BucketSettings, project: Project, model: ModelVersion) -> None:
    request = TrainingRequest(
        model_arn=model.arn,
        account_id=model.account_id,
        region=model.region,
        project=project.name,
        model_version=str(model.version),
        training_manifest=model.training_manifest,
        test_manifest=model.test_manifest,
        output=model.output,
        artifact_prefix=OutputLocation(bucket=buckets.artifacts, prefix=artifact_prefix(project.name, model)),
        kms_key_id=model.kms_key_id,
        requested_at=model.created_at,
    )
    event = Event(
        type=TRAINING_REQUESTED,
        source="vigia/registry",
        id=str(model.id),
        time=model.created_at,
        data=request,
        key=model.arn,
        subject=model.arn,
    )
    await announcements.add(session, TRAINING_JOBS, event)


async def _lock(session: AsyncSession, owner: Owner, project_name: str, version: VersionName) -> ModelView:
    project = await projects.get(session, owner, project_name)
    model = await repository.lock(session, project.id, version)
    if model is None:
        raise ModelNotFound(project_name, version)
    return _view(model, await hosting.view(session, model.id))


async def _lock_by_arn(session: AsyncSession, owner: Owner, arn: str) -> ModelVersion:
    found = await repository.find_by_arn(session, owner, arn)
    model = None if found is None else await repository.lock_by_id(session, found.id)
    if model is None:
        raise ArnNotFound(arn)
    return model


async def _status(session: AsyncSession, model: ModelVersion) -> AwsStatus:
    return _view(model, await hosting.view(session, model.id)).status


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
