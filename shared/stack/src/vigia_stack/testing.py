"""Pytest plugin: real parts as fixtures. One of each per test session; tests keep apart by names.

`kafka`, `object_store` and `triton` are shared by the session: use `topic_prefix`, buckets and model names of your own.
`postgres_url` is a fresh empty database for each test. `running` starts one process of a service.
`VIGIA_PARTS=containers` makes the same parts from the official images; a test cannot tell.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql

from vigia_stack.parts.base import Part
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import ObjectsPart, ObjectStoreAddress
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.parts.triton import TritonAddress, TritonPart
from vigia_stack.plan import build
from vigia_stack.process import Identity, adopt, identity
from vigia_stack.running import RunningService, running
from vigia_stack.site import Site
from vigia_stack.stack import Stack

__all__ = ["RunningService", "running"]  # with the fixtures: what tests take from here
P = TypeVar("P", bound=Part)
_STATES = Path(tempfile.gettempdir()) / f"vigia-test-stacks-{os.getuid()}"


@pytest.fixture(scope="session")
def stack_state() -> Iterator[Path]:
    """State folder of this session's parts; what a killed earlier session left running is ended first."""
    _STATES.mkdir(mode=0o700, exist_ok=True)
    for folder in _STATES.iterdir():
        _end_if_abandoned(folder)
    me = identity(os.getpid())
    assert me is not None
    folder = _STATES / f"{me.pid}-{me.started}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _end_if_abandoned(folder: Path) -> None:
    pid, _, started = folder.name.partition("-")
    if not (pid.isdigit() and started.isdigit()) or Identity(int(pid), int(started)).alive:
        return
    for pid_file in folder.glob("*/run/*.pid"):
        process = adopt(pid_file)
        if process is not None:
            process.stop(grace=1)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _part(kind: type[P], name: str, state: Path) -> Iterator[P]:
    if os.environ.get("VIGIA_PARTS") == "containers":
        from vigia_stack.containers import contained

        part = next(job for job in build(Site(state / name, well_known_ports=False), [name]) if isinstance(job, kind))
        with contained(part):
            yield part
    else:
        with Stack([name], state / name) as stack:
            yield stack.part(kind)


@pytest.fixture(scope="session")
def kafka(stack_state: Path) -> Iterator[str]:
    """Bootstrap address of a broker."""
    with _part(KafkaPart, "kafka", stack_state) as part:
        yield part.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and groups that nothing else uses."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture(scope="session")
def postgres_server(stack_state: Path) -> Iterator[str]:
    """URL of a server's maintenance database, for a user that may create databases."""
    with _part(PostgresPart, "postgres", stack_state) as part:
        yield part.url("postgres")


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh empty database."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    yield postgres_server.rpartition("/")[0] + f"/{name}"
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def object_store(stack_state: Path) -> Iterator[ObjectStoreAddress]:
    """An S3 store."""
    with _part(ObjectsPart, "objects", stack_state) as part:
        yield part.store


@pytest.fixture(scope="session")
def triton(stack_state: Path) -> Iterator[TritonAddress]:
    """A Triton without models; load your own under names of your own."""
    with _part(TritonPart, "triton", stack_state) as part:
        yield part.addresses
