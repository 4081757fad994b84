"""What topic ``deployments`` says: under a model's ARN how to ask it, under a camera's id what judges it.

Every function works in the caller's transaction and compares what should stand there with what was announced last, so
calling one too often announces nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, and_, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_contracts.deployments import DEPLOYMENT_CHANGED, Deployment, ThresholdRecord
from vigia_contracts.events import Event
from vigia_contracts.topics import DEPLOYMENTS
from vigia_registry import schema
from vigia_registry.cameras.tables import cameras
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.tables import announcements, hostings
from vigia_registry.hosting.tables import revisions as revision_numbers
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.repository import of_owner
from vigia_registry.projects.tables import projects
from vigia_registry.tags.tables import tags
from vigia_registry.thresholds import repository as thresholds
from vigia_registry.thresholds.domain import Record, training_record

SOURCE = "vigia/registry"
#: Revision and time stand for nothing by themselves; they are set when a record differs from the one before.
_UNSET = datetime(1970, 1, 1, tzinfo=UTC)


def deciding(serving: Mapping[int, Deployment], pinned: int | None) -> Deployment | None:
    """What judges a camera: the pinned version while it serves, and no other; without a pin the newest that serves."""
    if pinned is not None:
        return serving.get(pinned)
    return serving[max(serving)] if serving else None


async def refresh_project(session: AsyncSession, project_id: UUID) -> None:
    """Bring the announcements of a project's versions and of the cameras it judges up to date."""
    await _lock(session)
    project = (await session.execute(select(projects).where(projects.c.id == project_id))).one_or_none()
    if project is None:
        return
    serving = await _serving(session, projects.c.id == project_id)
    due: dict[str, Deployment | None] = {}
    arns = await session.execute(select(model_versions.c.arn).where(model_versions.c.project_id == project_id))
    by_arn = {record.model_arn: record for record in serving.values()}
    for (arn,) in arns:
        due[arn] = by_arn.get(arn)
    # Cameras name projects of Lookout for Vision: what judges parts.
    judged = await session.execute(
        select(cameras.c.camera_id, cameras.c.model_version).where(
            literal(project.service == Service.LOOKOUT),
            cameras.c.account_id == project.account_id,
            cameras.c.region == project.region,
            cameras.c.project == project.name,
        )
    )
    for camera in judged:
        due[camera.camera_id] = deciding(serving, camera.model_version)
    await _announce(session, due)


async def refresh_camera(session: AsyncSession, camera_id: str) -> None:
    """Bring one camera's announcement up to date; of a camera that is gone it is removed."""
    await _lock(session)
    camera = (await session.execute(select(cameras).where(cameras.c.camera_id == camera_id))).one_or_none()
    record = None
    if camera is not None and camera.project is not None:
        of_project = and_(of_owner(Owner(camera.account_id, camera.region)), projects.c.name == camera.project)
        record = deciding(await _serving(session, of_project), camera.model_version)
    await _announce(session, {camera_id: record})


async def revisions(session: AsyncSession) -> dict[str, int]:
    """The revision that was announced last under every key."""
    rows = await session.execute(select(announcements.c.key, announcements.c.revision))
    return {row.key: row.revision for row in rows}


async def repeat(session: AsyncSession, key: str, revision: int | None) -> bool:
    """Announce once more what should stand under a key, or that nothing should.

    False, and nothing, where ``revision`` (None: nothing) is no longer what was announced last.
    """
    await _lock(session)
    announced = select(announcements.c.revision).where(announcements.c.key == key)
    if (await session.execute(announced)).scalar_one_or_none() != revision:
        return False
    # With nothing known to stand there, what should is announced as new.
    await session.execute(delete(announcements).where(announcements.c.key == key))
    project = select(model_versions.c.project_id).where(model_versions.c.arn == key)
    project_id = (await session.execute(project)).scalar_one_or_none()
    if project_id is None:
        await refresh_camera(session, key)
    else:
        await refresh_project(session, project_id)
    if (await session.execute(announced)).scalar_one_or_none() is None:
        await schema.announcements.add_tombstone(session, DEPLOYMENTS, key)
    return True


async def _lock(session: AsyncSession) -> None:
    """One at a time: whoever reads cameras and versions below sees what everybody before has written."""
    await session.execute(text("select pg_advisory_xact_lock(hashtext('vigia_registry.announcements'))"))


async def _serving(session: AsyncSession, of_project: ColumnElement[bool]) -> dict[int, Deployment]:
    """Records of a project's serving versions, by number."""
    found = await session.execute(
        select(
            model_versions.c.id,
            model_versions.c.account_id,
            model_versions.c.region,
            projects.c.name.label("project"),
            model_versions.c.arn,
            model_versions.c.version,
            model_versions.c.name,
            model_versions.c.artifact,
            model_versions.c.manifest,
            model_versions.c.created_at,
            model_versions.c.evaluation_ended_at,
            hostings.c.triton_model,
            select(func.jsonb_object_agg(tags.c.key, tags.c.value))
            .where(tags.c.resource_arn == model_versions.c.arn)
            .scalar_subquery()
            .label("tags"),
        )
        .join(projects, projects.c.id == model_versions.c.project_id)
        .join(hostings, hostings.c.model_version_id == model_versions.c.id)
        .where(of_project, hostings.c.observed == Observed.SERVING)
    )
    rows = found.all()
    newest = await thresholds.newest(session, [row.id for row in rows])
    return {row.version: _record(row, newest.get(row.id)) for row in rows}


def _record(row: Row[*tuple[Any, ...]], newest: Record | None) -> Deployment:
    threshold = newest or training_record(row.arn, row.manifest, row.evaluation_ended_at or row.created_at)
    return Deployment(
        account_id=row.account_id,
        region=row.region,
        project=row.project,
        model_arn=row.arn,
        model_version=row.name or str(row.version),
        triton_model=row.triton_model,
        artifact=ObjectRef.model_validate(row.artifact),
        manifest=row.manifest,
        threshold=ThresholdRecord(
            threshold_id=str(threshold.threshold_id),
            value=threshold.limits.value,
            review_low=threshold.limits.review_low,
            review_high=threshold.limits.review_high,
            author=threshold.author,
            reason=threshold.reason,
            created_at=threshold.created_at,
        ),
        tags=row.tags or {},
        revision=1,
        changed_at=_UNSET,
    )


async def _announce(session: AsyncSession, due: Mapping[str, Deployment | None]) -> None:
    known: Sequence[Row[*tuple[Any, ...]]] = (
        await session.execute(
            select(announcements.c.key, announcements.c.fingerprint).where(announcements.c.key.in_(list(due)))
        )
    ).all()
    before = {row.key: row.fingerprint for row in known}
    for key, record in sorted(due.items()):
        if record is None:
            if key in before:
                await session.execute(delete(announcements).where(announcements.c.key == key))
                await schema.announcements.add_tombstone(session, DEPLOYMENTS, key)
        elif before.get(key) != (fingerprint := _fingerprint(record)):
            await _write(session, key, record, fingerprint)


async def _write(session: AsyncSession, key: str, record: Deployment, fingerprint: str) -> None:
    revision = (await session.execute(select(revision_numbers.next_value()))).scalar_one()
    now = datetime.now(UTC)
    row = insert(announcements).values(
        key=key, fingerprint=fingerprint, model_arn=record.model_arn, revision=revision, announced_at=now
    )
    columns = ("fingerprint", "model_arn", "revision", "announced_at")
    await session.execute(
        row.on_conflict_do_update(
            index_elements=[announcements.c.key], set_={name: row.excluded[name] for name in columns}
        )
    )
    event = Event(
        type=DEPLOYMENT_CHANGED,
        source=SOURCE,
        id=str(uuid4()),
        time=now,
        data=record.model_copy(update={"revision": revision, "changed_at": now}),
        key=key,
        subject=key,
    )
    await schema.announcements.add(session, DEPLOYMENTS, event)


def _fingerprint(record: Deployment) -> str:
    content = json.dumps(record.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
