"""A door that answers what a test tells it to and remembers what it was asked; and a real registry."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from vigia_client.environment import Environment
from vigia_client.lookout import lookoutvision
from vigia_client.lookout import object_store as store_client
from vigia_stack.parts.objects import ObjectStoreAddress
from vigia_stack.testing import running

ACCOUNT = "111122223333"
KEY, SECRET, REGION = "AKIDEXAMPLE", "a secret", "eu-west-1"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class DoorStub:
    """``answers`` maps "METHOD /path" to (status, JSON), or to a list of them given out one by one."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        known = self.answers.get(f"{method} {path}", (404, {"code": "not_found", "detail": "no such thing"}))
        return known.pop(0) if isinstance(known, list) else known  # type: ignore[no-any-return]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[DoorStub]:
    """The door, with the environment pointing at it."""
    stub = DoorStub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            stub.asked.append(Asked(self.command, path, query, list(self.headers.items()), body))
            status, told = stub.answer(self.command, path)
            data = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    for name, value in {
        "VIGIA_URL": stub.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield stub
    server.shutdown()
    server.server_close()


@dataclass
class Installation:
    """A registry (its HTTP process and its worker) on real parts, as a client sees it."""

    values: dict[str, str]
    kafka: str
    topic_prefix: str
    store: ObjectStoreAddress
    #: The registry's own variables.
    settings: dict[str, str]
    account_id: str = ACCOUNT

    @property
    def environment(self) -> Environment:
        return Environment(self.values, "test")

    @cached_property
    def lookout(self) -> Any:
        return lookoutvision(self.environment)

    @cached_property
    def s3(self) -> Any:
        return store_client(self.environment)

    def bucket(self) -> str:
        """A new bucket."""
        name = f"client-{uuid.uuid4().hex[:10]}"
        self.s3.create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def registry(postgres_server: str, kafka: str, object_store: ObjectStoreAddress) -> Iterator[Installation]:
    """One for all tests of the folder: they keep apart by names."""
    database = f"client_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {database} template template0")
    prefix = f"t{uuid.uuid4().hex[:10]}."
    settings = {
        "KAFKA__BOOTSTRAP": kafka,
        "KAFKA__TOPIC_PREFIX": prefix,
        "POSTGRES__URL": f"{postgres_server.rpartition('/')[0]}/{database}",
        "OBJECTS__ENDPOINT": object_store.endpoint,
        "OBJECTS__REGION": object_store.region,
        "OBJECTS__ACCESS_KEY_ID": object_store.access_key_id,
        "OBJECTS__SECRET_ACCESS_KEY": object_store.secret_access_key,
        "BOOTSTRAP__ACCOUNT_ID": ACCOUNT,
        "BOOTSTRAP__REGION": object_store.region,
        "BOOTSTRAP__ACCESS_KEY_ID": object_store.access_key_id,
        "BOOTSTRAP__SECRET_ACCESS_KEY": object_store.secret_access_key,
        "LIMITS__PROJECTS": "1000",
        "SECRET_KEY": "a-key-of-at-least-thirty-two-characters",
        "INTERNAL_TOKEN": "the-internal-token",
    }
    environment = {f"VIGIA_REGISTRY_{name}": value for name, value in settings.items()}
    command = str(Path(sys.executable).with_name("vigia-registry"))
    for step in ("prepare", "migrate"):
        subprocess.run([command, step], env=os.environ | environment, check=True, capture_output=True, timeout=120)
    with running("registry-http", environment) as door, running("registry-worker", environment):
        values = {
            "VIGIA_URL": door.http_url,
            "AWS_ENDPOINT_URL_LOOKOUTVISION": door.http_url,
            "AWS_ENDPOINT_URL_S3": object_store.endpoint,
            "AWS_ACCESS_KEY_ID": object_store.access_key_id,
            "AWS_SECRET_ACCESS_KEY": object_store.secret_access_key,
            "AWS_DEFAULT_REGION": object_store.region,
        }
        yield Installation(values, kafka, prefix, object_store, environment)
    with contextlib.suppress(psycopg.Error), psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {database} with (force)")


@pytest.fixture
def here(registry: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The registry, with a bucket of its own and this process's environment pointing at both."""
    found = replace(registry, values={**registry.values, "VIGIA_BUCKET": registry.bucket()})
    for name, value in found.values.items():
        monkeypatch.setenv(name, value)
    return found
