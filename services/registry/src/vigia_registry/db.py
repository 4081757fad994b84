"""The registry's part of the database: one schema, one metadata, one way to open a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from sqlalchemy import DateTime, MetaData, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from vigia_runtime.errors import Transient
from vigia_runtime.postgres import transient

SCHEMA = "registry"

#: Whoever waits longer for a row that others hold is told to try again.
LOCK_TIMEOUT = "3s"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)

#: A moment, with zone; the database keeps UTC.
Moment = DateTime(timezone=True)


class Database:
    """Transactions on the registry's schema. Statements are SQLAlchemy Core; there are no mapped classes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        event.listen(engine.sync_engine, "connect", _limit_waits)
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed when the block ends, rolled back when it raises."""
        async with self._sessions() as session, session.begin():
            yield session

    async def ping(self) -> None:
        """Readiness: the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))


def _limit_waits(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    cursor.close()
    connection.commit()


@contextmanager
def passing_faults() -> Iterator[None]:
    """Turn database errors that pass (restart, deadlock, lost connection) into Transient; others propagate."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        if not transient(error):
            raise
        raise Transient(f"database: {type(error).__name__}") from error
