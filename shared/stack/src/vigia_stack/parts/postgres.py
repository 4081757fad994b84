"""Postgres from the binaries of a Python package, run directly (the package's own launcher changes permissions)."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import ClassVar

import psycopg

from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.once import call
from vigia_stack.supplies.postgres import binary, give, unprivileged

_SETTINGS = """listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
max_wal_size = 1GB
password_encryption = 'scram-sha-256'
log_min_duration_statement = 1000
timezone = 'UTC'
"""


class PostgresPart(Part):
    """Ready when it answers a query. `database` is made at the first start."""

    stop_signal: ClassVar[int] = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, site: Site) -> None:
        super().__init__(site, "postgres", ports=("postgres",))

    def url(self, database: str = "vigia") -> str:
        """postgresql://… with the password in it."""
        return f"postgresql://vigia:{self.site.secret('postgres')}@127.0.0.1:{self.port('postgres')}/{database}"

    def prepare(self) -> None:
        data = self.site.data("postgres")
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        (data / "postgresql.auto.conf").touch()
        (data / "vigia.conf").write_text(_SETTINGS.format(port=self.port("postgres")))

    def _initialise(self, data: Path) -> None:
        partial = data.with_name("postgres.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        give(partial)
        password = self.site.conf("postgres.password")
        password.write_text(self.site.secret("postgres"))
        try:
            argv = [
                binary("initdb"), "-D", str(partial), "-U", "vigia", "-A", "scram-sha-256", "-E", "UTF8",
                "--locale=C.UTF-8", "--no-sync", f"--pwfile={password}", "--no-instructions",
            ]  # fmt: skip
            call(unprivileged(argv), "making Postgres's data folder", env=plain_environment())
        finally:
            password.unlink()
        with (partial / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude 'vigia.conf'\n")
        partial.rename(data)

    def command(self) -> Command:
        argv = [binary("postgres"), "-D", str(self.site.data("postgres"))]
        return Command(unprivileged(argv), plain_environment())

    def check(self) -> None:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=3, autocommit=True) as connection:
                have = connection.execute("select 1 from pg_database where datname = 'vigia'").fetchone()
                if have is None:
                    connection.execute("create database vigia")
        except psycopg.OperationalError as error:
            raise NotReady(str(error)) from error

    def address(self) -> str:
        return f"127.0.0.1:{self.port('postgres')}"
