"""What a camera is, and what may be shown of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vigia_contracts.cameras import Camera, CameraPolicy, MjpegSource, RtspSource, Source
from vigia_registry.cameras.errors import BadCamera
from vigia_runtime.redaction import HIDDEN, redact_url

#: Sources whose address may carry credentials.
_WITH_URL: Final = (RtspSource, MjpegSource)


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """What a caller says about a camera. ``model_version``: the one version that may judge; None: the newest hosted."""

    source: Source
    line_id: str | None = None
    station: str | None = None
    product: str | None = None
    project: str | None = None
    model_version: int | None = None
    enabled: bool = True
    policy: CameraPolicy = field(default_factory=CameraPolicy)


@dataclass(frozen=True, slots=True)
class StoredCamera:
    """A camera as it is stored. ``source`` has its credentials."""

    camera_id: str
    account_id: str
    region: str
    spec: CameraSpec
    revision: int
    created_at: datetime
    updated_at: datetime

    def record(self) -> Camera:
        """The camera as it is announced on topic ``cameras``, credentials included: ingestion needs them."""
        return Camera(
            camera_id=self.camera_id,
            account_id=self.account_id,
            region=self.region,
            line_id=self.spec.line_id,
            station=self.spec.station,
            product=self.spec.product,
            project=self.spec.project,
            enabled=self.spec.enabled,
            source=self.spec.source,
            policy=self.spec.policy,
            revision=self.revision,
        )


def redacted(source: Source) -> Source:
    """The source as it may be shown: without user, password and query in its address."""
    if isinstance(source, _WITH_URL):
        return source.model_copy(update={"url": redact_url(source.url)})
    return source


def with_credentials(given: Source, stored: Source | None) -> Source:
    """``given``, with the stored address where it shows that one redacted.

    So a camera can be read, changed and written back without its password. BadCamera when a redacted address is given
    that is not the stored one: what it hides is not known.
    """
    if not isinstance(given, _WITH_URL) or HIDDEN not in given.url:
        return given
    if isinstance(stored, _WITH_URL) and redact_url(stored.url) == given.url:
        return given.model_copy(update={"url": stored.url})
    raise BadCamera(f"source.{given.kind}.url", f"the address contains {HIDDEN} in place of its credentials")
