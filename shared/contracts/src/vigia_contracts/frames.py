"""Frames: an image of a part, as a camera took it.

A frame's Kafka value is the image itself (JPEG or PNG). A larger image is written to the object store first and
the value is a :class:`FrameReference` as JSON; the event type tells which. A publisher needs four headers
(``ce_specversion ce_id ce_source ce_type``) and the camera id as the key. ``ce_time`` is the moment of capture;
without it the broker's timestamp counts.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from vigia_contracts.base import ObjectRef, Payload, derived_id

#: The value is the image.
FRAME_CAPTURED = "vigia.frame.captured.v1"
#: The value is a FrameReference.
FRAME_STORED = "vigia.frame.stored.v1"

#: Largest image sent inline, bytes. Above it the image goes to the object store and a reference is sent.
MAX_INLINE_BYTES = 900 * 1024


class FrameReference(Payload):
    """Where a frame too large for Kafka lies. The object is complete before the message is sent."""

    image: ObjectRef
    content_type: str = "image/jpeg"
    width: int | None = Field(default=None, ge=1, description="pixels")
    height: int | None = Field(default=None, ge=1, description="pixels")


def inspection_id(source: str, frame_id: str, decided_by: str = "deciding") -> UUID:
    """The id of the one inspection that a frame leads to.

    ``source`` and ``frame_id`` are the frame's CloudEvents attributes, which together are unique. ``decided_by`` is
    ``"deciding"`` whichever model version served, or the model version's ARN for a shadow model.
    """
    return derived_id("frame", source, frame_id, decided_by)
