"""A real broker with this test's own topics, and ears on what ingestion says."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from PIL import Image

from vigia_contracts.base import ObjectRef
from vigia_contracts.cameras import CAMERA_CHANGED, Camera, CameraPolicy
from vigia_contracts.events import Event, decode
from vigia_contracts.faults import Fault
from vigia_contracts.topics import CAMERAS, FAULTS, FRAMES, Topic
from vigia_ingestion.adapters.assignment import Assignment
from vigia_ingestion.adapters.readers import reader_for
from vigia_ingestion.app.camera import CameraTask, Pace
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.app.supervisor import Supervisor
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics, topic_name
from vigia_runtime.settings import KafkaSettings

ACCOUNT = "111122223333"


def jpeg(number: int, width: int = 320, height: int = 240) -> bytes:
    """A photograph with its number written as the place of a white bar: see :func:`number_in`."""
    pixels = np.full((height, width, 3), (30, 60, 90), np.uint8)
    pixels[number * 10 : number * 10 + 10] = 255
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=95)
    return data.getvalue()


def number_in(image: bytes) -> int:
    """Which photograph this is, after whatever compression."""
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("L"))
    return int(np.argmax(pixels.mean(axis=1) > 180)) // 10


def camera(source: object, camera_id: str = "c1", **policy: object) -> Camera:
    """A camera of line l1; silent for longer than a busy test machine sleeps, it is blind."""
    rules = {"blind_after_seconds": 5.0} | policy
    return Camera(
        camera_id=camera_id,
        account_id=ACCOUNT,
        region="eu-west-1",
        line_id="l1",
        source=source,  # type: ignore[arg-type]
        policy=CameraPolicy(**rules),  # type: ignore[arg-type]
    )


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition; AssertionError when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.02)


class NoStore:
    """For tests whose frames all fit into Kafka."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str | None = None) -> ObjectRef:
        raise AssertionError(f"nothing should be stored, and {key} was")


@dataclass
class Plant:
    """This test's corner of the broker."""

    settings: KafkaSettings
    producer: Producer
    frames: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    async def announce(self, wanted: Camera) -> None:
        """Say that the camera is so, as registry does."""
        event = Event(
            CAMERA_CHANGED,
            "/registry",
            f"{wanted.camera_id}-{time.monotonic_ns()}",
            datetime.now(UTC),
            wanted,
            wanted.camera_id,
        )
        await self.producer.send(CAMERAS, event)

    async def forget(self, camera_id: str) -> None:
        """Say that there is no such camera any more."""
        await self.producer.tombstone(CAMERAS, camera_id)

    @asynccontextmanager
    async def replica(self, pace: Pace | None = None) -> AsyncIterator[Supervisor]:
        """Ingestion without its HTTP door."""
        publisher = Publisher(self.producer, NoStore(), "frames")
        supervisor = Supervisor(lambda wanted: CameraTask(wanted, reader_for, publisher, pace=pace))
        stopping = asyncio.Event()
        health = Health("ingestion")
        work = asyncio.create_task(Assignment(self.settings, supervisor, health).run(stopping))
        try:
            yield supervisor
        finally:
            stopping.set()
            await work


@pytest.fixture
async def plant(kafka: str, topic_prefix: str) -> AsyncIterator[Plant]:
    """Topics of this test alone, a producer, and everything that is published on frames and faults as it comes."""
    settings = KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix)
    await ensure_topics(settings, [CAMERAS, FRAMES, FAULTS])
    async with Producer(settings, "test", send_seconds=5) as producer:
        corner = Plant(settings, producer)
        listeners = [
            asyncio.create_task(listen(settings, FRAMES, lambda event: corner.frames.append(event))),
            asyncio.create_task(listen(settings, FAULTS, lambda event: corner.faults.append(event.data))),  # type: ignore[arg-type]
        ]
        yield corner
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


async def listen(settings: KafkaSettings, topic: Topic, take: Callable[[Event], None]) -> None:
    """Hand over every event of a topic, from the first."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic_name(settings, topic), number) for number in range(topic.partitions)])
        async for record in consumer:
            take(
                decode(topic, key=record.key, value=record.value, headers=record.headers, timestamp_ms=record.timestamp)
            )
    finally:
        await consumer.stop()
