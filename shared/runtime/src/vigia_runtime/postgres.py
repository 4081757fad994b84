"""Postgres: the engine, COPY, and which errors pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from vigia_runtime.settings import PostgresSettings

#: Seconds to connect; a server that restarts answers or refuses well within.
CONNECT_SECONDS = 5

#: A server whose machine vanished says nothing, not even that: without these it is waited for for hours. Seconds, and
#: milliseconds for what was sent and not acknowledged.
_HEARD_FROM = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}

#: SQLSTATE classes and codes of faults that pass: connection, resources, operator intervention (shutdown, starting
#: up), serialization, deadlock, lock timeout.
_TRANSIENT_CLASSES = ("08", "53", "57P")
_TRANSIENT_CODES = frozenset({"40001", "40P01", "55P03", "25006"})


def create_engine(settings: PostgresSettings) -> AsyncEngine:
    """An engine on psycopg 3. Connections are checked before use, so a restarted server costs no error."""
    url = make_url(settings.url.get_secret_value()).set(drivername="postgresql+psycopg")
    return create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "vigia",
            **{name: value for name, value in _HEARD_FROM.items() if name not in url.query},
        },
    )


async def copy_rows(
    connection: AsyncConnection | AsyncSession,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    types: Sequence[str] | None = None,
) -> int:
    """COPY ``rows`` into ``table`` ("name" or "schema.name") within the connection's transaction; the number copied.

    Values are adapted by psycopg, so text needs no escaping. ``types`` (a Postgres type per column, as "uuid" or
    "timestamptz") switches to the binary format, which is faster and converts nothing: the types must be the
    columns' own.
    """
    if isinstance(connection, AsyncSession):
        connection = await connection.connection()
    raw = await connection.get_raw_connection()
    driver = cast("psycopg.AsyncConnection[Any] | None", raw.driver_connection)
    assert driver is not None
    statement = sql.SQL("COPY {} ({}) FROM STDIN{}").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(" (FORMAT BINARY)" if types is not None else ""),
    )
    count = 0
    async with driver.cursor() as cursor, cursor.copy(statement) as copy:
        if types is not None:
            copy.set_types(types)
        for row in rows:
            await copy.write_row(row)
            count += 1
    return count


def transient(error: BaseException) -> bool:
    """Whether the same work may succeed later: connection lost, shutting down or starting up, too many connections,
    serialization failure, deadlock. Errors of SQLAlchemy and of psycopg alike."""
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        if error.orig is None:
            return isinstance(error, InterfaceError)
        return transient(error.orig)
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:
            # No answer from the server at all: it could not be reached or went away in the middle.
            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return state in _TRANSIENT_CODES or state.startswith(_TRANSIENT_CLASSES)
    return isinstance(error, ConnectionError)
