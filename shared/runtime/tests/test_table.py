"""A compacted topic as a dictionary, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from runtime_kafka_help import until

from vigia_contracts.cameras import CAMERA_CHANGED, Camera, RtspSource
from vigia_contracts.events import Event
from vigia_contracts.topics import CAMERAS
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.table import CompactedTable, read_once
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings


def changed(camera_id: str, project: str | None = None) -> Event:
    camera = Camera(
        camera_id=camera_id,
        account_id="123456789012",
        region="us-east-1",
        line="demo",
        project=project,
        source=RtspSource(url="rtsp://cam/stream"),
        revision=1,
        changed_at=datetime.now(UTC),
    )
    return Event(CAMERA_CHANGED, "/registry", f"{camera_id}-{project}", datetime.now(UTC), camera, key=camera_id)


@asynccontextmanager
async def following(table: CompactedTable[Camera]) -> AsyncIterator[asyncio.Task[None]]:
    stopping = asyncio.Event()
    task = asyncio.create_task(table.run(stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait({task}, timeout=20)
        assert task.done()


async def test_ready_means_all_that_was_there(settings: KafkaSettings, producer: Producer) -> None:
    await ensure_topics(settings, [CAMERAS])
    await asyncio.gather(*[producer.send(CAMERAS, changed(f"c{number}", "first")) for number in range(300)])
    await asyncio.gather(*[producer.send(CAMERAS, changed(f"c{number}", "second")) for number in range(300)])
    await producer.tombstone(CAMERAS, "c7")
    table: CompactedTable[Camera] = CompactedTable(settings, CAMERAS, health=Health("test"))
    async with following(table) as task:
        with pytest.raises(Transient):
            await table.wait_ready(0)
        await table.wait_ready(30)
        assert len(table.items()) == 299
        assert table.get("c7") is None
        assert {camera.project for _, camera in table.items()} == {"second"}
    await task


async def test_read_once(settings: KafkaSettings, producer: Producer) -> None:
    await ensure_topics(settings, [CAMERAS])
    assert await read_once(settings, CAMERAS, "test", asyncio.Event()) == {}
    await producer.send(CAMERAS, changed("a", "one"))
    await producer.send(CAMERAS, changed("b"))
    await producer.tombstone(CAMERAS, "b")
    held = await read_once(settings, CAMERAS, "test", asyncio.Event())
    assert {key: camera.project for key, camera in held.items()} == {"a": "one"}
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(Transient):
        await read_once(settings, CAMERAS, "test", stopping)
    nowhere = settings.model_copy(update={"bootstrap": "127.0.0.1:9"})
    with pytest.raises(Transient):
        await read_once(nowhere, CAMERAS, "test", asyncio.Event(), seconds=1)


async def test_changes_deletions_and_bad_records(settings: KafkaSettings, producer: Producer) -> None:
    await ensure_topics(settings, [CAMERAS])
    changes: list[tuple[str, str | None]] = []

    def on_change(key: str, camera: Camera | None) -> None:
        changes.append((key, camera.project if camera is not None else None))

    table: CompactedTable[Camera] = CompactedTable(settings, CAMERAS, health=Health("test"), on_change=on_change)
    rejected = metrics.TABLE_REJECTED.labels("cameras", "bad_data")._value.get()
    async with following(table) as task:
        await table.wait_ready(30)  # an empty topic is ready too
        await producer.send(CAMERAS, changed("a", "one"))
        await until(lambda: table.get("a") is not None)
        headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/x")]
        await producer.send_raw("cameras", b"a", b"{}", [*headers, ("ce_type", CAMERA_CHANGED.encode())])
        await producer.send_raw("cameras", b"\xff", None, [])
        await producer.send(CAMERAS, changed("b", "two"))
        await until(lambda: table.get("b") is not None)
        await until(lambda: metrics.TABLE_REJECTED.labels("cameras", "bad_data")._value.get() == rejected + 1)
        camera = table.get("a")
        assert camera is not None
        assert camera.project == "one"
        await producer.tombstone(CAMERAS, "a")
        await until(lambda: table.get("a") is None)
    await task
    assert changes == [("a", "one"), ("b", "two"), ("a", None)]
