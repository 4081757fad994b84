"""Time buckets of trends and latency, and how much of them one request may ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from vigia_runtime.errors import InvalidInput


class Resolution(StrEnum):
    """How long a bucket of a trend is. Buckets begin on whole UTC minutes, hours and days."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


#: The bucket that never ends: what a counter shows. Its rows stand at EPOCH.
TOTAL: Final = "total"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

LENGTH: Final = {
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.DAY: timedelta(days=1),
}

#: The longest range one request may ask for, by resolution: bounds the rows that a query reads.
LONGEST: Final = {
    Resolution.MINUTE: timedelta(days=2),
    Resolution.HOUR: timedelta(days=62),
    Resolution.DAY: timedelta(days=3660),
}

_DEFAULT: Final = {
    Resolution.MINUTE: timedelta(hours=1),
    Resolution.HOUR: timedelta(days=1),
    Resolution.DAY: timedelta(days=30),
}

#: Upper bounds of the latency histogram (capture to decision), seconds. A last bucket takes what is above.
LATENCY_BOUNDS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)


def floor(moment: datetime, resolution: Resolution) -> datetime:
    """The start of the bucket that contains ``moment`` (UTC)."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if resolution is Resolution.MINUTE:
        return moment
    moment = moment.replace(minute=0)
    return moment if resolution is Resolution.HOUR else moment.replace(hour=0)


def trend_range(
    resolution: Resolution, since: datetime | None, until: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """The buckets asked for: from the one that holds ``since`` up to, without, the first that begins at ``until``.

    Without ``until`` the range ends now; without ``since`` it is the last hour, day or 30 days. InvalidInput when
    the range is empty or longer than one request may ask for.
    """
    end = until or now
    start = floor(since if since is not None else end - _DEFAULT[resolution], resolution)
    if start >= end:
        raise InvalidInput("empty_range", "'from' must be before 'to'")
    if end - start > LONGEST[resolution] + LENGTH[resolution]:
        raise InvalidInput(
            "range_too_long", f"by {resolution} at most {LONGEST[resolution].days} days can be asked for at once"
        )
    return start, end


def defect_rate(rejected: int, passed: int, review: int) -> float | None:
    """REJECT / (PASS + REJECT + REVIEW), or None when nothing was judged. INVALID frames were not judged."""
    judged = rejected + passed + review
    return rejected / judged if judged else None
