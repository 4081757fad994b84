"""Kafka records to frames, outcomes to Kafka events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from vigia_contracts.events import Event
from vigia_contracts.faults import FAULT_RECORDED, Fault, FaultKind
from vigia_contracts.frames import inspection_id
from vigia_contracts.inspections import INSPECTION_DECIDED, Inspection, Origin
from vigia_contracts.topics import AUDIT, FAULTS, FRAMES, INSPECTIONS
from vigia_detection.domain.frame import Frame, bad_message_id, camera_name, capture_time, gap_id
from vigia_runtime.kafka.consumer import Delivery
from vigia_runtime.kafka.producer import Producer

_SOURCE: Final = "vigia/detection"
_PART: Final = "partid"
_TRACE: Final = ("traceparent", "tracestate")
_UNKNOWN: Final = "unknown"


def frame_of(delivery: Delivery, received_at: datetime) -> Frame:
    """The frame in a record of ``frames``. Its camera is the key, else the event's subject."""
    event = delivery.event
    arrived = _time(delivery.timestamp_ms)
    captured_at, possible = capture_time(event.time if event.time_stated else None, arrived)
    return Frame(
        inspection_id=inspection_id(event.source, event.id),
        frame_id=event.id,
        source=event.source,
        origin=Origin.CAMERA,
        camera_id=camera_name(event.key, event.subject),
        part_id=event.extensions.get(_PART),
        captured_at=captured_at,
        received_at=received_at,
        time_possible=possible,
        queue_seconds=max(0.0, (received_at - arrived).total_seconds()),
    )


def trace_of(event: Event) -> dict[str, str]:
    """The trace context (W3C) that travels with a frame, to be passed on."""
    return {name: event.extensions[name] for name in _TRACE if name in event.extensions}


def frame_of_bad_record(record: Any, received_at: datetime) -> Frame:
    """A frame for a record of ``frames`` whose headers do not say what it is: its place is its identity."""
    arrived = _time(record.timestamp)
    key = record.key.decode(errors="replace") if record.key is not None else None
    return Frame(
        inspection_id=bad_message_id(FRAMES.name, record.partition, record.offset),
        frame_id=f"{record.partition}/{record.offset}",
        source=f"kafka/{FRAMES.name}",
        origin=Origin.CAMERA,
        camera_id=camera_name(key),
        part_id=None,
        captured_at=arrived,
        received_at=received_at,
        queue_seconds=max(0.0, (received_at - arrived).total_seconds()),
    )


class KafkaAnnouncer:
    """Publishes outcomes. The event's id is the inspection's, so a repeat is the same event."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def announce(
        self, inspection: Inspection, key: str | None, trace: Mapping[str, str], call: Event | None = None
    ) -> None:
        """Publish an inspection and the record of its call; returns when all replicas have both. Transient."""
        event = Event(
            type=INSPECTION_DECIDED,
            source=_SOURCE,
            id=str(inspection.inspection_id),
            time=inspection.decided_at,
            data=inspection,
            key=key or _UNKNOWN,
            subject=inspection.camera_id,
            extensions=trace,
        )
        if call is None:
            await self._producer.send(INSPECTIONS, event)
            return
        both = (self._producer.send(INSPECTIONS, event), self._producer.send(AUDIT, call))
        # Both are waited for, whatever becomes of the other: a repeat must not overtake one still under way.
        for result in await asyncio.gather(*both, return_exceptions=True):
            if result is not None:
                raise result

    async def announce_call(self, call: Event) -> None:
        """Publish the record of a call that led to no inspection; returns when all replicas have it. Transient."""
        await self._producer.send(AUDIT, call)

    async def announce_gap(self, partition: int, first_missing: int, next_offset: int, account_id: str) -> None:
        """Publish that frames left ``partition`` unread. The same gap is the same fault however often it is found.

        Whose frames they were went with them: a partition carries several cameras. Transient.
        """
        now = datetime.now(UTC)
        lost = f"offsets {first_missing} to {next_offset - 1} of partition {partition}"
        fault = Fault(
            fault_id=gap_id(FRAMES.name, partition, first_missing),
            kind=FaultKind.EXPIRED,
            cause="retention",
            account_id=account_id,
            camera_id=f"{FRAMES.name}-{partition}",
            started_at=now,
            ended_at=now,
            count=next_offset - first_missing,
            detail=f"{lost} expired before they were read",
        )
        await self._producer.send(
            FAULTS,
            Event(
                type=FAULT_RECORDED,
                source=_SOURCE,
                id=f"{fault.fault_id}/{next_offset}",
                time=now,
                data=fault,
                key=fault.camera_id,
            ),
        )


def _time(timestamp_ms: int) -> datetime:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
