"""Records of calls; those of a call that leads to an inspection are published together with it."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from vigia_detection.app.ports import Announcer
from vigia_detection.app.record import persisted
from vigia_runtime import metrics
from vigia_runtime.audit import Draft, Images
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

SERVICE: Final = "vigia/detection"
#: How long a caller waits for its error because the record of it cannot be written.
_SECONDS: Final = 5.0


class Told(Protocol):
    """An error as a caller gets it: HTTP status, the protocol's name for it, and what it says."""

    status: int
    name: str
    message: str


class CallLog:
    """Writes calls down. ``retry_seconds``: how long a call that succeeded waits for the broker to take its record."""

    def __init__(self, announcer: Announcer, retry_seconds: float) -> None:
        self._announcer = announcer
        self._retry_seconds = retry_seconds

    async def succeeded(self, asked: Draft, project: str, version: str, images: Images) -> None:
        """Publish that the call succeeded; Transient when that cannot be made durable."""
        event = asked.ended(SERVICE, 200, project=project, version=version, images=images)
        await persisted(lambda: self._announcer.announce_call(event), self._retry_seconds)

    async def failed(
        self, asked: Draft, error: Told, project: str | None, version: str | None, *, invalid_image: bool
    ) -> None:
        """Publish that the call failed. A caller gets its error, also where the record cannot be kept.

        ``project`` and ``version`` where they are known to exist: anybody can name what is not there, and metrics must
        not grow by that.
        """
        event = asked.ended(
            SERVICE,
            error.status,
            error=(error.name, error.message),
            project=project,
            version=version,
            images=Images(invalid=int(invalid_image)),
        )
        try:
            async with asyncio.timeout(_SECONDS):
                await self._announcer.announce_call(event)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it must not replace the caller's own error
            metrics.CALLS_UNRECORDED.labels("detection").inc()
            log.error(
                "a failed call is in no audit record",
                caller=asked.credential.principal_arn,
                code=error.name,
                error=type(problem).__name__,
            )
