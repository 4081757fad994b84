"""Writes calls and the samples they give: one transaction, each call counted once however often it comes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.partitions import Partitions
from vigia_aggregator.adapters.staging import stage
from vigia_aggregator.adapters.tables import SCHEMA, calls
from vigia_aggregator.domain.calls import document, resources, username
from vigia_aggregator.domain.metrics import TOTAL, place_of_call, place_of_units, samples_of_call, samples_of_units
from vigia_contracts.audit import Call
from vigia_contracts.usage import UnitsMeasured
from vigia_runtime.postgres import copy_rows

_COLUMNS: Final = tuple(c.name for c in calls.columns if c.name != "stored_at")
_INCOMING: Final = "call_incoming"
_SAMPLES: Final = "sample_incoming"
_SAMPLE_COLUMNS: Final = (
    "source_id",
    "at",
    "account_id",
    "region",
    "service",
    "project",
    "model_version",
    "operation",
    "metric",
    "value",
)

#: Held by every writer of samples until its commit, so that two never wait for each other in a circle.
_LOCK: Final = text(f"select pg_advisory_xact_lock({0x76696769_0002})")
_PREPARE: Final = (
    text(
        f"create temporary table if not exists {_INCOMING} on commit delete rows as "  # noqa: S608 - constants only
        f"select {', '.join(_COLUMNS)} from {SCHEMA}.calls with no data"
    ),
    text(
        f"create temporary table if not exists {_SAMPLES} ("
        "source_id uuid, at timestamptz, account_id text, region text, service text, project text, model_version text, "
        "operation text, metric text, value double precision) on commit delete rows"
    ),
)
_FRESH: Final = text(
    f"insert into {SCHEMA}.calls ({', '.join(_COLUMNS)}) "  # noqa: S608 - constants only
    f"select distinct on (event_id) {', '.join(_COLUMNS)} from {_INCOMING} order by event_id "
    "on conflict (event_id, called_at) do nothing returning event_id"
)
_KEY: Final = "account_id, region, service, project, model_version, operation, metric"


def _count(source: str, resolutions: Sequence[str]) -> str:
    """Adds the values of ``source`` (at, the key's columns, value) to the rows of every resolution."""
    names = ", ".join(f"'{name}'" for name in resolutions)
    return f"""
    insert into {SCHEMA}.samples as s (resolution, bucket, {_KEY}, samples, sum, minimum, maximum, last_at)
    select
        resolution,
        case resolution
            when 'total' then timestamptz 'epoch'
            when 'five_minutes' then date_bin('5 minutes', at, timestamptz 'epoch')
            else date_trunc(resolution, at, 'UTC')
        end,
        {_KEY}, count(*), sum(value), min(value), max(value), max(at)
    from {source} cross join unnest(array[{names}]) as resolution
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
    on conflict on constraint samples_pkey do update set
        samples = s.samples + excluded.samples,
        sum = s.sum + excluded.sum,
        minimum = least(s.minimum, excluded.minimum),
        maximum = greatest(s.maximum, excluded.maximum),
        last_at = greatest(s.last_at, excluded.last_at)
    """  # noqa: S608 - names of this module only


_LONGER: Final = ("five_minutes", "hour", TOTAL)
_COUNT_FRESH: Final = text(
    _count(f"{_SAMPLES} join unnest((:fresh)::uuid[]) as fresh(id) on fresh.id = source_id", ("minute", *_LONGER))
)
# There is one measurement per version and minute: the minute's row is itself what says that it was counted.
_COUNT_MEASURED: Final = text(
    f"""
    with fresh as (
        insert into {SCHEMA}.samples (resolution, bucket, {_KEY}, samples, sum, minimum, maximum, last_at)
        select distinct on (bucket, {_KEY}) 'minute', bucket, {_KEY}, 1, value, value, value, at
        from {_SAMPLES} cross join lateral (select date_trunc('minute', at, 'UTC') as bucket) as minute
        on conflict on constraint samples_pkey do nothing
        returning bucket as at, {_KEY}, sum as value
    ), counted as ({_count("fresh", _LONGER)})
    select count(*) from fresh
    """  # noqa: S608 - names of this module only
)


class CallStore:
    """The only writer of table ``calls``. ``partitions`` makes the days that a batch needs."""

    def __init__(self, engine: AsyncEngine, partitions: Partitions) -> None:
        self._engine = engine
        self._partitions = partitions

    async def write(self, batch: Sequence[Call]) -> set[UUID]:
        """Store ``batch`` and return the ids that were new. All of it is committed on return, or nothing is."""
        if not batch:
            return set()
        await self._partitions.ensure({call.called_at.date() for call in batch})
        async with self._engine.connect() as connection:
            await stage(connection, *_PREPARE)
            await copy_rows(connection, _INCOMING, _COLUMNS, map(_row, batch))
            unique = {call.record.eventID: call for call in batch}.values()
            await copy_rows(connection, _SAMPLES, _SAMPLE_COLUMNS, _samples_of_calls(unique))
            await connection.execute(_LOCK)
            new = list((await connection.execute(_FRESH)).scalars())
            if new:
                await connection.execute(_COUNT_FRESH, {"fresh": new})
            await connection.commit()
            return set(new)


class UnitStore:
    """Writes measurements of inference units into table ``samples``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, batch: Sequence[UnitsMeasured]) -> int:
        """Store ``batch`` and return how many samples were new. All of it is committed on return, or nothing is."""
        if not batch:
            return 0
        async with self._engine.connect() as connection:
            await stage(connection, *_PREPARE)
            await copy_rows(connection, _SAMPLES, _SAMPLE_COLUMNS, _samples_of_units(batch))
            await connection.execute(_LOCK)
            count = int((await connection.execute(_COUNT_MEASURED)).scalar_one())
            await connection.commit()
            return count


def _row(call: Call) -> tuple[Any, ...]:
    record = call.record
    values = {
        "event_id": record.eventID,
        "called_at": call.called_at,
        "account_id": call.account_id,
        "region": call.region,
        "source": record.eventSource,
        "name": record.eventName,
        "read_only": record.readOnly,
        "username": username(record),
        "access_key_id": record.userIdentity.accessKeyId,
        "resources": json.dumps(resources(call)),
        "project": call.project,
        "model_version": call.model_version,
        "outcome": call.outcome.value,
        "error_code": record.errorCode,
        "duration_ms": call.duration_ms,
        "images_processed": call.images_processed,
        "images_invalid": call.images_invalid,
        "anomalies": call.anomalies,
        "record": json.dumps(document(record)),
    }
    return tuple(values[name] for name in _COLUMNS)


def _samples_of_calls(batch: Iterable[Call]) -> Iterable[tuple[Any, ...]]:
    for call in batch:
        place = (call.account_id, call.region, *astuple(place_of_call(call)))
        for metric, value in samples_of_call(call):
            yield (call.record.eventID, call.called_at, *place, metric.value, value)


def _samples_of_units(batch: Iterable[UnitsMeasured]) -> Iterable[tuple[Any, ...]]:
    for measured in batch:
        place = (measured.account_id, measured.region, *astuple(place_of_units(measured)))
        for metric, value in samples_of_units(measured):
            yield (None, measured.minute, *place, metric.value, value)
