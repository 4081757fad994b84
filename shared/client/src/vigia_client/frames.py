"""Frames straight onto Kafka, as any program may send them: the image, its camera as the key, four headers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from vigia_contracts.frames import FRAME_CAPTURED, MAX_INLINE_BYTES
from vigia_contracts.topics import FRAMES

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


class TooLargeError(Exception):
    """An image does not fit into a message; the HTTP door takes it."""


def images(place: Path) -> list[Path]:
    """The file itself, or the JPEGs and PNGs of the folder in order of name."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)


def headers(camera_id: str, session: str, frame_id: str) -> list[tuple[str, bytes]]:
    """The four headers that make a record a frame."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", frame_id.encode()),
        ("ce_source", f"/cameras/{camera_id}/{session}".encode()),
        ("ce_type", FRAME_CAPTURED.encode()),
    ]


async def publish(
    bootstrap: str,
    camera_id: str,
    files: Iterable[Path],
    *,
    topic_prefix: str = "",
    per_second: float | None = None,
    sent: Callable[[Path], None] = lambda _: None,
) -> int:
    """Publish each file as a frame of the camera, acknowledged one by one; how many. TooLargeError; KafkaError."""
    session = f"publish-{socket.gethostname()}-{uuid4().hex[:12]}"
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_request_size=2 * 1024 * 1024
    )
    await producer.start()
    count = 0
    began = time.monotonic()
    try:
        for file in files:
            image = await asyncio.to_thread(file.read_bytes)
            if len(image) > MAX_INLINE_BYTES:
                raise TooLargeError(f"{file} has {len(image)} bytes; above {MAX_INLINE_BYTES} send it with --http")
            if per_second:
                await asyncio.sleep(max(0.0, began + count / per_second - time.monotonic()))
            await producer.send_and_wait(
                f"{topic_prefix}{FRAMES.name}",
                image,
                key=camera_id.encode(),
                headers=headers(camera_id, session, str(count)),
            )
            count += 1
            sent(file)
    finally:
        await producer.stop()
    return count
