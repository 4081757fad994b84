"""Model versions in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.base import ObjectRef, Payload
from vigia_contracts.training import ManifestChecks, ModelMetrics, OutputLocation
from vigia_registry.identity.domain import Owner
from vigia_registry.models.domain import TRANSITIONS, ModelState, ModelVersion, VersionName
from vigia_registry.models.tables import model_versions
from vigia_registry.states import step

_COLUMNS = tuple(column for column in model_versions.c if column is not model_versions.c.tags)
_REFS = (
    "training_manifest",
    "test_manifest",
    "artifact",
    "evaluation_manifest",
    "evaluation_result",
    "training_snapshot",
)


def _model(row: RowMapping) -> ModelVersion:
    values = dict(row)
    for name in _REFS:
        values[name] = None if values[name] is None else ObjectRef.model_validate(values[name])
    return ModelVersion(
        **{
            **values,
            "state": ModelState(row["state"]),
            "output": OutputLocation.model_validate(row["output"]),
            "metrics": None if row["metrics"] is None else ModelMetrics.model_validate(row["metrics"]),
            "checks": None if row["checks"] is None else ManifestChecks.model_validate(row["checks"]),
        }
    )


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.model_dump(mode="json") if isinstance(value, Payload) else value for name, value in values.items()
    }


def _version(project_id: UUID, version: VersionName) -> Select[Any]:
    query = select(*_COLUMNS).where(model_versions.c.project_id == project_id)
    if version == "latest":
        return query.order_by(model_versions.c.version.desc()).limit(1)
    return query.where(model_versions.c.version == version)


async def add(session: AsyncSession, model: ModelVersion) -> None:
    """Store a new version."""
    await session.execute(
        insert(model_versions).values(
            _stored(
                {
                    "id": model.id,
                    "arn": model.arn,
                    "project_id": model.project_id,
                    "account_id": model.account_id,
                    "region": model.region,
                    "version": model.version,
                    "name": model.name,
                    "source_arn": model.source_arn,
                    "given": model.given,
                    "state": model.state.value,
                    "status_message": model.status_message,
                    "description": model.description,
                    "kms_key_id": model.kms_key_id,
                    "output": model.output,
                    "training_manifest": model.training_manifest,
                    "test_manifest": model.test_manifest,
                    "created_at": model.created_at,
                    "updated_at": model.updated_at,
                }
            )
        )
    )


async def find(session: AsyncSession, project_id: UUID, version: VersionName) -> ModelVersion | None:
    """The version of that number, or the newest; None when there is none."""
    row = (await session.execute(_version(project_id, version))).one_or_none()
    return None if row is None else _model(row._mapping)


async def lock(session: AsyncSession, project_id: UUID, version: VersionName) -> ModelVersion | None:
    """As ``find``; nobody else changes the version until the transaction ends."""
    row = (await session.execute(_version(project_id, version).with_for_update(key_share=True))).one_or_none()
    return None if row is None else _model(row._mapping)


async def lock_by_id(session: AsyncSession, model_version_id: UUID) -> ModelVersion | None:
    """The version of that id, locked, or None."""
    query = select(*_COLUMNS).where(model_versions.c.id == model_version_id).with_for_update(key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _model(row._mapping)


async def lock_by_arn(session: AsyncSession, arn: str) -> ModelVersion | None:
    """The version of that ARN, locked, or None."""
    query = select(*_COLUMNS).where(model_versions.c.arn == arn).with_for_update(key_share=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _model(row._mapping)


async def by_arn(session: AsyncSession, arn: str) -> ModelVersion | None:
    """The version of that ARN, whoever has it, or None."""
    row = (await session.execute(select(*_COLUMNS).where(model_versions.c.arn == arn))).one_or_none()
    return None if row is None else _model(row._mapping)


async def find_by_arn(session: AsyncSession, owner: Owner, arn: str) -> ModelVersion | None:
    """The version of that ARN, where the account has it in the region; else None."""
    query = select(*_COLUMNS).where(
        model_versions.c.arn == arn,
        model_versions.c.account_id == owner.account_id,
        model_versions.c.region == owner.region,
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _model(row._mapping)


async def page(session: AsyncSession, project_id: UUID, before: int | None, limit: int) -> list[ModelVersion]:
    """Up to ``limit`` versions of the project, newest first, older than number ``before``."""
    query = select(*_COLUMNS).where(model_versions.c.project_id == project_id)
    if before is not None:
        query = query.where(model_versions.c.version < before)
    rows = await session.execute(query.order_by(model_versions.c.version.desc()).limit(limit))
    return [_model(row._mapping) for row in rows]


async def count(session: AsyncSession, project_id: UUID) -> int:
    """How many versions the project has, those being deleted included."""
    found = await session.execute(
        select(func.count()).select_from(model_versions).where(model_versions.c.project_id == project_id)
    )
    return found.scalar_one()


async def count_trainings(session: AsyncSession, owner: Owner) -> int:
    """How many trainings the account has under way in the region."""
    found = await session.execute(
        select(func.count())
        .select_from(model_versions)
        .where(
            model_versions.c.account_id == owner.account_id,
            model_versions.c.region == owner.region,
            model_versions.c.state == ModelState.TRAINING.value,
        )
    )
    return found.scalar_one()


async def change(session: AsyncSession, model_version_id: UUID, values: dict[str, Any]) -> None:
    """Store new values of a version's columns."""
    await session.execute(
        update(model_versions)
        .where(model_versions.c.id == model_version_id)
        .values({**_stored(values), "updated_at": func.now()})
    )


async def move(session: AsyncSession, model: ModelVersion, target: ModelState, values: dict[str, Any]) -> None:
    """Store a new state, and what comes with it; ForbiddenTransitionError."""
    await change(session, model.id, {**values, "state": step(TRANSITIONS, model.state, target).value})


async def snapshots_of_none_else(session: AsyncSession, model: ModelVersion) -> list[ObjectRef]:
    """The version's snapshots that no other version of the project was trained or tested on."""
    rows = await session.execute(
        select(model_versions.c.training_manifest, model_versions.c.test_manifest).where(
            model_versions.c.project_id == model.project_id, model_versions.c.id != model.id
        )
    )
    others = {ref["key"] for row in rows for ref in row if ref is not None}
    own = (model.training_manifest, model.test_manifest)
    return [ref for ref in own if ref is not None and ref.key not in others]


async def overdue(session: AsyncSession, started_before: datetime) -> list[ModelVersion]:
    """Versions in training since before ``started_before``, locked; those that others hold are left out."""
    rows = await session.execute(
        select(*_COLUMNS)
        .where(model_versions.c.state == ModelState.TRAINING.value, model_versions.c.created_at < started_before)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return [_model(row._mapping) for row in rows]


async def remove(session: AsyncSession, model_version_id: UUID) -> None:
    """Forget the version."""
    await session.execute(delete(model_versions).where(model_versions.c.id == model_version_id))
