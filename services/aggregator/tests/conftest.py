"""Fixtures of the aggregator: a migrated database, topics of the test's own, the real processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.migrate import upgrade
from vigia_contracts.topics import AUDIT, CAMERAS, FAULTS, INSPECTIONS, USAGE, dead_topic
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.postgres import create_engine
from vigia_runtime.settings import KafkaSettings, PostgresSettings

sys.path.insert(0, str(Path(__file__).parent))  # tests are not a package: this finds aggregator_help

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import uvicorn
from aggregator_help import ACCOUNT, Process, free_port, new_run, until
from api_help import Keys
from aws_help import HOUR, Client, at
from botocore.config import Config
from botocore.loaders import Loader
from calls_help import REGION, make_call, make_label_units, make_units

from vigia_aggregator.adapters.calls import CallStore, UnitStore
from vigia_aggregator.adapters.listener import Listener
from vigia_aggregator.adapters.partitions import CALLS, Partitions
from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.entrypoints.http import make_app
from vigia_aggregator.settings import QuerySettings
from vigia_contracts.audit import CUSTOM_LABELS, VIGIA, Call, CallOutcome
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import ObjectSettings
from vigia_runtime.signin import Authenticator


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database."""
    engine = create_engine(PostgresSettings(url=SecretStr(postgres_url)))
    await upgrade(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def kafka_settings(kafka: str, topic_prefix: str) -> KafkaSettings:
    """The test's own topics."""
    settings = KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix)
    live = (INSPECTIONS, FAULTS, CAMERAS, AUDIT, USAGE)
    await ensure_topics(settings, [*live, *map(dead_topic, live)])
    return settings


@pytest.fixture
async def producer(kafka_settings: KafkaSettings) -> AsyncIterator[Producer]:
    """Publishes as detection, ingestion and registry do."""
    async with Producer(kafka_settings, "test") as producer:
        yield producer


@pytest.fixture
def environment(kafka_settings: KafkaSettings, postgres_url: str) -> dict[str, str]:
    """Settings of the worker."""
    return {
        "VIGIA_AGGREGATOR_KAFKA__BOOTSTRAP": kafka_settings.bootstrap,
        "VIGIA_AGGREGATOR_KAFKA__TOPIC_PREFIX": kafka_settings.topic_prefix,
        "VIGIA_AGGREGATOR_POSTGRES__URL": postgres_url,
    }


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[[str, dict[str, str]], Process]]:
    """Start a process of the aggregator; it is ended with the test."""
    started: list[Process] = []

    def go(command: str, environment: dict[str, str]) -> Process:
        process = Process(command, environment, tmp_path)
        started.append(process)
        process.start()
        return process

    yield go
    for process in started:
        process.end()


@pytest.fixture
async def context(engine: AsyncEngine, postgres_url: str) -> Context:
    objects = ObjectSettings(endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key=SecretStr("b"))
    return Context(
        engine=engine,
        objects=ObjectStore(objects),
        authenticator=Authenticator(Keys()),
        listener=Listener(PostgresSettings(url=SecretStr(postgres_url))),
        query=QuerySettings(),
        followers=asyncio.Semaphore(1),
    )


@pytest.fixture
async def door(context: Context) -> AsyncIterator[str]:
    """The address of the running app."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_app(context), host="127.0.0.1", port=port, log_level="warning"))
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started, 20, "the door")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.fixture
def client(door: str, tmp_path: Path) -> Client:
    """Makes clients of the newest boto3; with ``protocol`` of one that knows no other."""

    def make(service: str, key: str = "AKIAEXAMPLE", secret: str = "secret", protocol: str | None = None) -> Any:
        core = botocore.session.Session()
        if protocol is not None:
            model = Loader().load_service_model("cloudwatch", "service-2")
            model["metadata"] |= {"protocol": protocol, "protocols": [protocol]}
            place = tmp_path / protocol / "cloudwatch" / "2010-08-01"
            place.mkdir(parents=True, exist_ok=True)
            (place / "service-2.json").write_text(json.dumps(model))
            core.get_component("data_loader").search_paths.insert(0, str(tmp_path / protocol))
        return boto3.Session(key, secret, region_name=REGION, botocore_session=core).client(
            service, endpoint_url=door, config=Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        )

    return make


@pytest.fixture
async def filled(engine: AsyncEngine) -> list[Call]:
    """An hour of calls of two versions, and units for ten minutes of it."""
    run = new_run()
    judged = {"images_processed": 1}
    made = [
        *(make_call(n, run, **at(n), **judged, anomalies=n % 3 == 0, duration_ms=10.0 + n) for n in range(30)),
        *(make_call(100 + n, run, **at(n), **judged, model_version="2") for n in range(5)),
        *(make_call(200 + n, run, **at(n), outcome=CallOutcome.CLIENT_ERROR, images_invalid=1) for n in range(4)),
        *(make_call(300 + n, run, **at(40), outcome=CallOutcome.THROTTLED) for n in range(3)),
        make_call(400, run, **at(50), name="DescribeProject", model_version=None),
        make_call(401, run, **at(50), name="ListProjects", project=None, model_version=None),
        make_call(402, run, **at(50), source=VIGIA, name="PutCamera", project=None, model_version=None),
        make_call(403, run, **at(50), account_id="999999999999"),
        make_call(404, run, **at(50), region="eu-west-1"),
    ]
    await CallStore(engine, Partitions(engine, CALLS)).write(made)
    minutes = [HOUR + timedelta(minutes=n) for n in range(10)]
    await UnitStore(engine).write(
        [*(make_units(m) for m in minutes), *(make_units(m, "2", in_service_units=2) for m in minutes[:5])]
    )
    return made


@pytest.fixture
async def labelled(engine: AsyncEngine, filled: list[Call]) -> list[Call]:
    """Beside those of ``filled``: calls of Custom Labels, and a version of a project of the same name, whose units are
    measured for three of five hours before."""
    run = new_run()
    version = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/cookies/version/v.1/1700000000000"
    labels: dict[str, Any] = {
        "source": CUSTOM_LABELS,
        "name": "DetectCustomLabels",
        "model_version": "v.1",
        "parameters": {"projectVersionArn": version},
    }
    made = [
        *(make_call(n, run, **at(n), **labels, images_processed=1, duration_ms=20.0 + n) for n in range(10)),
        *(make_call(20 + n, run, **at(n), **labels, outcome=CallOutcome.CLIENT_ERROR) for n in range(3)),
        *(make_call(30 + n, run, **at(n), **labels, outcome=CallOutcome.SERVER_ERROR) for n in range(2)),
        make_call(40, run, **at(40), **labels, outcome=CallOutcome.THROTTLED),
        make_call(50, run, **at(50), **{**labels, "name": "StartProjectVersion"}, duration_ms=5.0),
        make_call(51, run, **at(51), source=CUSTOM_LABELS, name="CreateProject", parameters={"projectName": "cookies"}),
    ]
    await CallStore(engine, Partitions(engine, CALLS)).write(made)
    units = [
        make_label_units(HOUR - timedelta(hours=hour, minutes=-minute), in_service_units=hour)
        for hour in (1, 2, 4)
        for minute in range(60)
    ]
    await UnitStore(engine).write([*units, make_label_units(HOUR), make_label_units(HOUR, "v.2", in_service_units=7)])
    return made
