"""Cameras by partition: the group gives this replica partitions of `cameras`, and with them their cameras.

The topic is compacted and small, so an assigned partition is read from its beginning each time; nothing is committed.
Records of one camera that lie in the log behind each other are not played through: what is there at the assignment is
read first, then applied at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from vigia_contracts.cameras import Camera
from vigia_contracts.events import ContractError, decode
from vigia_contracts.topics import CAMERAS
from vigia_ingestion.app.supervisor import Supervisor
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.client import connection, prefixed
from vigia_runtime.kafka.topics import topic_name
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

GROUP = "vigia-ingestion"
_UNKNOWN = sys.maxsize
POLL_MS = 500
#: A replica that vanishes is noticed after this; one that stops in order hands over at once.
SESSION_MS = 10_000


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Feeds a supervisor from the partitions of `cameras` that this replica owns."""

    def __init__(self, settings: KafkaSettings, supervisor: Supervisor, health: Health) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._beat = health.heartbeat("cameras", 60)
        self._consumer: Any = None
        #: Partitions still being read up to what was there when they were assigned: end offset, records by camera.
        self._catching_up: dict[int, tuple[int, dict[str, Camera | None]]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the assignment until ``stopping``; Transient when Kafka cannot be reached at the start."""
        consumer = AIOKafkaConsumer(
            **connection(self._settings, "vigia-ingestion-cameras"),
            group_id=prefixed(self._settings, GROUP),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=2_000,
        )
        self._consumer = consumer
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise Transient(f"no Kafka broker answers: {type(error).__name__}") from error
        try:
            consumer.subscribe([topic_name(self._settings, CAMERAS)], listener=self)
            while not stopping.is_set():
                self._beat.tick()
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=500)
                for place, records in batches.items():
                    for record in records:
                        await self._record(place, record)
                await self._caught_up()
        finally:
            await self._supervisor.close()
            await consumer.stop()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by the client: these are ours now."""
        places = list(assigned)
        if not places:
            return
        self._catching_up.update({place.partition: (_UNKNOWN, {}) for place in places})
        await self._consumer.seek_to_beginning(*places)
        ends = await self._consumer.end_offsets(places)
        for place, end in ends.items():
            if place.partition in self._catching_up:
                self._catching_up[place.partition] = (end, self._catching_up[place.partition][1])
        log.info("partitions assigned", partitions=sorted(place.partition for place in places))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by the client before others get them: our cameras of these partitions stop first."""
        partitions = {place.partition for place in revoked}
        for partition in partitions:
            self._catching_up.pop(partition, None)
        await self._supervisor.release(partitions)

    async def _record(self, place: TopicPartition, record: Any) -> None:
        camera_id = record.key.decode(errors="replace") if record.key is not None else ""
        camera: Camera | None = None
        if record.value is not None:
            try:
                event = decode(
                    CAMERAS, key=record.key, value=record.value, headers=record.headers, timestamp_ms=record.timestamp
                )
            except ContractError as error:
                # The camera stays as it was: a broken announcement is no reason to stop looking.
                log.error("camera record breaks the contract", camera=camera_id, code=error.code)
                return
            if not isinstance(event.data, Camera):
                return
            camera = event.data
        waiting = self._catching_up.get(place.partition)
        if waiting is not None:
            waiting[1][camera_id] = camera
        else:
            await self._supervisor.apply(place.partition, camera_id, camera)

    async def _caught_up(self) -> None:
        """Apply the partitions that have been read up to where they ended when they were assigned."""
        for place in self._consumer.assignment():
            waiting = self._catching_up.get(place.partition)
            if waiting is None or await self._position(place) < waiting[0]:
                continue
            if self._catching_up.pop(place.partition, None) is not None:
                for camera_id, camera in waiting[1].items():
                    await self._supervisor.apply(place.partition, camera_id, camera)

    async def _position(self, place: TopicPartition) -> int:
        """The next offset to be read, -1 while it is not known."""
        try:
            async with asyncio.timeout(1):
                position: int = await self._consumer.position(place)
        except (KafkaError, TimeoutError):  # taken away just now, or the broker is
            return -1
        return position
