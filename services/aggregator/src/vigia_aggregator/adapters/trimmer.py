"""Deletes rollups, samples and faults that are past their retention, a bounded number at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.tables import SCHEMA

#: Rows per statement: a long-neglected table is trimmed over several rounds, never in one long transaction.
_AT_ONCE: Final = 10_000
_ROLLUPS: Final = text(
    f"delete from {SCHEMA}.rollups where ctid in (select ctid from {SCHEMA}.rollups "  # noqa: S608 - constants only
    "where resolution = :resolution and bucket < :before limit :most)"
)
_FAULTS: Final = text(
    f"delete from {SCHEMA}.faults where ctid in (select ctid from {SCHEMA}.faults "  # noqa: S608 - constants only
    "where ended_at < :before limit :most)"
)
_SAMPLES: Final = text(
    f"delete from {SCHEMA}.samples where ctid in (select ctid from {SCHEMA}.samples "  # noqa: S608 - constants only
    "where resolution = :resolution and last_at < :before limit :most)"
)


class Trimmer:
    """See the module."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def trim_rollups(self, resolution: str, before: datetime) -> int:
        """Delete rollup rows of buckets that began before; how many went."""
        async with self._engine.begin() as connection:
            done = await connection.execute(_ROLLUPS, {"resolution": resolution, "before": before, "most": _AT_ONCE})
            return done.rowcount

    async def trim_samples(self, resolution: str, before: datetime) -> int:
        """Delete rows of samples whose newest sample is older; how many went."""
        async with self._engine.begin() as connection:
            done = await connection.execute(_SAMPLES, {"resolution": resolution, "before": before, "most": _AT_ONCE})
            return done.rowcount

    async def trim_faults(self, before: datetime) -> int:
        """Delete faults that ended before; how many went. Open faults stay."""
        async with self._engine.begin() as connection:
            return (await connection.execute(_FAULTS, {"before": before, "most": _AT_ONCE})).rowcount
