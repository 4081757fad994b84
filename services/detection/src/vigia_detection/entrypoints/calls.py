"""Records of calls that ended without an inspection; those with one are published together with it."""

from __future__ import annotations

import asyncio
from typing import Final

from vigia_detection.adapters.stream import KafkaAnnouncer
from vigia_detection.app.ports import Deployments
from vigia_detection.domain.hosted import LATEST, find_hosted
from vigia_detection.entrypoints.aws import AwsError
from vigia_runtime import metrics
from vigia_runtime.audit import Draft, Images
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

SERVICE: Final = "vigia/detection"
#: How long a caller waits for its error because the record of it cannot be written.
_SECONDS: Final = 5.0


class CallLog:
    """Writes down refused and failed calls. A caller gets its error, also where the record cannot be kept."""

    def __init__(self, announcer: KafkaAnnouncer, deployments: Deployments) -> None:
        self._announcer = announcer
        self._deployments = deployments

    async def failed(
        self, asked: Draft, error: AwsError, project: str, version: str, *, exists: bool, invalid_image: bool
    ) -> None:
        """Publish that the call failed. ``exists``: the version is known to be there, hosted or not."""
        hosted = find_hosted(
            self._deployments.items(),
            account_id=asked.credential.account_id,
            region=asked.region,
            project=project,
            version=version,
        )
        if hosted is not None:
            named: tuple[str | None, str | None] = (hosted.project, hosted.model_version)
        elif exists:
            named = (project, None if version == LATEST else version)
        else:
            # Anybody can name what is not there, and metrics must not grow by that.
            named = (None, None)
        event = asked.ended(
            SERVICE,
            error.status,
            error=(error.name, error.message),
            project=named[0],
            version=named[1],
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
