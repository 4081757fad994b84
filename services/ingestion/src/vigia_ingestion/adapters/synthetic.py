"""The synthetic line as a source."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

from vigia_contracts.cameras import Camera, SyntheticSource
from vigia_ingestion.adapters.jpeg import encode
from vigia_ingestion.app.ports import Intake
from vigia_ingestion.domain.frame import JPEG, Frame
from vigia_ingestion.domain.synthetic import draw, part

#: When the camera states no rate.
FRAMES_PER_SECOND = 1.0


class SyntheticReader:
    """Generates parts at the camera's rate.

    A line with a limit has one session per revision, so that after a restart the same parts get the same ids and are
    inspected once. An endless one has a session per start.
    """

    def __init__(self, camera: Camera, source: SyntheticSource) -> None:
        self._source = source
        self._quality = camera.policy.jpeg_quality
        self._interval = 1.0 / (camera.policy.frames_per_second or FRAMES_PER_SECOND)
        fixed = f"synthetic-{source.seed}-{camera.revision}"
        self._session = fixed if source.limit else uuid4().hex

    async def read(self, intake: Intake) -> None:
        """See :class:`vigia_ingestion.app.ports.Reader`."""
        due = time.monotonic()
        index = 0
        while not self._source.limit or index < self._source.limit:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            captured_at = datetime.now(UTC)
            image = await asyncio.to_thread(self._image, index)
            await intake.frame(
                Frame(image, JPEG, self._session, str(index), captured_at, part(self._source, index).part_id)
            )
            index += 1
            # A line that was held back goes on at its rate; it does not rush to catch up.
            due = max(due + self._interval, time.monotonic() - self._interval)

    def _image(self, index: int) -> bytes:
        return encode(draw(self._source, index), self._quality)
