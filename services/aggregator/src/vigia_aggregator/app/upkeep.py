"""Keeps the history within its bounds: tomorrow's partition is there in time, what is past retention goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from vigia_aggregator.domain.metrics import KEPT, TOTAL, Resolution


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each kind of result is kept."""

    inspections: timedelta
    minutes: timedelta
    hours: timedelta
    calls: timedelta


class Days(Protocol):
    """A table's day partitions."""

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

    async def trim_samples(self, resolution: str, before: datetime) -> int:
        """Delete rows of samples whose newest sample is older; how many went."""
        ...

    async def trim_faults(self, before: datetime) -> int:
        """Delete faults that ended before; how many went."""
        ...


async def upkeep(inspections: Days, calls: Days, trimmer: Trimmer, keep: Keep, now: datetime) -> dict[str, int]:
    """One round; the numbers of what went, by kind. Safe to run from several workers and to repeat."""
    today = now.astimezone(UTC).date()
    for days in (inspections, calls):
        await days.ensure(today + timedelta(days=ahead) for ahead in range(3))
    dropped = await inspections.drop_before((now - keep.inspections).astimezone(UTC).date())
    dropped_calls = await calls.drop_before((now - keep.calls).astimezone(UTC).date())
    samples = [await trimmer.trim_samples(resolution, now - kept) for resolution, kept in KEPT.items()]
    # A total stands for a version or project that nobody has asked for in all that time.
    samples.append(await trimmer.trim_samples(TOTAL, now - KEPT[Resolution.HOUR]))
    return {
        "days": len(dropped),
        "call_days": len(dropped_calls),
        "samples": sum(samples),
        "minutes": await trimmer.trim_rollups("minute", now - keep.minutes),
        "hours": await trimmer.trim_rollups("hour", now - keep.hours),
        "faults": await trimmer.trim_faults(now - keep.inspections),
    }
