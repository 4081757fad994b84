"""A broker killed and brought back: nothing acknowledged is lost, nobody has to be restarted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from runtime_kafka_help import TOPIC, committed, consumer, frame, make, running, until
from test_table import changed, following

from vigia_contracts.cameras import Camera
from vigia_contracts.topics import CAMERAS
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.consumer import Delivery
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.table import CompactedTable
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ONE = replace(TOPIC, partitions=1)


@pytest.fixture(scope="module")
def broker() -> Iterator[Stack]:
    """A broker of its own, which the stack brings back when it is killed."""
    with Stack(["kafka"]) as stack:
        yield stack


@pytest.fixture
def own(broker: Stack, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=broker.part(KafkaPart).bootstrap, topic_prefix=topic_prefix)


def kill(stack: Stack) -> None:
    pid = stack.status("kafka").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def test_producer_consumer_and_table_survive_a_killed_broker(broker: Stack, own: KafkaSettings) -> None:
    await make(own)
    await ensure_topics(own, [CAMERAS])
    acknowledged: set[str] = set()
    handled: Counter[str] = Counter()
    table: CompactedTable[Camera] = CompactedTable(own, CAMERAS, health=Health("test"))

    async with Producer(own, "test", send_seconds=60) as producer:

        async def handle(delivery: Delivery) -> None:
            # An effect on the same broker: what detection does.
            await producer.send(CAMERAS, changed(f"c{int(delivery.event.id) % 5}", delivery.event.id))
            handled[delivery.event.id] += 1

        async def feed() -> None:
            for number in range(600):
                await producer.send(TOPIC, frame(number))
                acknowledged.add(str(number))
                if number == 200:
                    kill(broker)

        loop = consumer(own, producer, handle, retry_seconds=120)
        async with running(loop) as (task, _), following(table) as follower:
            await table.wait_ready(60)
            await asyncio.wait_for(feed(), 120)
            await until(lambda: len(handled) == 600, 60)
            await until(lambda: len(table.items()) == 5, 30)
        await task
        await follower
    assert len(acknowledged) == 600
    assert set(handled) == acknowledged
    assert sum((await committed(own)).values()) == 600


async def test_an_outage_is_transient_after_the_bound_and_over_when_the_broker_is_back(
    broker: Stack, own: KafkaSettings
) -> None:
    await make(own, ONE)
    async with Producer(own, "test", send_seconds=0.5) as producer:
        await producer.send(ONE, frame(0))
        await producer.probe()
        kill(broker)
        with pytest.raises(Transient):
            await producer.send(ONE, frame(1))
        async with asyncio.timeout(60):
            while True:
                try:
                    await producer.send(ONE, frame(2))
                    break
                except Transient:
                    continue
        await producer.probe()
