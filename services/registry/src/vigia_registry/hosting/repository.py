"""Hostings in the database, as the hosting process reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef
from vigia_contracts.topics import DEPLOYMENTS
from vigia_registry import schema
from vigia_registry.hosting.domain import Desired, Hosting, Observed, triton_name
from vigia_registry.hosting.scaling import within
from vigia_registry.hosting.tables import hostings, sightings
from vigia_registry.hosting.versions import Change, ReplicaReport
from vigia_registry.identity.domain import Service
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.tables import projects


@dataclass(frozen=True, slots=True)
class Target:
    """A version to take care of, and its artifact's ``manifest.json``: where it lies, and what training said is in it.

    ``service``: whose project it is, for both may have one of the name. ``version``: what customers call it.
    ``revision`` is that of the row.
    """

    hosting: Hosting
    account_id: str
    service: Service
    project: str
    version: str
    project_id: UUID
    artifact: ObjectRef
    manifest: Mapping[str, object]
    revision: int


async def targets(session: AsyncSession, namespace: str) -> tuple[datetime, Sequence[Target]]:
    """The database's clock, and every version that is hosted, should be, or is on its way out."""
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    rows = await session.execute(
        select(
            hostings,
            model_versions.c.arn,
            model_versions.c.account_id,
            model_versions.c.version,
            model_versions.c.name,
            model_versions.c.artifact,
            model_versions.c.manifest,
            model_versions.c.project_id,
            projects.c.name.label("project"),
            projects.c.service,
        )
        .join(model_versions, model_versions.c.id == hostings.c.model_version_id)
        .join(projects, projects.c.id == model_versions.c.project_id)
        .where(or_(hostings.c.desired == Desired.HOSTED, hostings.c.observed != Observed.ABSENT))
        .order_by(hostings.c.updated_at)
    )
    found = []
    for row in rows:
        artifact = ObjectRef.model_validate(row.artifact)
        name = triton_name(namespace, row.project, row.version, row.arn, artifact.sha256 or "")
        hosting = Hosting(
            id=row.model_version_id,
            arn=row.arn,
            triton_model=name,
            desired=Desired(row.desired),
            observed=Observed(row.observed),
            units=within(row.desired_units, row.min_units, row.max_units),
            in_service_units=row.in_service_units,
            generation=row.generation,
            since=row.observed_at,
            min_units=row.min_units,
            max_units=row.max_units,
        )
        target = Target(
            hosting=hosting,
            account_id=row.account_id,
            service=Service(row.service),
            project=row.project,
            version=row.name or str(row.version),
            project_id=row.project_id,
            artifact=artifact,
            manifest=row.manifest,
            revision=row.revision,
        )
        found.append(target)
    return now, found


async def record(session: AsyncSession, target: Target, change: Change) -> bool:
    """Write ``change``; False when somebody else changed the row since it was read, and nothing was written."""
    hosting = target.hosting
    values = {
        "observed": change.observed,
        "reason": change.reason,
        "in_service_units": change.in_service_units,
        "triton_model": hosting.triton_model,
        "revision": hostings.c.revision + 1,
        "updated_at": func.now(),
    }
    if change.observed is not hosting.observed:
        values["observed_at"] = func.clock_timestamp()
    written = await session.execute(
        update(hostings)
        .where(hostings.c.model_version_id == hosting.id, hostings.c.revision == target.revision)
        .values(values)
        .returning(hostings.c.model_version_id)
    )
    return written.one_or_none() is not None


async def scale(session: AsyncSession, target: Target, units: int) -> bool:
    """Write that the version should have ``units``; False when somebody else changed the row since it was read."""
    written = await session.execute(
        update(hostings)
        .where(hostings.c.model_version_id == target.hosting.id, hostings.c.revision == target.revision)
        .values(desired_units=units, revision=hostings.c.revision + 1, updated_at=func.now())
        .returning(hostings.c.model_version_id)
    )
    return written.one_or_none() is not None


async def published(session: AsyncSession) -> bool:
    """Whether everything that was announced of deployments is on Kafka."""
    outbox = schema.outbox
    waiting = select(outbox.c.id).where(outbox.c.topic == DEPLOYMENTS.name).limit(1)
    return (await session.execute(waiting)).one_or_none() is None


async def keep_sightings(
    session: AsyncSession, changed: Mapping[tuple[UUID, str], ReplicaReport], gone: Iterable[tuple[UUID, str]]
) -> None:
    """Write what has changed in the eyes of each Triton (by version and address), and forget what is ``gone``."""
    for (version, triton), report in changed.items():
        row = insert(sightings).values(
            model_version_id=version, triton=triton, report=report.report, reason=report.reason
        )
        await session.execute(
            row.on_conflict_do_update(
                index_elements=[sightings.c.model_version_id, sightings.c.triton],
                set_={"report": row.excluded.report, "reason": row.excluded.reason, "seen_at": func.now()},
            )
        )
    if keys := list(gone):
        named = tuple_(sightings.c.model_version_id, sightings.c.triton).in_(keys)
        await session.execute(delete(sightings).where(named))


async def seen(session: AsyncSession) -> set[tuple[UUID, str]]:
    """Versions and Tritons that a sighting is kept of."""
    rows = await session.execute(select(sightings.c.model_version_id, sightings.c.triton))
    return {(row.model_version_id, row.triton) for row in rows}


async def existing(session: AsyncSession, versions: Iterable[UUID]) -> set[UUID]:
    """Those of ``versions`` that are still hosted or were, locked until the transaction ends."""
    query = (
        select(hostings.c.model_version_id)
        .where(hostings.c.model_version_id.in_(list(versions)))
        .with_for_update(read=True, key_share=True)
    )
    return {row.model_version_id for row in await session.execute(query)}
