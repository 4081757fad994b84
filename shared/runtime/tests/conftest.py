"""Tests here share helpers; pytest's importlib mode puts no folder on the path by itself."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vigia_runtime.kafka.producer import Producer
from vigia_runtime.settings import KafkaSettings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> KafkaSettings:
    """The session's broker, with a prefix of the test's own."""
    return KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix)


@pytest.fixture
async def producer(settings: KafkaSettings) -> AsyncIterator[Producer]:
    """A started producer."""
    async with Producer(settings, "test") as started:
        yield started
