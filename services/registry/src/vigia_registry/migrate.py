"""Brings a database to the version this code needs: Alembic, the job tables, the first account."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

from vigia_registry.bootstrap import open_deps
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Vault
from vigia_registry.jobs import schema as jobs
from vigia_registry.settings import Settings
from vigia_runtime.logging import configure, get_logger

log = get_logger(__name__)

_TREE = Path(__file__).parent / "migrations"


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at ``url`` (postgresql://…)."""
    config = Config()
    config.set_main_option("script_location", str(_TREE))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every revision up to ``revision``."""
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Go back to ``revision``; ``base`` removes every table of the registry."""
    command.downgrade(alembic_config(url), revision)


def migrate(settings: Settings) -> None:
    """Bring the database of ``settings`` to this version and create the first account; safe to repeat."""
    configure("registry", settings.log)
    url = settings.postgres.url.get_secret_value()
    upgrade(url)
    jobs.apply(url)
    asyncio.run(create_admin(settings))
    log.info("the database is at the version of this code")


async def create_admin(settings: Settings) -> None:
    """The first account and its admin key, where settings name one."""
    first = settings.bootstrap
    if first.access_key_id is None or first.secret_access_key is None:
        return
    vault = Vault(settings.secret_key.get_secret_value())
    async with open_deps(settings) as deps, deps.database.transaction() as session:
        await identity.put_admin(
            session, vault, first.account_id, first.access_key_id, first.secret_access_key.get_secret_value()
        )
