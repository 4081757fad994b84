"""The job tables: procrastinate's own SQL, applied once, and its migrations when its version moves."""

from __future__ import annotations

from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager, migrations_path
from psycopg import sql

from vigia_registry.jobs.queue import JOBS_SCHEMA

_LOCK = 0x7669676A  # any number that nobody else locks


def apply(url: str) -> None:
    """Create the job tables, or bring them to the installed version. ``url`` is postgresql://…; safe to repeat."""
    schema = sql.Identifier(JOBS_SCHEMA)
    shipped = sorted(path.name for path in Path(migrations_path).glob("*.sql"))
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(schema))
        connection.execute("CREATE TABLE IF NOT EXISTS applied_migrations (name text PRIMARY KEY)")
        applied = {name for (name,) in connection.execute("SELECT name FROM applied_migrations")}
        if not applied:
            connection.execute(SchemaManager.get_schema())
        else:
            for name in shipped:
                if name not in applied:
                    # The SQL ships with the installed package.
                    connection.execute(Path(migrations_path, name).read_bytes())
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO applied_migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", [[name] for name in shipped]
            )
