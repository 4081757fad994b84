"""Cameras as the registry announces them. The topic is compacted: the last record per camera is the truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from vigia_contracts.base import Name, Payload

CAMERA_CHANGED = "vigia.camera.changed.v1"


class RtspSource(Payload):
    """``url`` may carry credentials: it is never logged or shown unredacted."""

    kind: Literal["rtsp"] = "rtsp"
    url: str = Field(pattern=r"^rtsps?://")
    transport: Literal["tcp", "udp"] = "tcp"


class MjpegSource(Payload):
    """multipart/x-mixed-replace over HTTP; the camera's own JPEGs are passed on unchanged."""

    kind: Literal["mjpeg"] = "mjpeg"
    url: str = Field(pattern=r"^https?://")


class FolderSource(Payload):
    """Image files that appear in a folder, in order of name. Each file is a frame, once."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)


class PushSource(Payload):
    """Images posted to ingestion's HTTP door."""

    kind: Literal["push"] = "push"


class SyntheticSource(Payload):
    """A generated line with known truth, for tests and load. ``limit`` 0 means no end."""

    kind: Literal["synthetic"] = "synthetic"
    width: int = Field(default=640, ge=16, le=4096)
    height: int = Field(default=480, ge=16, le=4096)
    defect_rate: float = Field(default=0.1, ge=0, le=1)
    seed: int = 0
    limit: int = Field(default=0, ge=0)


Source = Annotated[RtspSource | MjpegSource | FolderSource | PushSource | SyntheticSource, Field(discriminator="kind")]


class OverloadPolicy(StrEnum):
    NEWEST = "newest"  # drop the oldest frame and count it
    EVERY = "every"  # never drop: slow the source, or declare the part uninspected


class CameraPolicy(Payload):
    """How the camera is read and its frames are judged."""

    overload: OverloadPolicy = OverloadPolicy.NEWEST
    frames_per_second: float | None = Field(
        default=None, gt=0, le=1000, description="expected cadence; None: whatever the source sends"
    )
    budget_seconds: float = Field(
        default=10.0, gt=0, le=900, description="capture to decision; a later frame is INVALID late"
    )
    blind_after_seconds: float = Field(default=5.0, gt=0, le=3600, description="silence that counts as blind")
    pass_evidence_share: float = Field(default=0.1, ge=0, le=1, description="share of PASS images that is kept")
    jpeg_quality: int = Field(default=92, ge=1, le=100, description="for sources that send no JPEG of their own")


class Camera(Payload):
    """A camera, where it stands, and what judges its frames."""

    camera_id: Name
    account_id: str
    region: str
    line_id: Name | None = None
    station: Name | None = None
    product: str | None = Field(default=None, max_length=128)
    project: str | None = Field(default=None, max_length=255, description="whose hosted model decides")
    enabled: bool = True
    source: Source
    policy: CameraPolicy = CameraPolicy()
    revision: int = Field(default=1, ge=1, description="grows with every change")
