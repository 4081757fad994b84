"""Copying a trained version of Custom Labels into another project, be it of another account.

The copy is the destination's: sealed by its key, tagged by it, independent of the source from then on. The artifact and
the files that training left for the customer are copied; datasets are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import ManifestChecks
from vigia_registry.db import Database
from vigia_registry.errors import Resource
from vigia_registry.hosting.artifacts import UnusableArtifact, fetch
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import queue
from vigia_registry.models import outputs, reports, repository
from vigia_registry.models.domain import CopyRequest, ModelState, ModelVersion, artifact_prefix
from vigia_registry.models.errors import (
    ArnNotFound,
    ModelBusy,
    NotOfProject,
    OtherRegion,
    ReportNotFound,
    TooManyCopies,
)
from vigia_registry.models.outputs import ReportKind, ResultFile
from vigia_registry.models.service import check_new, new_version, viewed
from vigia_registry.objects import S3Rights, remove_below
from vigia_registry.policies import service as policies
from vigia_registry.policies.domain import ACTION
from vigia_registry.projects import repository as project_rows
from vigia_registry.projects import service as projects
from vigia_registry.projects.domain import Project
from vigia_registry.projects.errors import ProjectNotFound
from vigia_registry.settings import LimitSettings
from vigia_registry.tags import service as tags
from vigia_runtime.errors import AccessDenied, NotFound
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore
from vigia_runtime.policies import Decision, denied
from vigia_runtime.sealing import Seal
from vigia_runtime.settings import BucketSettings
from vigia_runtime.sigv4 import Credential
from vigia_vision.artifact import MANIFEST_FILE

log = get_logger(__name__)

_COPYING: Final = "The model is being copied."
_COPIED: Final = "The model was copied."
_SOURCE_GONE: Final = "The model that was to be copied does not exist any more."
_REPORT_TYPES: Final = {ReportKind.HTML: "text/html; charset=utf-8", ReportKind.JSON: "application/json"}


async def request(
    session: AsyncSession,
    objects: ObjectStore,
    buckets: BucketSettings,
    limits: LimitSettings,
    owner: Owner,
    caller: Credential,
    wanted: CopyRequest,
    rights: S3Rights,
) -> ModelVersion:
    """A new version in the destination, which a job fills when the transaction commits.

    What the caller's own policies say has been asked; here it is what the source project's say. NotOfProject,
    OtherRegion, ProjectNotFound, ProjectBeingDeleted, ArnNotFound, ModelBusy when the source is not trained,
    ModelExists, TooManyModels, TooManyCopies, UnknownKey, OutputForbidden, OutputUnusable, OutputUnavailable,
    TagReserved, TooManyTags, AccessDenied.
    """
    tags.check(wanted.tags)
    source = await _source(session, owner, caller, wanted)
    destination = await projects.by_arn(session, owner, wanted.destination_project)
    objects.check(Seal(owner.account_id, wanted.kms_key_id))
    files = outputs.names(owner.service, destination.name, wanted.name)
    await outputs.check(objects, buckets, rights, owner.account_id, wanted.output, files)
    outputs.require_writable(rights, wanted.output, files)

    destination = await projects.lock_active(session, owner, destination.name)
    await check_new(session, limits, destination, wanted.name)
    if await repository.count_copies(session, destination.id) >= limits.copies:
        raise TooManyCopies(destination.name, limits.copies)
    number = await project_rows.take_version(session, destination.id)
    model = replace(
        new_version(destination, number, wanted.name, wanted.output, ModelState.COPYING, _COPYING),
        source_arn=source.arn,
        description=source.description,
        kms_key_id=wanted.kms_key_id,
    )
    await repository.add(session, model)
    await tags.put(session, Resource.MODEL, model.arn, wanted.tags, limits.tags)
    await queue.model_copy(session, model.id, rights.key)
    return model


async def _source(session: AsyncSession, owner: Owner, caller: Credential, wanted: CopyRequest) -> ModelVersion:
    """The version to copy, which the caller may copy as far as its project says."""
    parent, _, _ = wanted.source.partition("/version/")
    if wanted.source_project.rpartition("/")[0] != parent:
        raise NotOfProject(wanted.source, wanted.source_project)
    _, _, _, region, account_id, _ = wanted.source.split(":", 5)
    if region != owner.region:
        raise OtherRegion(wanted.source, owner.region)
    theirs = replace(owner, account_id=account_id)
    project = await project_rows.by_arn(session, theirs, wanted.source_project)
    said = Decision.IMPLICIT_DENY
    if project is not None:
        said = await policies.decide(session, project.id, caller, ACTION, wanted.source)
    # Of others' projects nothing is told to who may not copy from them, not even whether they exist.
    foreign = account_id != owner.account_id
    if said is Decision.EXPLICIT_DENY or (foreign and said is not Decision.ALLOWED):
        raise denied(caller, ACTION, wanted.source)
    if project is None:
        raise ProjectNotFound(wanted.source_project)
    model = await repository.find_by_arn(session, theirs, wanted.source)
    if model is None:
        raise ArnNotFound(wanted.source)
    if model.project_id != project.id:
        raise NotOfProject(wanted.source, wanted.source_project)
    if model.state is not ModelState.TRAINED:
        raise ModelBusy(model.arn, (await viewed(session, model)).named_status, "copied")
    return model


async def copy(database: Database, objects: ObjectStore, bucket: str, model_version_id: UUID, rights: S3Rights) -> None:
    """Fill a version that is a copy; ``bucket`` is where artifacts lie. ``rights``: of who asked for it.

    Safe to repeat: a version that is not being copied is left alone. Holds the artifact in memory. Transient when store
    or database do not answer.
    """
    async with database.transaction() as session:
        model = await repository.by_id(session, model_version_id)
        if model is None or model.state is not ModelState.COPYING:
            return
        source = await repository.by_arn(session, model.source_arn or "")
        project = await project_rows.by_id(session, model.project_id)
    if source is None or source.artifact is None or project is None:
        await fail(database, model_version_id, _SOURCE_GONE)
        return
    try:
        values = {
            "artifact": await _copy_artifact(objects, bucket, project, model, source.artifact),
            **await _copy_results(objects, rights, project, model, source),
        }
        await _copy_report(objects, rights, project, model, source)
    except UnusableArtifact as error:
        await remove_below(objects, bucket, artifact_prefix(project, model) + "/")
        await fail(database, model_version_id, f"The model's artifact cannot be copied: {error}")
        return
    except (NotFound, AccessDenied) as error:
        await remove_below(objects, bucket, artifact_prefix(project, model) + "/")
        await fail(database, model_version_id, f"The model cannot be copied: {error.message}")
        return
    async with database.transaction() as session:
        locked = await repository.lock_by_id(session, model_version_id)
        if locked is not None and locked.state is ModelState.COPYING:
            await repository.move(session, locked, ModelState.TRAINED, {"status_message": _COPIED, **values})


async def fail(database: Database, model_version_id: UUID, message: str) -> None:
    """Give up a version that is being copied."""
    async with database.transaction() as session:
        model = await repository.lock_by_id(session, model_version_id)
        if model is not None and model.state is ModelState.COPYING:
            await repository.move(session, model, ModelState.COPYING_FAILED, {"status_message": message})


async def _copy_artifact(
    objects: ObjectStore, bucket: str, project: Project, model: ModelVersion, source: ObjectRef
) -> ObjectRef:
    artifact = await fetch(objects, source)
    folder = f"{artifact_prefix(project, model)}/{artifact.folder}"
    seal = Seal(model.account_id, model.kms_key_id)
    contents = await asyncio.to_thread(artifact.all_files)
    refs = {
        name: await objects.put(bucket, f"{folder}/{name}", content, seal=seal) for name, content in contents.items()
    }
    return refs[MANIFEST_FILE]


async def _copy_results(
    objects: ObjectStore, rights: S3Rights, project: Project, model: ModelVersion, source: ModelVersion
) -> Mapping[str, Any]:
    """What training found, with the files copied to where the copy's owner wants them.

    A file that its owner has removed meanwhile is not there for the copy either.
    """

    async def file(kind: ResultFile, ref: ObjectRef | None) -> ObjectRef | None:
        if ref is None:
            return None
        rights.require("GetObject", ref.bucket, ref.key)
        try:
            content = await objects.get(ref.bucket, ref.key, ref.version_id)
        except NotFound as error:
            log.warning("a result of the copied model is gone", model=source.arn, error=error.message)
            return None
        key = outputs.key(model.output, kind.of(project.name, model.called))
        return await objects.put(model.output.bucket, key, content, "application/json")

    checks = source.checks
    summary = await file(ResultFile.SUMMARY, None if checks is None else checks.summary)
    training = await file(ResultFile.TRAINING_CHECKS, None if checks is None else checks.training)
    testing = await file(ResultFile.TESTING_CHECKS, None if checks is None else checks.testing)
    whole = summary is not None and training is not None and testing is not None
    return {
        "manifest": source.manifest,
        "metrics": source.metrics,
        "evaluation_result": await file(ResultFile.EVALUATION, source.evaluation_result),
        "evaluation_manifest": await file(ResultFile.TESTING_SNAPSHOT, source.evaluation_manifest),
        "training_snapshot": await file(ResultFile.TRAINING_SNAPSHOT, source.training_snapshot),
        "checks": ManifestChecks(summary=summary, training=training, testing=testing) if whole else None,
        "evaluation_ended_at": source.evaluation_ended_at,
        "training_seconds": source.training_seconds,
    }


async def _copy_report(
    objects: ObjectStore, rights: S3Rights, project: Project, model: ModelVersion, source: ModelVersion
) -> None:
    """The page for people and its figures, which still name the source; where there are none, as of a version that is
    older than reports, there are none of the copy."""
    for kind, content_type in _REPORT_TYPES.items():
        try:
            content = await reports.read(objects, rights, source.project_name, source, kind)
        except ReportNotFound as error:
            log.warning("a report of the copied model is gone", model=source.arn, error=error.message)
            continue
        key = outputs.key(model.output, kind.of(project.name, model.called))
        await objects.put(model.output.bucket, key, content, content_type)
