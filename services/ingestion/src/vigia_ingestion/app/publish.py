"""Frames and faults on their way to Kafka."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from vigia_contracts import faults, frames
from vigia_contracts.base import Payload
from vigia_contracts.events import JSON, Event
from vigia_contracts.faults import Fault
from vigia_contracts.topics import FAULTS, FRAMES
from vigia_ingestion.app.ports import Sender, Store
from vigia_ingestion.domain.frame import PNG, Frame, source_of


class Publisher:
    """Puts frames and faults onto their topics. Every method raises Transient when broker or store is away."""

    def __init__(self, sender: Sender, store: Store, frames_bucket: str) -> None:
        self._sender = sender
        self._store = store
        self._bucket = frames_bucket

    async def frame(self, camera_id: str, frame: Frame) -> None:
        """Publish one frame: the image itself, or above 900 KB a reference to it, stored first."""
        kind = frames.FRAME_CAPTURED
        data: bytes | Payload = frame.image
        content_type: str = frame.content_type
        if len(frame.image) > frames.MAX_INLINE_BYTES:
            kind, data, content_type = frames.FRAME_STORED, await self._stored(camera_id, frame), JSON
        await self._sender.send(
            FRAMES,
            Event(
                type=kind,
                source=source_of(camera_id, frame.session),
                id=frame.frame_id,
                time=frame.captured_at,
                data=data,
                key=camera_id,
                subject=camera_id,
                content_type=content_type,
                extensions={"partid": frame.part_id} if frame.part_id else {},
            ),
        )
        if frame.published is not None:
            frame.published()

    async def _stored(self, camera_id: str, frame: Frame) -> frames.FrameReference:
        # The key is made of the frame's identity, so a repeat overwrites the same object with the same bytes.
        name = hashlib.sha256(f"{frame.session}\x1f{frame.frame_id}".encode()).hexdigest()[:32]
        extension = "png" if frame.content_type == PNG else "jpg"
        key = f"frames/{camera_id}/{frame.captured_at:%Y-%m-%d}/{name}.{extension}"
        image = await self._store.put(self._bucket, key, frame.image, frame.content_type)
        return frames.FrameReference(image=image, content_type=frame.content_type)

    async def fault(self, fault: Fault) -> None:
        """Publish the opening or the closing of a fault."""
        state = "open" if fault.ended_at is None else "closed"
        await self._sender.send(
            FAULTS,
            Event(
                type=faults.FAULT_RECORDED,
                source=f"/cameras/{fault.camera_id}/faults",
                id=f"{fault.fault_id}/{state}",
                time=datetime.now(UTC),
                data=fault,
                key=fault.camera_id,
                subject=fault.camera_id,
            ),
        )
