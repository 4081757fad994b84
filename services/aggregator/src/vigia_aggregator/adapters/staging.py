"""Temporary tables that a connection's batches are copied into."""

from __future__ import annotations

from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

# A wait for a lock or a slow disk ends in an error that the caller retries, not in a hung worker.
_LIMITS: Final = text("select set_config('lock_timeout', '10s', false), set_config('statement_timeout', '30s', false)")


async def stage(connection: AsyncConnection, *tables: TextClause) -> None:
    """Run the statements that make ``tables``, and set the limits of writers.

    Once per connection, in a transaction of its own, so that a batch needs as few round trips as it can: to be called
    before anything else.
    """
    staged: set[str] = (await connection.get_raw_connection()).info.setdefault("vigia_staged", set())
    missing = [table for table in tables if table.text not in staged]
    if missing:
        for statement in (_LIMITS, *missing):
            await connection.execute(statement)
        await connection.commit()
        staged.update(table.text for table in missing)
