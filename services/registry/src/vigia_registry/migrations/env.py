"""How Alembic runs here: schema ``registry``, short locks, one transaction per revision."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import make_url

from vigia_registry.db import SCHEMA
from vigia_registry.schema import metadata

#: A migration that cannot get its lock gives up instead of queueing everybody behind it.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "5min"


def main() -> None:
    """Run the revisions that the caller asked for, on the URL in ``config.attributes["url"]``."""
    url = make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=SCHEMA,
            include_schemas=True,
            include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


main()
