"""Video packets to whole pictures, without waiting for the next picture.

FFmpeg's own parser knows that a picture is complete when the next one begins: at one part a second that is a second
late, and the time of capture a second wrong. Here a unit is complete when the next one begins, when the camera says
so with a delimiter or an end-of-sequence unit, or when nothing more has come for a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Seconds of silence after which a picture is taken as complete. Its packets come in one burst.
IDLE_SECONDS = 0.03
#: A stream that never ends a picture must not fill the memory.
MOST_BYTES = 32 * 1024 * 1024

_REST_OF_PICTURE = timedelta(seconds=0.25)

#: End-of-sequence NAL units of H.264 and H.265; no unit's content can end so.
_ENDS = (b"\x00\x00\x01\x0a", b"\x00\x00\x01\x48\x01")
#: Access unit delimiters: after a picture they say that it is over.
_DELIMITERS = (b"\x00\x00\x01\x09", b"\x00\x00\x01\x46\x01")

_DELIMITER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """One coded picture and when its last packet came."""

    data: bytes
    captured_at: datetime


class UnitAssembler:
    """Joins packets of one timestamp."""

    def __init__(self) -> None:
        self._pts: int | None = None
        self._data = bytearray()
        self._at: datetime | None = None
        self._torn = False

    @property
    def waiting(self) -> bool:
        """Whether a picture has begun and not ended."""
        return bool(self._data)

    def feed(self, pts: int | None, data: bytes, at: datetime) -> list[Unit]:
        """The pictures that this packet completes: the one before it, its own, or both."""
        units: list[Unit] = []
        if pts is None or pts != self._pts:
            units += self.flush()
            self._pts, self._torn = pts, False
        if self._torn:
            if self._at is not None and at - self._at < _REST_OF_PICTURE:
                return units  # the rest of a picture already given out, which the decoder has found damaged
            # FFmpeg gives the first two pictures one timestamp when a camera begins to count at 0.
            self._torn = False
        if self._data and len(data) <= _DELIMITER_BYTES and any(mark in data for mark in _DELIMITERS):
            return units + self._take()
        self._data += data
        self._at = at
        if len(self._data) > MOST_BYTES:
            self._data.clear()
            self._torn = True
        elif self._data.endswith(_ENDS):
            units += self._take()
        return units

    def flush(self) -> list[Unit]:
        """The picture that has begun, taken as complete though nothing says so."""
        self._torn = True
        return self._take()

    def _take(self) -> list[Unit]:
        if not self._data or self._at is None:
            return []
        unit = Unit(bytes(self._data), self._at)
        self._data.clear()
        return [unit]
