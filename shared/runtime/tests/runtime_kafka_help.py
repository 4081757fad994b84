"""Small tools for tests with a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from vigia_contracts.events import Event
from vigia_contracts.frames import FRAME_CAPTURED
from vigia_contracts.topics import FRAMES, Topic, dead_topic
from vigia_runtime.health import Health
from vigia_runtime.kafka.consumer import ConsumerLoop, Handler
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics, topic_name
from vigia_runtime.settings import KafkaSettings

TOPIC = replace(FRAMES, partitions=2)


def frame(number: int, key: str | None = None, data: bytes = b"jpeg") -> Event:
    return Event(
        type=FRAME_CAPTURED,
        source="/test",
        id=str(number),
        time=datetime.now(UTC),
        data=data,
        key=key if key is not None else f"camera-{number % 7}",
    )


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  any condition, not an event
            await asyncio.sleep(0.01)


async def make(settings: KafkaSettings, topic: Topic = TOPIC) -> None:
    await ensure_topics(settings, [topic, dead_topic(topic)])


@asynccontextmanager
async def running(loop: ConsumerLoop) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]:
    """The loop as a task. At the end it is stopped in order; its failure is the test's to look at."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping))
    try:
        yield task, stopping
    finally:
        stopping.set()
        await asyncio.wait({task}, timeout=40)
        assert task.done()


def consumer(
    settings: KafkaSettings, producer: Producer, handle: Handler, topic: Topic = TOPIC, **options: object
) -> ConsumerLoop:
    arguments: dict[str, object] = {"group": "g", "health": Health("test"), **options}
    return ConsumerLoop(settings, topic, handle=handle, producer=producer, **arguments)  # type: ignore[arg-type]


async def read_all(settings: KafkaSettings, name: str, least: int = 0, seconds: float = 20) -> list[ConsumerRecord]:
    """All records of a topic; waits until there are at least ``least``."""
    full = topic_name(settings, name)
    reader = AIOKafkaConsumer(
        full, bootstrap_servers=settings.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        parts = list(reader.assignment())
        assert parts
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(seconds):
            while True:
                batches = await reader.getmany(timeout_ms=300)
                found += [record for records in batches.values() for record in records]
                ends = await reader.end_offsets(parts)
                if len(found) >= least and all([await reader.position(part) >= ends[part] for part in parts]):
                    return found
    finally:
        await reader.stop()


async def committed(settings: KafkaSettings, group: str = "g", topic: Topic = TOPIC) -> dict[int, int]:
    """Committed offsets by partition; partitions without one are left out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topic_name(settings, group))
    finally:
        await admin.close()
    name = topic_name(settings, topic)
    return {part.partition: entry.offset for part, entry in offsets.items() if part.topic == name and entry.offset >= 0}


async def committed_becomes(settings: KafkaSettings, expected: dict[int, int], seconds: float = 15) -> None:
    """Wait until the group's committed offsets are exactly these."""
    async with asyncio.timeout(seconds):
        while await committed(settings) != expected:  # noqa: ASYNC110  the condition is the broker's
            await asyncio.sleep(0.1)


async def delete_before(settings: KafkaSettings, partition: int, offset: int, topic: Topic = TOPIC) -> None:
    """What retention does: records below ``offset`` leave the partition."""
    from aiokafka.admin import RecordsToDelete

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(topic_name(settings, topic), partition): RecordsToDelete(before_offset=offset)}
        )
    finally:
        await admin.close()
