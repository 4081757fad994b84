"""Follows the compacted topic ``cameras``: the last record of a camera is the truth, an empty one removes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vigia_aggregator.app.batches import BatchHandler, Outcome
from vigia_aggregator.app.patience import Patience
from vigia_aggregator.domain.records import Record
from vigia_contracts.cameras import Camera


class Cameras(Protocol):
    """Where the copy is kept."""

    async def remove(self, camera_ids: Sequence[str]) -> None:
        """Forget these cameras."""
        ...


class CameraHandler:
    """Stores cameras through ``handler`` and removes those whose last record is empty."""

    def __init__(self, handler: BatchHandler[Camera, int], cameras: Cameras, patience: Patience) -> None:
        self._handler = handler
        self._cameras = cameras
        self._patience = patience

    async def handle(self, records: Sequence[Record]) -> Outcome[Camera, int]:
        """Returns when the effect of every record is durable."""
        last = {record.key: record for record in records}
        gone = [
            key.decode(errors="replace") for key, record in last.items() if key is not None and record.value is None
        ]
        if gone:
            await self._patience.run("remove cameras", lambda: self._cameras.remove(gone))
        return await self._handler.handle([record for record in last.values() if record.value is not None])
