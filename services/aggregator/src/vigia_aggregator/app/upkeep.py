"""Keeps the history within its bounds: tomorrow's partition is there in time, what is past retention goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each kind of result is kept."""

    inspections: timedelta
    minutes: timedelta
    hours: timedelta


class Days(Protocol):
    """The history's day partitions."""

    async def ensure(self, days: Iterable[date]) -> None:
        """Make the missing ones."""
        ...

    async def drop_before(self, oldest: date) -> list[date]:
        """Drop older ones; the days that went."""
        ...


class Trimmer(Protocol):
    """Rows of other tables that have an age."""

    async def trim_rollups(self, resolution: str, before: datetime) -> int:
        """Delete rollup rows of buckets that began before; how many went."""
        ...

    async def trim_faults(self, before: datetime) -> int:
        """Delete faults that ended before; how many went."""
        ...


async def upkeep(days: Days, trimmer: Trimmer, keep: Keep, now: datetime) -> dict[str, int]:
    """One round; the numbers of what went, by kind. Safe to run from several workers and to repeat."""
    today = now.astimezone(UTC).date()
    await days.ensure(today + timedelta(days=ahead) for ahead in range(3))
    dropped = await days.drop_before((now - keep.inspections).astimezone(UTC).date())
    return {
        "days": len(dropped),
        "minutes": await trimmer.trim_rollups("minute", now - keep.minutes),
        "hours": await trimmer.trim_rollups("hour", now - keep.hours),
        "faults": await trimmer.trim_faults(now - keep.inspections),
    }
