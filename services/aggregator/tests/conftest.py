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

from aggregator_help import Process


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
