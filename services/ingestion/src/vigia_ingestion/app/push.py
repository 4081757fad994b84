"""The push door's rules: which image is taken, and as what."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from vigia_contracts.cameras import Camera, PushSource
from vigia_ingestion.app.measures import CameraMeasures
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.domain.frame import ContentType, Frame, kind_of
from vigia_runtime.errors import BadMessage, Conflict, InvalidInput, NotFound, Transient, Unavailable

#: Images being published at once; each holds its bytes in memory.
MOST_AT_ONCE = 32

_ID = re.compile(r"^[\x21-\x7e]{1,200}$")


class Cameras(Protocol):
    """The table of all cameras."""

    def get(self, key: str) -> Camera | None:
        """The camera of this id."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image as a caller sends it. ``frame_id`` given by the caller makes a repeat harmless."""

    camera_id: str
    account_id: str
    image: bytes
    content_type: str | None = None
    frame_id: str | None = None
    part_id: str | None = None
    captured_at: str | None = None


class PushDoor:
    """Takes images for cameras of kind push."""

    def __init__(self, cameras: Cameras, publisher: Publisher) -> None:
        self._cameras = cameras
        self._publisher = publisher
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def take(self, pushed: Pushed) -> str:
        """The id of the frame, once Kafka has it. AppError says why an image is not taken."""
        now = datetime.now(UTC)
        camera = self._camera(pushed)
        kind = _kind(pushed)
        frame = Frame(
            image=pushed.image,
            content_type=kind,
            session="push",
            frame_id=_checked("X-Vigia-Frame-Id", pushed.frame_id) or str(uuid4()),
            captured_at=_time(pushed.captured_at) or now,
            part_id=_checked("X-Vigia-Part-Id", pushed.part_id),
        )
        measures = CameraMeasures(camera.camera_id)
        if self._slots.locked():
            measures.outcome("refused")
            raise Unavailable("overloaded", "too many images at once; send it again")
        async with self._slots:
            try:
                await self._publisher.frame(camera.camera_id, frame)
            except Transient as error:
                measures.outcome("refused")
                raise Unavailable("broker_unavailable", "the image could not be stored; send it again") from error
            except BadMessage as error:
                raise InvalidInput(error.code, error.detail) from error
        measures.outcome("published")
        measures.captured(frame.captured_at)
        return frame.frame_id

    def _camera(self, pushed: Pushed) -> Camera:
        camera = self._cameras.get(pushed.camera_id)
        # Another account's camera is answered as none, so that names cannot be probed.
        if camera is None or camera.account_id != pushed.account_id:
            raise NotFound("unknown_camera", f"there is no camera {pushed.camera_id!r}")
        if not isinstance(camera.source, PushSource):
            raise Conflict("not_a_push_camera", f"camera {camera.camera_id!r} is read by {camera.source.kind}")
        if not camera.enabled:
            raise Conflict("camera_disabled", f"camera {camera.camera_id!r} is disabled")
        return camera


class UnsupportedImage(InvalidInput):
    """Neither JPEG nor PNG."""


def _kind(pushed: Pushed) -> ContentType:
    kind = kind_of(pushed.image)
    if kind is None:
        raise UnsupportedImage("unsupported_image", "the body is neither a JPEG nor a PNG image")
    stated = (pushed.content_type or "").split(";")[0].strip().lower()
    if stated.startswith("image/") and stated not in {kind, "image/jpg" if kind == "image/jpeg" else kind}:
        raise UnsupportedImage("content_type_mismatch", f"the body is {kind}, not {stated}")
    return kind


def _checked(header: str, value: str | None) -> str | None:
    if value is not None and not _ID.match(value):
        raise InvalidInput("bad_header", f"{header} must be 1 to 200 printable ASCII characters without blanks")
    return value


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("bad_header", "X-Vigia-Captured-At must be an ISO 8601 time") from error
    if time.tzinfo is None:
        raise InvalidInput("bad_header", "X-Vigia-Captured-At needs a zone, such as Z")
    return time.astimezone(UTC)
