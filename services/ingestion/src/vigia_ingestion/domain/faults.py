"""Faults of one camera as they happen: blind stretches opened and closed, dropped frames summed up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from vigia_contracts.cameras import Camera
from vigia_contracts.faults import Fault, FaultKind

#: Records that wait while the broker is away. A camera that comes and goes for an hour makes fewer.
MOST_WAITING = 1000


@dataclass(slots=True)
class _Tally:
    since: datetime
    until: datetime
    count: int


class FaultBook:
    """The faults of one camera that are not yet sent. Not thread-safe.

    Blind stretches are told at once, when they open and again when they close. Single frames that were dropped or
    broken are summed: one record per kind and sending, however many there were.
    """

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._blind: Fault | None = None
        self._waiting: deque[Fault] = deque(maxlen=MOST_WAITING)
        self._tallies: dict[tuple[FaultKind, str], _Tally] = {}

    @property
    def blind(self) -> Fault | None:
        """The open blind stretch, if the camera is blind now."""
        return self._blind

    def open_blind(self, cause: str, since: datetime, detail: str | None) -> bool:
        """The camera gives nothing since then; False when that was known already (the first cause stands)."""
        if self._blind is not None:
            return False
        self._blind = self._fault(FaultKind.BLIND, cause, since, detail=detail)
        self._waiting.append(self._blind)
        return True

    def close_blind(self, until: datetime) -> Fault | None:
        """Frames come again, or nobody expects any; the closed record, or None when it was not blind."""
        if self._blind is None:
            return None
        closed = self._blind.model_copy(update={"ended_at": max(until, self._blind.started_at)})
        self._blind = None
        self._waiting.append(closed)
        return closed

    def count(self, kind: FaultKind, cause: str, at: datetime, frames: int = 1) -> None:
        """Add single frames to the sum of their kind."""
        tally = self._tallies.setdefault((kind, cause), _Tally(at, at, 0))
        tally.until = max(tally.until, at)
        tally.count += frames

    def collect(self, *, sums: bool = True) -> list[Fault]:
        """What is not yet collected, oldest first. With ``sums`` the sums of single frames too, which start anew."""
        faults = list(self._waiting)
        self._waiting.clear()
        if not sums:
            return faults
        for (kind, cause), tally in self._tallies.items():
            fault = self._fault(kind, cause, tally.since)
            faults.append(fault.model_copy(update={"ended_at": tally.until, "count": tally.count}))
        self._tallies.clear()
        return faults

    def _fault(self, kind: FaultKind, cause: str, since: datetime, detail: str | None = None) -> Fault:
        return Fault(
            fault_id=uuid4(),
            kind=kind,
            cause=cause,
            account_id=self._camera.account_id,
            camera_id=self._camera.camera_id,
            line_id=self._camera.line_id,
            started_at=since,
            detail=detail[:1000] if detail else None,
        )
