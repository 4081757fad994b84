"""COPY, the engine and transient errors, on a real Postgres."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from vigia_runtime.postgres import copy_rows, create_engine, transient
from vigia_runtime.settings import PostgresSettings


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(PostgresSettings(url=SecretStr(postgres_url), pool_size=2))
    yield engine
    await engine.dispose()


NASTY = ["", "\\N", "\\.", "a\tb\nc\rd\\e", "'; drop table t; --", "ü✓\U0001f36a", '"quoted"']


@pytest.mark.parametrize("types", [None, ["uuid", "text", "timestamptz", "float8", "jsonb", "text[]"]])
async def test_copy_writes_any_value_within_the_transaction(engine: AsyncEngine, types: list[str] | None) -> None:
    from psycopg.types.json import Jsonb

    columns = ["id", "name", "at", "score", "body", "labels"]
    rows = [
        (uuid4(), name, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), 0.1 + i, Jsonb({"a": name}), [name, "x"])
        for i, name in enumerate(NASTY)
    ] + [(uuid4(), None, None, None, None, None)]
    async with engine.begin() as connection:
        await connection.execute(text("create schema s"))
        await connection.execute(
            text('create table s."T" (id uuid, name text, at timestamptz, score float8, body jsonb, labels text[])')
        )
    async with engine.connect() as connection:
        assert await copy_rows(connection, "s.T", columns, rows, types=types) == len(rows)
        await connection.rollback()
    async with AsyncSession(engine) as session, session.begin():
        assert await session.scalar(text('select count(*) from s."T"')) == 0
        assert await copy_rows(session, "s.T", columns, rows, types=types) == len(rows)
    async with engine.connect() as connection:
        found = (await connection.execute(text('select id, name, at, score, body, labels from s."T"'))).all()
    assert {tuple(map(repr, row)) for row in found} == {
        tuple(map(repr, (*row[:4], row[4].obj if row[4] is not None else None, row[5]))) for row in rows
    }


async def test_a_bad_row_copies_nothing(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("create table t (n int)"))
    with pytest.raises(psycopg.DataError):
        async with engine.begin() as connection:
            await copy_rows(connection, "t", ["n"], [(1,), ("x",)])
    async with engine.connect() as connection:
        assert await connection.scalar(text("select count(*) from t")) == 0


async def failure(engine: AsyncEngine, statement: str) -> BaseException:
    with pytest.raises(DBAPIError) as caught:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    return caught.value


async def test_a_terminated_connection_is_transient_and_the_engine_recovers(engine: AsyncEngine) -> None:
    error = await failure(engine, "select pg_terminate_backend(pg_backend_pid())")
    assert transient(error)
    async with engine.begin() as connection:
        pid = await connection.scalar(text("select pg_backend_pid()"))
    async with engine.connect() as other, engine.connect() as killer:
        await killer.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        await other.rollback()
    async with engine.begin() as connection:
        assert await connection.scalar(text("select 1")) == 1


async def test_a_server_whose_machine_vanished_is_not_waited_for_for_hours(postgres_url: str) -> None:
    async def options(url: str) -> tuple[int, ...]:
        engine = create_engine(PostgresSettings(url=SecretStr(url), pool_size=1))
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as line:
                names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
                found = tuple(line.getsockopt(socket.IPPROTO_TCP, name) for name in names)
        await engine.dispose()
        return found

    idle, interval, count, unheard = await options(postgres_url)
    assert idle + interval * count <= 60
    assert 0 < unheard <= 60_000
    # Whoever gives an address may say otherwise.
    assert (await options(f"{postgres_url}?keepalives_idle=77"))[0] == 77


async def test_what_is_wrong_for_good_is_not_transient(engine: AsyncEngine) -> None:
    for statement in ("select * from absent", "select 1/0", "selec", "select 'x'::int"):
        assert not transient(await failure(engine, statement)), statement
    assert not transient(ValueError())


async def test_deadlocks_and_serialization_failures_are_transient(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("create table t (id int primary key, n int)"))
        await connection.execute(text("insert into t values (1, 0), (2, 0)"))

    async def update(first: int, second: int, ready: asyncio.Event, other: asyncio.Event) -> BaseException | None:
        try:
            async with engine.begin() as connection:
                await connection.execute(text("set local deadlock_timeout = '50ms'"))
                await connection.execute(text("update t set n = 1 where id = :id"), {"id": first})
                ready.set()
                await other.wait()
                await connection.execute(text("update t set n = 1 where id = :id"), {"id": second})
        except DBAPIError as error:
            return error
        return None

    one, two = asyncio.Event(), asyncio.Event()
    errors = [e for e in await asyncio.gather(update(1, 2, one, two), update(2, 1, two, one)) if e is not None]
    assert len(errors) == 1
    assert transient(errors[0])


async def test_no_server_is_transient_and_names_no_password() -> None:
    nowhere = create_engine(PostgresSettings(url=SecretStr("postgresql://u:hunter2@127.0.0.1:9/db")))
    with pytest.raises(DBAPIError) as caught:
        async with nowhere.connect():
            pass
    assert transient(caught.value)
    assert "hunter2" not in str(caught.value) + repr(nowhere)


async def test_too_many_connections_and_starting_up_are_transient() -> None:
    for state in ("53300", "57P03", "57P01", "57P02", "08006", "40001"):
        assert transient(psycopg.errors.lookup(state)("x")), state
    for state in ("23505", "42P01", "22012", "57014"):
        assert not transient(psycopg.errors.lookup(state)("x")), state
