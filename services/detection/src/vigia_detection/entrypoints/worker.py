"""Frames from Kafka: every record of ``frames`` ends in one inspection, and then its offset counts as finished."""

from __future__ import annotations

from typing import Any

from vigia_contracts.events import ContractError
from vigia_contracts.frames import FrameReference
from vigia_contracts.inspections import InvalidCause
from vigia_contracts.topics import FRAMES
from vigia_detection import bootstrap
from vigia_detection.adapters.stream import frame_of, frame_of_bad_record, trace_of
from vigia_detection.settings import Settings
from vigia_runtime.kafka.consumer import ConsumerLoop, Delivery
from vigia_runtime.lifecycle import Lifecycle

GROUP = "detection"


async def work(settings: Settings, lifecycle: Lifecycle) -> None:
    """Inspect frames until the process is told to stop."""
    async with bootstrap.parts(settings, lifecycle) as shared:
        inspect = await bootstrap.frame_inspector(settings, lifecycle, shared)

        async def handle(delivery: Delivery) -> None:
            content = delivery.event.data
            if not isinstance(content, bytes | FrameReference):
                raise TypeError(f"{FRAMES.name} does not carry {type(content).__name__}")
            await inspect(frame_of(delivery, shared.clock.now()), content, trace_of(delivery.event))

        async def on_bad(record: Any, error: ContractError) -> None:
            frame = frame_of_bad_record(record, shared.clock.now())
            await inspect.refuse(frame, InvalidCause.BAD_MESSAGE, f"{error.code}: {error}", record.value)

        async def on_gap(partition: int, first_missing: int, next_offset: int) -> None:
            account = inspect.account_of_unknown()
            await shared.announcer.announce_gap(partition, first_missing, next_offset, account)

        loop = ConsumerLoop(
            settings.kafka,
            FRAMES,
            group=GROUP,
            handle=handle,
            producer=shared.producer,
            health=lifecycle.health,
            max_in_flight=settings.deciding.concurrency,
            retry_seconds=settings.deciding.retry_seconds,
            on_bad=on_bad,
            on_gap=on_gap,
        )
        await loop.run(lifecycle.stopping)
