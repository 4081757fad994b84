"""Migrations, partitions and retention on a real database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from aggregator_help import make_inspection, new_run, rollups_equal_rows, scalar
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.migrate import downgrade, upgrade
from vigia_aggregator.adapters.partitions import CALLS, Partitions, partition_name
from vigia_aggregator.adapters.store import InspectionStore
from vigia_aggregator.adapters.tables import SCHEMA, metadata
from vigia_aggregator.adapters.trimmer import Trimmer
from vigia_aggregator.app.upkeep import Keep, upkeep
from vigia_runtime.postgres import create_engine
from vigia_runtime.settings import PostgresSettings

KEEP = Keep(inspections=timedelta(days=10), minutes=timedelta(days=2), hours=timedelta(days=5), calls=timedelta(days=3))


def differences(connection: Connection) -> list[object]:
    def ours(name: str | None, kind: str, parent: object) -> bool:
        if kind == "schema":
            return name == SCHEMA
        return not (kind == "table" and name is not None and name.startswith(("inspections_p", "calls_p")))

    options = {
        "include_schemas": True,
        "include_name": ours,
        "compare_type": True,
        "compare_server_default": False,
        "version_table_schema": SCHEMA,
    }
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


async def test_the_database_is_what_the_models_say(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_up_down_up(postgres_url: str) -> None:
    engine = create_engine(PostgresSettings(url=SecretStr(postgres_url)))
    for _ in range(2):
        await upgrade(engine)
        await upgrade(engine)  # nothing to do
        await InspectionStore(engine, Partitions(engine)).write([make_inspection(0, new_run())])
        await downgrade(engine)
        assert await scalar(engine, "select count(*) from pg_tables where schemaname = 'inspection'") == 1
    await engine.dispose()


async def test_a_migration_gives_up_rather_than_block_the_line(engine: AsyncEngine) -> None:
    """While a long query reads the history, a migration that needs it fails in seconds and changes nothing."""
    async with engine.connect() as reader:
        await reader.execute(text("select count(*) from inspection.inspections"))
        began = time.monotonic()
        with pytest.raises(OperationalError, match="lock timeout"):
            await downgrade(engine)
        assert time.monotonic() - began < 20
    assert await scalar(engine, "select count(*) from inspection.inspections") == 0


async def test_days_are_made_for_what_comes_and_dropped_when_past(engine: AsyncEngine) -> None:
    partitions = Partitions(engine)
    store = InspectionStore(engine, partitions)
    now = datetime.now(UTC)
    run = new_run()
    batch = [make_inspection(n, run, captured_at=now - timedelta(days=n)) for n in range(15)]
    assert await store.write(batch) == {one.inspection_id for one in batch}
    await rollups_equal_rows(engine)

    went = await upkeep(partitions, Partitions(engine, CALLS), Trimmer(engine), KEEP, now)
    assert went["days"] == 4
    assert went["minutes"] > 0
    assert went["hours"] > 0
    assert await scalar(engine, "select count(*) from inspection.inspections") == 11
    assert await scalar(engine, "select sum(inspections) from inspection.rollups where resolution = 'total'") == 15
    tomorrow = partition_name((now + timedelta(days=1)).date())
    assert await scalar(engine, f"select to_regclass('inspection.{tomorrow}') is not null")
    # A day that was dropped is made again if it is needed again.
    late = make_inspection(77, run, captured_at=now - timedelta(days=12))
    assert await store.write([late]) == {late.inspection_id}


async def test_two_stores_make_the_same_day_once(engine: AsyncEngine) -> None:
    first, second = Partitions(engine), Partitions(engine)
    day = datetime.now(UTC).date()
    await first.ensure({day})
    await second.ensure({day})


async def test_history_queries_use_an_index(engine: AsyncEngine) -> None:
    store = InspectionStore(engine, Partitions(engine))
    run = new_run()
    now = datetime.now(UTC)
    await store.write([make_inspection(n, run, captured_at=now - timedelta(seconds=n)) for n in range(5000)])
    async with engine.connect() as connection:
        await connection.execute(text("analyze inspection.inspections"))
        for column, value in (("camera_id", "cam-1"), ("line_id", "line-1"), ("model_version", "2")):
            plan = await connection.execute(
                text(
                    f"explain select * from inspection.inspections where account_id = '123456789012' "
                    f"and {column} = '{value}' order by captured_at desc, inspection_id desc limit 51"
                )
            )
            lines = "\n".join(plan.scalars())
            assert "Index Scan" in lines, lines
            assert "Sort" not in lines, lines


async def test_a_frame_sent_again_with_another_time_is_stored_once(engine: AsyncEngine) -> None:
    """A publisher that repeats a frame without ce_time gives it a new time: the id decides, not the time."""
    run = new_run()
    now = datetime.now(UTC)
    first = [make_inspection(n, run, captured_at=now) for n in range(10)]
    again = [make_inspection(n, run, captured_at=now + timedelta(hours=20)) for n in range(10)]
    store = InspectionStore(engine, Partitions(engine))
    assert len(await store.write([*first[:5], *again[:5], *first[:5]])) == 5
    assert len(await store.write([*first, *again])) == 5
    assert await InspectionStore(engine, Partitions(engine)).write([*again, *first]) == set()
    assert await scalar(engine, "select count(*) from inspection.inspections") == 10
    assert await scalar(engine, "select count(distinct inspection_id) from inspection.inspections") == 10
    await rollups_equal_rows(engine)
