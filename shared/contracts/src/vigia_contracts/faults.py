"""Faults: stretches of time, or counts of frames, in which nobody looked."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from vigia_contracts.base import Payload, UtcTime

FAULT_RECORDED = "vigia.fault.recorded.v1"


class FaultKind(StrEnum):
    BLIND = "blind"  # the camera gave no frames from `started_at` to `ended_at`
    DROPPED = "dropped"  # frames arrived and were dropped by the camera's policy
    EXPIRED = "expired"  # frames left the topic before a worker read them
    INVALID = "invalid"  # the camera sent something that is no frame


class Fault(Payload):
    """One fault. An open fault (``ended_at`` None) is closed by a later record with the same ``fault_id``."""

    fault_id: UUID
    kind: FaultKind
    cause: str = Field(
        description="refused, timeout, auth, not_found, codec, stalled, disconnected, overload, retention, too_large"
    )
    account_id: str
    camera_id: str
    line_id: str | None = None
    started_at: UtcTime
    ended_at: UtcTime | None = None
    count: int = Field(default=0, ge=0, description="frames concerned, where known")
    detail: str | None = Field(default=None, max_length=1000)
