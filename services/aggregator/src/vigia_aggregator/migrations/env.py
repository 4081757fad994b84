"""Runs the migrations of schema ``inspection`` over the connection that ``adapters.migrate`` hands in."""

from __future__ import annotations

from alembic import context

from vigia_aggregator.adapters.tables import SCHEMA, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
