"""Brings a database to the version this code needs: Alembic, the job tables, the first account."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

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
