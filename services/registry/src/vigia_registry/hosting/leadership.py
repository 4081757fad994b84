"""The right to act on the Tritons: one process at a time, as long as its database connection lives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

#: The database finds out that the leader's machine has vanished, and gives the lock to another, after 10 + 3 * 5
#: seconds; by itself it would take hours. Orders of who was cut off are out of date before (``replica``).
_KEEPALIVE = "set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3"
_LOCK = "hashtextextended('vigia_registry.hosting', 0)"


class Leadership:
    """An advisory lock on a connection of its own.

    Every transaction of the leader runs on that connection: a process that lost the lock cannot commit any more.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> bool:
        """Try once; False while another process leads."""
        await self.drop()
        connection = await self._engine.connect()
        try:
            got = (await connection.execute(text(f"select pg_try_advisory_lock({_LOCK})"))).scalar_one()
            if got:
                await connection.exec_driver_sql(_KEEPALIVE)
            await connection.commit()
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        if not got:
            await connection.close()
            return False
        self._connection = connection
        return True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction of the leader; fails when the connection, and with it the lock, is gone."""
        if self._connection is None:
            raise RuntimeError("a transaction of the leader without leadership")
        async with AsyncSession(bind=self._connection, expire_on_commit=False) as session, session.begin():
            yield session

    async def drop(self) -> None:
        """Give the lock back, by closing the connection that holds it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.invalidate()
            await connection.close()
