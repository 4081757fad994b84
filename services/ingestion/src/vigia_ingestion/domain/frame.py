"""A frame between the camera and the topic, and the ids that make it unique."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

ContentType = Literal["image/jpeg", "image/png"]
JPEG: Final = "image/jpeg"
PNG: Final = "image/png"

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Frame:
    """One image as captured. ``session`` and ``frame_id`` are unique together within the camera.

    ``published`` is called once the broker has acknowledged the frame.
    """

    image: bytes
    content_type: ContentType
    session: str
    frame_id: str
    captured_at: datetime
    part_id: str | None = None
    published: Callable[[], None] | None = None


def source_of(camera_id: str, session: str) -> str:
    """The CloudEvents source of a camera's frames."""
    return f"/cameras/{camera_id}/{session}"


def kind_of(data: bytes) -> ContentType | None:
    """What the first bytes say the image is."""
    if data.startswith(_JPEG_START):
        return JPEG
    return PNG if data.startswith(_PNG_START) else None


def is_complete(data: bytes) -> bool:
    """Whether an image file ends as its format ends. A file still being written does not."""
    tail = data[-64:].rstrip(b"\x00\r\n ")
    if kind_of(data) == JPEG:
        return tail.endswith(_JPEG_END)
    return kind_of(data) == PNG and tail.endswith(_PNG_END)
