"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from vigia_contracts.base import ObjectRef
from vigia_contracts.cameras import Camera
from vigia_contracts.events import Event
from vigia_contracts.topics import Topic
from vigia_ingestion.domain.frame import Frame

#: Takes a frame off a source's hands; returns when there is room for the next one.
Deliver = Callable[[Frame], Awaitable[None]]


class SourceError(Exception):
    """The source cannot be read now. ``cause`` is one of the fault causes; ``detail`` is for people."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class Intake(Protocol):
    """Where a source puts what it read."""

    async def frame(self, frame: Frame) -> None:
        """Hand over a frame; returns when the source may read on."""

    def broken(self, cause: str) -> None:
        """The source sent something that is no frame."""


class Reader(Protocol):
    """A source of frames."""

    async def read(self, intake: Intake) -> None:
        """Read until cancelled. Returns when the source has come to its proper end; SourceError when it fails."""


#: Makes the reader of a camera.
MakeReader = Callable[[Camera], Reader]


class Sender(Protocol):
    """A Kafka producer that returns once a record is durable and raises Transient when that cannot be had now."""

    async def send(self, topic: Topic, event: Event) -> None:
        """Publish an event."""


class Store(Protocol):
    """The object store."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str | None = None) -> ObjectRef:
        """Store an object; Transient when that cannot be done now."""
