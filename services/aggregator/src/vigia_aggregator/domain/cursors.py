"""Opaque cursors: where the next page of a listing begins."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from vigia_runtime.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The last row of a page that is ordered newest first: its time and its id, which break every tie."""

    at: datetime
    id: UUID

    def encode(self) -> str:
        """As it stands in a URL."""
        return _pack(f"p|{self.at.astimezone(UTC).isoformat()}|{self.id}")

    @classmethod
    def decode(cls, text: str) -> PageCursor:
        """InvalidInput when ``text`` is not what ``encode`` gave."""
        at, identity = _unpack(text, "p", 2)
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is None:
                raise ValueError("no zone")
            return cls(moment, UUID(identity))
        except ValueError as error:
            raise _bad() from error


@dataclass(frozen=True, slots=True)
class FollowCursor:
    """The last row that a follower has seen, by the order in which rows were stored."""

    sequence: int

    def encode(self) -> str:
        """As it stands in a URL."""
        return _pack(f"f|{self.sequence}")

    @classmethod
    def decode(cls, text: str) -> FollowCursor:
        """InvalidInput when ``text`` is not what ``encode`` gave."""
        (sequence,) = _unpack(text, "f", 1)
        if not sequence.isascii() or not sequence.isdigit() or len(sequence) > 18:
            raise _bad()
        return cls(int(sequence))


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(text: str, kind: str, fields: int) -> list[str]:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad() from error
    given, *rest = raw.split("|")
    if given != kind or len(rest) != fields:
        raise _bad()
    return rest


def _bad() -> InvalidInput:
    return InvalidInput("bad_cursor", "the cursor is not one that this service gave out")
