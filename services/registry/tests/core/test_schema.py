"""The database's schema: what Alembic makes is what the code says, both ways."""

from __future__ import annotations

import asyncio
import fnmatch

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from vigia_registry import migrate
from vigia_registry.db import SCHEMA, Database
from vigia_registry.identity import credentials
from vigia_registry.identity.domain import Vault
from vigia_registry.jobs import schema as jobs
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.schema import metadata
from vigia_runtime.policies import Decision, decide


def tables(url: str, schema: str = SCHEMA) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = %s", [schema])
        return {name for (name,) in rows}


def test_up_down_and_up_again(postgres_url: str) -> None:
    migrate.upgrade(postgres_url, "0001")
    first = tables(postgres_url)
    assert "model_versions" in first
    assert "hostings" not in first
    migrate.upgrade(postgres_url)
    everything = tables(postgres_url)
    assert everything == {table.name for table in metadata.tables.values()} | {"alembic_version"}
    migrate.downgrade(postgres_url, "0001")
    assert tables(postgres_url) == first
    migrate.downgrade(postgres_url, "base")
    assert tables(postgres_url) == {"alembic_version"}
    migrate.upgrade(postgres_url)
    assert tables(postgres_url) == everything


def test_the_database_is_what_the_code_says(postgres_url: str) -> None:
    migrate.upgrade(postgres_url)
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "include_object": lambda _, name, kind, *__: (kind, name) != ("table", "alembic_version"),
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        named = {
            (row.relname, row.conname)
            for row in connection.exec_driver_sql(
                "select relname, conname from pg_constraint c join pg_class t on t.oid = c.conrelid "
                "join pg_namespace n on n.oid = c.connamespace where n.nspname = 'registry' and contype = 'c'"
            )
        }
    engine.dispose()
    assert found == []
    # Alembic does not compare checks.
    expected = {
        (table.name, engine.dialect.identifier_preparer.format_constraint(constraint))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert expected
    assert named == expected


async def test_keys_from_before_there_were_users_go_on_signing(postgres_url: str) -> None:
    vault = Vault("k" * 32)
    account = "111122223333"
    arn = f"arn:aws:iam::{account}:user/"
    before = [
        ("AKIAADMIN0000000001", f"{arn}admin", ["*"], True),
        ("AKIAADMIN0000000002", f"{arn}admin", ["*"], True),
        ("AKIAREADER000000001", f"{arn}admin", ["lookoutvision:Describe*", "vigia:Read*"], True),
        ("AKIAOFF000000000001", f"{arn}off", [], False),
        ("AKIANOACTIONS000001", f"{arn}idle", [], True),
        ("AKIAODDNAME00000001", "arn:reader", ["vigia:Read*"], True),
    ]
    await asyncio.to_thread(migrate.upgrade, postgres_url, "0002")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("insert into registry.accounts (id) values (%s)", [account])
        for key, principal, actions, enabled in before:
            connection.execute(
                "insert into registry.access_keys (access_key_id, account_id, secret, principal_arn, actions, enabled) "
                "values (%s, %s, %s, %s, %s, %s)",
                [key, account, vault.seal(f"secret of {key}"), principal, actions, enabled],
            )
    await asyncio.to_thread(migrate.upgrade, postgres_url)
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    async with Database(engine).transaction() as session:
        for key, principal, actions, enabled in before:
            found = await credentials.credential(session, vault, key)
            if not enabled:
                assert found is None
                continue
            assert found is not None
            assert (found.secret_access_key, found.principal_arn) == (f"secret of {key}", principal)
            assert found.principal_id.startswith("AIDA")
            for action in ("lookoutvision:DescribeModel", "lookoutvision:DeleteModel", "vigia:ReadCameras"):
                may = any(fnmatch.fnmatchcase(action, pattern) for pattern in actions)
                assert (decide(found, action, "*") is Decision.ALLOWED) is may, (key, action)
        rows = await session.execute(text("select access_key_id, user_name from registry.access_keys"))
        names = {row.access_key_id: row.user_name for row in rows}
    await engine.dispose()
    assert names["AKIAADMIN0000000001"] == names["AKIAADMIN0000000002"] != names["AKIAREADER000000001"]
    assert len(set(names.values())) == 5


def test_job_tables_are_made_once_and_kept(postgres_url: str) -> None:
    jobs.apply(postgres_url)
    before = tables(postgres_url, JOBS_SCHEMA)
    assert "procrastinate_jobs" in before
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"insert into {JOBS_SCHEMA}.procrastinate_workers default values")
    jobs.apply(postgres_url)
    assert tables(postgres_url, JOBS_SCHEMA) == before
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(f"select count(*) from {JOBS_SCHEMA}.procrastinate_workers").fetchone() == (1,)
