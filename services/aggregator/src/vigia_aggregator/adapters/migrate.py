"""Brings schema ``inspection`` to the version that this release needs. Safe to run from several places at once."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.tables import SCHEMA

_LOCK: Final = text("select pg_advisory_xact_lock(129910837412099)")
#: A migration that cannot get its lock gives up instead of making every query of the line wait behind it.
_LIMITS: Final = text("select set_config('lock_timeout', '5s', true)")


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Migrate up to ``revision`` in one transaction; does nothing when already there."""
    async with engine.begin() as connection:
        await connection.execute(_LIMITS)
        await connection.execute(_LOCK)
        await connection.execute(text(f"create schema if not exists {SCHEMA}"))
        await connection.run_sync(_run, "upgrade", revision)


async def downgrade(engine: AsyncEngine, revision: str = "base") -> None:
    """Migrate down to ``revision`` in one transaction. What the dropped tables held is lost."""
    async with engine.begin() as connection:
        await connection.execute(_LIMITS)
        await connection.execute(_LOCK)
        await connection.run_sync(_run, "downgrade", revision)


def _run(connection: Connection, direction: str, revision: str) -> None:
    with as_file(files("vigia_aggregator") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)
