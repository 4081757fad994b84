"""Day partitions of a table: made before rows need them, dropped when retention is over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vigia_aggregator.adapters.tables import SCHEMA

#: Tables with a partition for each day.
INSPECTIONS: Final = "inspections"
CALLS: Final = "calls"
#: Whoever makes or drops partitions holds it, so that two workers never do so at once.
_LOCK: Final = text("select pg_advisory_xact_lock(129910837412098)")
_LIMITS: Final = text("select set_config('lock_timeout', '5s', true)")
_SHORT: Final = text("select set_config('lock_timeout', '1s', true)")
_EXISTING: Final = text(
    "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = (:parent)::regclass"
)


class Partitions:
    """Those of one table. Remembers which days exist, so that the usual batch asks the database nothing."""

    def __init__(self, engine: AsyncEngine, table: str = INSPECTIONS) -> None:
        self._engine = engine
        self._table = table
        self._known: set[date] = set()

    async def ensure(self, days: Iterable[date]) -> None:
        """Make the partitions of ``days`` (UTC) that are missing; committed on return."""
        missing = set(days) - self._known
        if not missing:
            return
        async with self._engine.begin() as connection:
            await connection.execute(_LIMITS)
            await connection.execute(_LOCK)
            existing = await _days(connection, self._table)
            for day in sorted(missing - existing):
                await _make(connection, day, self._table)
        self._known |= existing | missing

    async def drop_before(self, oldest: date) -> list[date]:
        """Drop every partition of a day before ``oldest``; the days that went."""
        async with self._engine.begin() as connection:
            # Dropping locks the whole history: rather later than making readers and writers wait behind a long query.
            await connection.execute(_SHORT)
            await connection.execute(_LOCK)
            gone = sorted(day for day in await _days(connection, self._table) if day < oldest)
            for day in gone:
                await connection.execute(text(f"drop table {SCHEMA}.{partition_name(day, self._table)}"))
        self._known -= set(gone)
        return gone


def partition_name(day: date, table: str = INSPECTIONS) -> str:
    """The partition of ``table`` that holds the rows of ``day`` (UTC)."""
    return f"{table}_p{day:%Y%m%d}"


async def _days(connection: AsyncConnection, table: str) -> set[date]:
    names = (await connection.execute(_EXISTING, {"parent": f"{SCHEMA}.{table}"})).scalars()
    pattern = re.compile(rf"^{table}_p(\d{{4}})(\d{{2}})(\d{{2}})$")
    return {date(*map(int, found.groups())) for name in names if (found := pattern.match(name))}


async def _make(connection: AsyncConnection, day: date, parent: str) -> None:
    # Attaching takes a weaker lock than CREATE TABLE … PARTITION OF: readers and writers of other days
    # go on. The table is empty, so the scan that attaching makes costs nothing.
    table = f"{SCHEMA}.{partition_name(day, parent)}"
    start, end = f"{day}T00:00:00Z", f"{day + timedelta(days=1)}T00:00:00Z"
    await connection.execute(text(f"create table {table} (like {SCHEMA}.{parent} including all)"))
    await connection.execute(
        text(f"alter table {SCHEMA}.{parent} attach partition {table} for values from ('{start}') to ('{end}')")
    )
