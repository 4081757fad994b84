"""Cameras in the database."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.cameras import CameraPolicy, Source
from vigia_registry.cameras.domain import CameraSpec, StoredCamera
from vigia_registry.cameras.tables import cameras
from vigia_registry.hosting import tables as hosting
from vigia_registry.identity.domain import Owner

_SOURCE: TypeAdapter[Source] = TypeAdapter(Source)


async def lock(session: AsyncSession, camera_id: str) -> StoredCamera | None:
    """The camera of that id, whosever it is, or None. Nobody else creates or changes it until the transaction ends."""
    await session.execute(
        text("select pg_advisory_xact_lock(hashtext('vigia_registry.cameras'), hashtext(:camera))"),
        {"camera": camera_id},
    )
    row = (await session.execute(select(cameras).where(cameras.c.camera_id == camera_id))).one_or_none()
    return None if row is None else _camera(row)


async def find(session: AsyncSession, owner: Owner, camera_id: str) -> StoredCamera | None:
    """The owner's camera of that id, or None."""
    query = select(cameras).where(
        cameras.c.camera_id == camera_id, cameras.c.account_id == owner.account_id, cameras.c.region == owner.region
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else _camera(row)


async def revisions(session: AsyncSession) -> dict[str, int]:
    """The revision of every camera, whosever it is, by id."""
    rows = await session.execute(select(cameras.c.camera_id, cameras.c.revision))
    return {row.camera_id: row.revision for row in rows}


async def page(
    session: AsyncSession, owner: Owner, line_id: str | None, after: str | None, limit: int
) -> list[StoredCamera]:
    """Up to ``limit`` cameras, by id, behind ``after``; with ``line_id`` only those of that line."""
    query = select(cameras).where(cameras.c.account_id == owner.account_id, cameras.c.region == owner.region)
    if line_id is not None:
        query = query.where(cameras.c.line_id == line_id)
    if after is not None:
        query = query.where(cameras.c.camera_id > after)
    rows = await session.execute(query.order_by(cameras.c.camera_id).limit(limit))
    return [_camera(row) for row in rows]


async def put(session: AsyncSession, owner: Owner, camera_id: str, spec: CameraSpec) -> StoredCamera:
    """Store a camera, new or replaced, under the next revision. Call ``lock`` first."""
    revision = (await session.execute(select(hosting.revisions.next_value()))).scalar_one()
    values = {
        "line_id": spec.line_id,
        "station": spec.station,
        "product": spec.product,
        "project": spec.project,
        "model_version": spec.model_version,
        "enabled": spec.enabled,
        "source": spec.source.model_dump(mode="json"),
        "policy": spec.policy.model_dump(mode="json"),
        "revision": revision,
    }
    row = insert(cameras).values(camera_id=camera_id, account_id=owner.account_id, region=owner.region, **values)
    stored = await session.execute(
        row.on_conflict_do_update(
            index_elements=[cameras.c.camera_id], set_={**values, "updated_at": func.clock_timestamp()}
        ).returning(cameras)
    )
    return _camera(stored.one())


async def remove(session: AsyncSession, camera_id: str) -> None:
    """Forget the camera."""
    await session.execute(delete(cameras).where(cameras.c.camera_id == camera_id))


def _camera(row: Row[*tuple[Any, ...]]) -> StoredCamera:
    return StoredCamera(
        camera_id=row.camera_id,
        account_id=row.account_id,
        region=row.region,
        spec=CameraSpec(
            source=_SOURCE.validate_python(row.source),
            line_id=row.line_id,
            station=row.station,
            product=row.product,
            project=row.project,
            model_version=row.model_version,
            enabled=row.enabled,
            policy=CameraPolicy.model_validate(row.policy),
        ),
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
