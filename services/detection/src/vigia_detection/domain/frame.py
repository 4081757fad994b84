"""What is known about an image before anyone has looked at it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from vigia_contracts.base import derived_id
from vigia_contracts.cameras import Camera
from vigia_contracts.inspections import Origin

#: A stated capture time must lie this far around the broker's timestamp, or it is impossible.
OLDEST: Final = timedelta(days=7)
NEWEST: Final = timedelta(minutes=5)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,127}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Frame:
    """One image on its way to a decision.

    ``captured_at`` is the stated moment of capture where that is possible, else the moment of arrival, and then
    ``time_possible`` is False. ``queue_seconds`` is the time between broker (or door) and worker.
    """

    inspection_id: UUID
    frame_id: str
    source: str
    origin: Origin
    camera_id: str | None
    part_id: str | None
    captured_at: datetime
    received_at: datetime
    time_possible: bool = True
    queue_seconds: float = 0.0
    trace: Mapping[str, str] | None = None


def camera_name(*candidates: str | None) -> str | None:
    """The first candidate that can name a camera. Anything else must reach no metric label, path or row."""
    return next((name for name in candidates if name is not None and _NAME.fullmatch(name)), None)


def clean(text: str, limit: int = 256) -> str:
    """``text`` as it may be stored: without control characters (Postgres refuses NUL), at most ``limit`` long."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)[:limit]


def capture_time(stated: datetime | None, arrived: datetime) -> tuple[datetime, bool]:
    """When the image was taken and whether the stated time is possible; the arrival stands in where it is not."""
    if stated is None:
        return arrived, True
    if arrived - OLDEST <= stated <= arrived + NEWEST:
        return stated, True
    return arrived, False


def account_of_unknown(cameras: Iterable[Camera], fallback: str) -> str:
    """Whose a frame is that no known camera took: the plant's, where it has only one account."""
    accounts = {camera.account_id for camera in cameras}
    return accounts.pop() if len(accounts) == 1 else fallback


def bad_message_id(topic: str, partition: int, offset: int) -> UUID:
    """The inspection id of a record that cannot name its own frame: its place in the topic is its identity."""
    return derived_id("bad-message", topic, str(partition), str(offset))


def gap_id(topic: str, partition: int, first_missing: int) -> UUID:
    """The fault id of frames that expired unread: the same gap has the same id, however often it is found."""
    return derived_id("expired", topic, str(partition), str(first_missing))
