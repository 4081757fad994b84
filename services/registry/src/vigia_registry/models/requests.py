"""Asking training for a version: on the topic when the transaction commits."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.events import Event
from vigia_contracts.topics import TRAINING_JOBS
from vigia_contracts.training import TRAINING_REQUESTED, OutputLocation, TrainingRequest
from vigia_registry.models.domain import ModelVersion, artifact_prefix
from vigia_registry.projects.domain import Project
from vigia_registry.schema import announcements
from vigia_runtime.settings import BucketSettings


async def announce(session: AsyncSession, buckets: BucketSettings, project: Project, model: ModelVersion) -> None:
    """Request the training of a version whose snapshots are written."""
    assert model.training_manifest is not None
    request = TrainingRequest(
        service=project.service.value,
        model_arn=model.arn,
        account_id=model.account_id,
        region=model.region,
        project=project.name,
        model_version=model.called,
        training_manifest=model.training_manifest,
        test_manifest=model.test_manifest,
        output=model.output,
        artifact_prefix=OutputLocation(bucket=buckets.artifacts, prefix=artifact_prefix(project, model)),
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
