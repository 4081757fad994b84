"""Writes inspections and their rollups: one transaction, each inspection counted once however often it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vigia_aggregator.adapters.partitions import Partitions
from vigia_aggregator.adapters.staging import stage
from vigia_aggregator.adapters.tables import CHANNEL, DIMENSIONS, SCHEMA, inspections
from vigia_aggregator.domain.buckets import LATENCY_BOUNDS
from vigia_contracts.inspections import Inspection
from vigia_runtime.postgres import copy_rows

_DOCUMENTS: Final = ("labels", "evidence", "timings")
#: What the writer gives; the database itself adds when and in which order a row was stored.
_COLUMNS: Final = (
    *(c.name for c in inspections.columns if c.name not in ("stored_at", "stored_seq", *_DOCUMENTS)),
    *_DOCUMENTS,
)
_INCOMING: Final = "inspection_incoming"

#: Held by every writer from taking sequence numbers until its commit is visible. It makes stored_seq the order of
#: commits, so that a follower who saw n will never find a new row below n, and writers cannot deadlock on rollups.
_WRITER_LOCK: Final = 0x76696769_0001

_PREPARE: Final = text(
    f"create temporary table if not exists {_INCOMING} on commit delete rows as "  # noqa: S608
    f"select {', '.join(_COLUMNS)} from {SCHEMA}.inspections with no data"
)
_LOCK: Final = text(f"select pg_advisory_xact_lock({_WRITER_LOCK})")


def _latency_counts() -> str:
    return "array[" + ", ".join(f"count(*) filter (where slot = {i})" for i in range(len(LATENCY_BOUNDS) + 1)) + "]"


# The key of a partitioned table must hold the capture time, so it cannot by itself refuse an id that is there with
# another time: a publisher that states no time and sends a frame again gives it a second one. Hence the look for the id
# a day around, which is far longer than a frame lives. ``limit`` keeps it an index probe for every row, of two or three
# partitions, whatever the planner thinks of the temporary table. The writer lock makes look and insert one step.
def _insert_and_count() -> str:
    columns = ", ".join(_COLUMNS)
    bounds = ", ".join(str(bound) for bound in LATENCY_BOUNDS)
    key = ", ".join(DIMENSIONS)
    value = ", ".join(d if d in ("account_id", "verdict", "shadow") else f"coalesce({d}, '')" for d in DIMENSIONS)
    group = ", ".join(str(position + 1) for position in range(2 + len(DIMENSIONS)))
    return f"""
    with fresh as (
        insert into {SCHEMA}.inspections ({columns})
        select distinct on (inspection_id) {columns} from {_INCOMING} as i
        where (
            select 1 from {SCHEMA}.inspections as known
            where known.inspection_id = i.inspection_id
            and known.captured_at between i.captured_at - interval '1 day' and i.captured_at + interval '1 day'
            limit 1
        ) is null
        order by inspection_id, captured_at
        on conflict (inspection_id, captured_at) do nothing
        returning *
    ), measured as (
        select *, extract(epoch from decided_at - captured_at)::float8 as latency from fresh
    ), placed as (
        select *, width_bucket(latency, array[{bounds}]::float8[]) as slot from measured
    ), counted as (
        insert into {SCHEMA}.rollups as r (
            resolution, bucket, {key},
            inspections, scored, score_sum, latency_sum, latency_counts, last_captured_at
        )
        select
            resolution,
            case resolution when 'total' then 'epoch' else date_trunc(resolution, captured_at, 'UTC') end,
            {value},
            count(*), count(score), coalesce(sum(score), 0), sum(latency), {_latency_counts()}, max(captured_at)
        from placed cross join unnest(array['minute', 'hour', 'day', 'total']) as resolution
        group by {group}
        on conflict on constraint rollups_pkey do update set
            inspections = r.inspections + excluded.inspections,
            scored = r.scored + excluded.scored,
            score_sum = r.score_sum + excluded.score_sum,
            latency_sum = r.latency_sum + excluded.latency_sum,
            latency_counts = {SCHEMA}.add_counts(r.latency_counts, excluded.latency_counts),
            last_captured_at = greatest(r.last_captured_at, excluded.last_captured_at)
    )
    select array_agg(inspection_id), case when count(*) > 0 then pg_notify('{CHANNEL}', '') end from fresh
    """  # noqa: S608 - column names and numbers of this module only


_INSERT_AND_COUNT: Final = text(_insert_and_count())


class InspectionStore:
    """The history's only writer. ``partitions`` makes the days that a batch needs."""

    def __init__(self, engine: AsyncEngine, partitions: Partitions) -> None:
        self._engine = engine
        self._partitions = partitions

    async def write(self, batch: Sequence[Inspection]) -> set[UUID]:
        """Store ``batch`` and return the ids that were new. All of it is committed on return, or nothing is.

        Raises SQLAlchemy's errors; ``vigia_runtime.postgres.transient`` tells which of them pass by themselves.
        """
        if not batch:
            return set()
        await self._partitions.ensure({inspection.captured_at.date() for inspection in batch})
        async with self._engine.connect() as connection:
            await stage(connection, _PREPARE)
            return await _write(connection, batch)


async def _write(connection: AsyncConnection, batch: Sequence[Inspection]) -> set[UUID]:
    await copy_rows(connection, _INCOMING, _COLUMNS, [_row(inspection) for inspection in batch])
    await connection.execute(_LOCK)
    new = (await connection.execute(_INSERT_AND_COUNT)).one()[0]
    await connection.commit()
    return set(new or ())


def _row(inspection: Inspection) -> tuple[Any, ...]:
    # One call for all plain columns: this runs for every inspection, and attribute by attribute took twice as long.
    return (
        *_plain(inspection),
        _json([label.model_dump() for label in inspection.labels]) if inspection.labels else "[]",
        inspection.evidence.model_dump_json(exclude_none=True),
        _json(inspection.timings),
    )


_plain: Final = attrgetter(*_COLUMNS[: -len(_DOCUMENTS)])
_json: Final = json.JSONEncoder(separators=(",", ":")).encode
