"""Keeps a copy of the cameras that the registry announced, for dashboards."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.tables import cameras
from vigia_contracts.cameras import Camera


class CameraStore:
    """The only writer of table ``cameras``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, batch: Sequence[Camera]) -> int:
        """Store ``batch`` in one transaction; an older revision never replaces a newer one."""
        statement = insert(cameras)
        given = statement.excluded
        columns = [c.name for c in cameras.columns if c.name != "camera_id"]
        statement = statement.on_conflict_do_update(
            index_elements=[cameras.c.camera_id],
            set_={name: given[name] for name in columns},
            where=given.revision >= cameras.c.revision,
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement, [_row(camera) for camera in sorted(batch, key=lambda c: c.camera_id)])
        return len(batch)

    async def remove(self, camera_ids: Sequence[str]) -> None:
        """Forget cameras that were deleted. Their history stays."""
        async with self._engine.begin() as connection:
            await connection.execute(cameras.delete().where(cameras.c.camera_id.in_(camera_ids)))


def _row(camera: Camera) -> dict[str, object]:
    return {
        "camera_id": camera.camera_id,
        "account_id": camera.account_id,
        "line_id": camera.line_id,
        "station": camera.station,
        "product": camera.product,
        "project": camera.project,
        "enabled": camera.enabled,
        "revision": camera.revision,
    }
