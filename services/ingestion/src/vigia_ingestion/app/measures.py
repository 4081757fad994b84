"""What is measured of one camera."""

from __future__ import annotations

import time
from datetime import datetime

from vigia_runtime import metrics

_SERVICE = "ingestion"
_STATES = ("opening", "ok", "waiting", "failed", "ended")


class CameraMeasures:
    """The metrics of one camera."""

    def __init__(self, camera_id: str) -> None:
        self._camera = camera_id
        self._state: str | None = None
        self._blind_at: float | None = None

    def outcome(self, outcome: str) -> None:
        """A frame was published, dropped or broken."""
        metrics.FRAMES.labels(_SERVICE, self._camera, outcome).inc()

    def captured(self, at: datetime) -> None:
        """A frame came from the camera."""
        metrics.CAMERA_LAST_FRAME.labels(self._camera).set(at.timestamp())

    def reconnect(self, reason: str) -> None:
        """The connection ended or was given up."""
        metrics.CAMERA_RECONNECTS.labels(self._camera, reason).inc()

    def blind(self, is_blind: bool) -> None:
        """Whether the camera is blind, told every tick; the time between two ticks of blindness counts."""
        now = time.monotonic()
        if is_blind and self._blind_at is not None:
            metrics.CAMERA_BLIND_SECONDS.labels(self._camera).inc(now - self._blind_at)
        self._blind_at = now if is_blind else None

    def state(self, state: str) -> None:
        """The camera is in this state."""
        if state != self._state:
            self._state = state
            for each in _STATES:
                metrics.CAMERA_STATE.labels(self._camera, each).set(each == state)

    def gone(self) -> None:
        """The camera is not read here any more: another replica may speak of it."""
        for each in _STATES:
            metrics.CAMERA_STATE.remove(self._camera, each)
        metrics.CAMERA_LAST_FRAME.remove(self._camera)
