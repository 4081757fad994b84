"""After the decision: evidence first, then the inspection, then the count. Nothing here changes the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from vigia_contracts.events import Event
from vigia_contracts.inspections import Evidence, Inspection, Origin
from vigia_detection.app.clock import Stopwatch
from vigia_detection.app.ports import Announcer, EvidenceStore
from vigia_detection.domain.evidence import PNG, image_key, is_kept, mask_key, media_type
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.retry import Budget

log = get_logger(__name__)

_SERVICE: Final = "detection"
_NO_CAMERA: Final = "unknown"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the record of one outcome needs beside the inspection itself.

    ``image`` are the bytes that came in, None where there are none; ``mask`` makes the mask's PNG when it is wanted.
    ``known_camera`` is False where the camera's name is a stranger's word, which must not become a metric label.
    ``call`` is the record of the request that brought the image, where one did.
    """

    image: bytes | None
    mask: Callable[[], Awaitable[bytes | None]] | None
    pass_share: float
    key: str | None
    trace: Mapping[str, str]
    known_camera: bool
    queue_seconds: float = 0.0
    call: Event | None = None


class Recorder:
    """Makes an outcome durable. Object store and broker get ``retry_seconds`` each to come back; then Transient."""

    def __init__(
        self, evidence: EvidenceStore, announcer: Announcer, *, retry_seconds: float, max_evidence_bytes: int
    ) -> None:
        self._evidence = evidence
        self._announcer = announcer
        self._retry_seconds = retry_seconds
        self._max_bytes = max_evidence_bytes

    async def record(self, inspection: Inspection, keeping: Keeping, watch: Stopwatch) -> Inspection:
        """Store the evidence, publish the inspection, count it; the inspection as published.

        Transient when either did not succeed in time: then nothing counts as done and the frame comes again.
        """
        image = keeping.image
        evidence = inspection.evidence
        if image and len(image) <= self._max_bytes and is_kept(inspection, keeping.pass_share):
            with watch.stage("evidence"):
                evidence = await self._keep(inspection, image, keeping.mask)
        total = keeping.queue_seconds + watch.elapsed()
        timings = {"queue": keeping.queue_seconds, **watch.seconds, "total": total}
        final = inspection.model_copy(update={"evidence": evidence, "timings": timings})
        await self._persist(lambda: self._announcer.announce(final, keeping.key, keeping.trace, keeping.call))
        self._count(final, keeping.known_camera)
        return final

    async def _keep(
        self, inspection: Inspection, image: bytes, mask: Callable[[], Awaitable[bytes | None]] | None
    ) -> Evidence:
        async def keep_image() -> Evidence:
            key = image_key(inspection, image)
            stored = await self._persist(
                lambda: self._evidence.put(key, image, media_type(image), inspection.account_id)
            )
            return Evidence(image=stored)

        async def keep_mask() -> Evidence:
            drawn = await mask() if mask is not None else None
            if drawn is None:
                return Evidence()
            key = mask_key(inspection)
            stored = await self._persist(lambda: self._evidence.put(key, drawn, PNG, inspection.account_id))
            return Evidence(mask=stored)

        images, masks = await asyncio.gather(keep_image(), keep_mask())
        return Evidence(image=images.image, mask=masks.mask)

    async def _persist(self, action: Callable[[], Awaitable[T]]) -> T:
        return await persisted(action, self._retry_seconds)

    @staticmethod
    def _count(inspection: Inspection, known_camera: bool) -> None:
        camera = (inspection.camera_id if known_camera else None) or _NO_CAMERA
        if inspection.origin is Origin.API:
            camera = Origin.API.value
        metrics.FRAMES.labels(_SERVICE, camera, inspection.verdict.value).inc()
        if inspection.cause is not None:
            metrics.INVALID_FRAMES.labels(camera, inspection.cause.value).inc()
        for stage, seconds in inspection.timings.items():
            metrics.STAGE_SECONDS.labels(_SERVICE, stage).observe(seconds)


async def persisted(action: Callable[[], Awaitable[T]], seconds: float) -> T:
    """What ``action`` gives once it succeeds; Transient when it did not within ``seconds``."""
    budget = Budget(seconds)
    while True:
        try:
            return await action()
        except Transient as error:
            if not await budget.pause():
                raise
            log.warning("not recorded yet", detail=error.detail, attempt=budget.attempts)
