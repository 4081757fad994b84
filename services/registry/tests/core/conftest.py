"""A whole registry for the tests: its HTTP process and its worker on real Postgres, Kafka and S3, asked by boto3."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
import botocore.session
import httpx
import psycopg
import pytest
from botocore.config import Config
from pydantic import SecretStr

from vigia_client.service_model import data_path
from vigia_contracts.topics import AUDIT, TRAINING_EVENTS, TRAINING_JOBS, dead_topic
from vigia_registry.bootstrap import open_deps
from vigia_registry.entrypoints import http, worker
from vigia_registry.identity import repository as identity_rows
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Owner, Vault
from vigia_registry.migrate import migrate
from vigia_registry.settings import BootstrapSettings, LimitSettings, RateSettings, RetentionSettings, Settings
from vigia_runtime.health import Health
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.policies import canonical
from vigia_runtime.sealing import Keyring, is_sealed
from vigia_runtime.settings import HttpSettings, KafkaSettings, ObjectSettings, PostgresSettings
from vigia_stack.parts.objects import ObjectStoreAddress

T = TypeVar("T")
ACCOUNT, REGION = "111122223333", "us-east-1"
KEY, SECRET = "AKIAVIGIATESTADMIN01", "a-secret-that-only-the-tests-know"
BUCKET = "registry-tests-customer"
SEALING_KEY = "a-root-key-of-thirty-two-characters"


class Running:
    """One process of the registry in a thread with its own event loop."""

    def __init__(self, main: Callable[[Lifecycle, Settings], Awaitable[None]], settings: Settings) -> None:
        self._life: Lifecycle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.code: int | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(main, settings), daemon=True)
        self._thread.start()
        assert self._started.wait(30)

    def _run(self, main: Callable[[Lifecycle, Settings], Awaitable[None]], settings: Settings) -> None:
        async def live() -> int:
            self._loop = asyncio.get_running_loop()
            self._life = Lifecycle("registry", Health("registry"))
            self._started.set()
            return await self._life.supervise(lambda life: main(life, settings))

        self.code = asyncio.run(live())

    def stop(self) -> None:
        """End it and wait; it must end in order."""
        assert self._loop is not None
        assert self._life is not None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._life.stop)
        self._thread.join(30)
        assert self.code == 0


@dataclass
class Registry:
    """The running registry and its surroundings."""

    settings: Settings
    store: ObjectStoreAddress

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.http.port}"

    @property
    def owner(self) -> Owner:
        """Whose things the admin's key sees."""
        return Owner(ACCOUNT, REGION)

    def client(self, key: str = KEY, secret: str = SECRET, region: str = REGION, **config: Any) -> Any:
        """A boto3 client of the service that AWS withdrew; it does not try again unless ``config`` says so."""
        core = botocore.session.Session()
        core.get_component("data_loader").search_paths.append(str(data_path()))
        session = boto3.Session(key, secret, region_name=region, botocore_session=core)
        return session.client(
            "lookoutvision",
            endpoint_url=self.url,
            config=Config(
                **{
                    "retries": {"total_max_attempts": 1},
                    "parameter_validation": False,
                    "max_pool_connections": 60,
                    **config,
                }
            ),
        )

    def rekognition(self, key: str = KEY, secret: str = SECRET, region: str = REGION, **config: Any) -> Any:
        """A boto3 client of Rekognition, which does not try again unless ``config`` says so."""
        return boto3.client(
            "rekognition",
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name=region,
            config=Config(**{"retries": {"total_max_attempts": 1}, "parameter_validation": False, **config}),
        )

    def s3(self) -> Any:
        """A boto3 client of the object store."""
        return boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            aws_access_key_id=self.store.access_key_id,
            aws_secret_access_key=self.store.secret_access_key,
            region_name=self.store.region,
            config=Config(s3={"addressing_style": "path"}),
        )

    def put(self, data: bytes, key: str | None = None) -> dict[str, str]:
        """Store an object in the customer's bucket; where it is, as the protocol names it."""
        key = key or f"manifests/{uuid.uuid4().hex}.manifest"
        self.s3().put_object(Bucket=BUCKET, Key=key, Body=data)
        return {"Bucket": BUCKET, "Key": key}

    def opened(self, bucket: str, key: str) -> bytes:
        """The content of an object that the registry keeps for itself; it lies there encrypted."""
        stored = self.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
        assert is_sealed(stored)
        return Keyring([SEALING_KEY]).open(stored, f"{bucket}/{key}")

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query on the registry's database."""
        with psycopg.connect(self.settings.postgres.url.get_secret_value(), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run ``work(deps)`` on connections of its own."""

        async def live() -> T:
            async with open_deps(self.settings) as deps:
                return await work(deps)

        return asyncio.run(live())

    def add_key(
        self, account: str = ACCOUNT, *, actions: tuple[str, ...] = ("*",), user: str | None = None
    ) -> tuple[str, str]:
        """A further access key, of a new user, of a new account if need be."""
        document = canonical({"Statement": {"Effect": "Allow", "Action": list(actions), "Resource": "*"}})
        return self.add_user(user or f"u-{uuid.uuid4().hex[:12]}", document, account=account)

    def add_user(
        self, name: str, *documents: str, policies: tuple[str, ...] = (), account: str = ACCOUNT
    ) -> tuple[str, str]:
        """A user with these documents and policies, new or changed, and a key of it."""
        vault = Vault(self.settings.secret_key.get_secret_value())
        owner = Owner(account, REGION)
        inline = {f"p{number}": document for number, document in enumerate(documents)}

        async def work(deps: Any) -> tuple[str, str]:
            async with deps.database.transaction() as session:
                await identity_rows.add_account(session, account)
                await identity.put_user(session, owner, name, policies, inline)
                key, secret = await identity.add_key(session, vault, owner, name)
                return key.access_key_id, secret

        return self.run(work)


def until(what: Callable[[], T | None], seconds: float = 20) -> T:
    """What ``what`` returns once it is neither None nor False."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_settings(postgres: str, kafka: str, prefix: str, store: ObjectStoreAddress, keys: Path) -> Settings:
    return Settings(
        kafka=KafkaSettings(bootstrap=kafka, topic_prefix=prefix),
        postgres=PostgresSettings(url=SecretStr(postgres), pool_size=10),
        objects=ObjectSettings(
            endpoint=store.endpoint,
            region=store.region,
            access_key_id=store.access_key_id,
            secret_access_key=SecretStr(store.secret_access_key),
            sealing_key=SecretStr(SEALING_KEY),
            keys_folder=keys,
        ),
        http=HttpSettings(port=free_port()),
        bootstrap=BootstrapSettings(
            account_id=ACCOUNT, region=REGION, access_key_id=KEY, secret_access_key=SecretStr(SECRET)
        ),
        # Tests leave many trainings under way, which nobody does here.
        limits=LimitSettings(projects=500, models=60, trainings=300, inference_units=5, trials=3, trial_images=400),
        # Tests ask more often than clients may.
        rates=RateSettings(per_second=10_000, burst=10_000),
        retention=RetentionSettings(deleted_models_seconds=1),
        secret_key=SecretStr("a-key-of-at-least-thirty-two-characters"),
        internal_token=SecretStr("the-internal-token"),
    )


@contextlib.contextmanager
def surroundings(postgres_server: str, kafka: str, store: ObjectStoreAddress, keys: Path) -> Iterator[Registry]:
    """A migrated database, topics and buckets, without any process."""
    name = f"registry_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
    url = postgres_server.rpartition("/")[0] + f"/{name}"
    settings = make_settings(url, kafka, f"t{uuid.uuid4().hex[:10]}.", store, keys)
    migrate(settings)
    topics = (AUDIT, TRAINING_JOBS, TRAINING_EVENTS, dead_topic(TRAINING_EVENTS))
    asyncio.run(ensure_topics(settings.kafka, topics))
    registry = Registry(settings, store)
    for bucket in (BUCKET, settings.buckets.datasets, settings.buckets.artifacts):
        with contextlib.suppress(registry.s3().exceptions.BucketAlreadyOwnedByYou):
            registry.s3().create_bucket(Bucket=bucket)
    yield registry
    with contextlib.suppress(psycopg.Error), psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def registry(
    postgres_server: str, kafka: str, object_store: ObjectStoreAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """The registry with its two processes."""
    with surroundings(postgres_server, kafka, object_store, tmp_path_factory.mktemp("keys")) as made:
        running = [Running(http.main, made.settings), Running(worker.main, made.settings)]
        until(partial(answers, made.url))
        yield made
        for process in running:
            process.stop()


@pytest.fixture(scope="module")
def alone(
    postgres_server: str, kafka: str, object_store: ObjectStoreAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A registry of which no process runs."""
    with surroundings(postgres_server, kafka, object_store, tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.fixture(scope="module")
def quiet(alone: Registry) -> Iterator[Registry]:
    """A registry whose worker does nothing: a test does its jobs."""
    running = Running(http.main, alone.settings)
    until(partial(answers, alone.url))
    yield alone
    running.stop()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/2020-11-20/projects", trust_env=False).status_code == 403
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def lookout(registry: Registry) -> Any:
    """A client with the admin's key."""
    return registry.client()


@pytest.fixture
def project(lookout: Any) -> str:
    """A new project's name."""
    name = f"p-{uuid.uuid4().hex[:12]}"
    lookout.create_project(ProjectName=name)
    return name
