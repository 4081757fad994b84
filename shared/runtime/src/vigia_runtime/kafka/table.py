"""A compacted topic as a dictionary: the last value of every key, read from the start, kept up to date."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, ItemsView
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from vigia_contracts.base import Payload
from vigia_contracts.events import ContractError, decode
from vigia_contracts.topics import Topic
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.client import MAX_RECORD_BYTES, close, connection, prefixed
from vigia_runtime.logging import get_logger
from vigia_runtime.retry import Budget
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

T = TypeVar("T", bound=Payload)
#: Told of every change after the fact: key, and the new value or None where it was deleted.
OnChange = Callable[[str, Any], Awaitable[None] | None]

POLL_SECONDS = 0.5
#: Without any topic or broker at the start, this long; once read, the table keeps what it has, however long.
START_SECONDS = 60.0


class CompactedTable(Generic[T]):
    """The values of ``topic`` by key. Every process reads all partitions; there is no group and nothing to commit.

    A record that breaks the contract is counted and logged, and the key keeps its value. While the broker is away
    the last known values are served. ``on_change`` is also called for the values read at the start.
    """

    def __init__(
        self, settings: KafkaSettings, topic: Topic, *, health: Health, on_change: OnChange | None = None
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._health = health
        self._on_change = on_change
        self._values: dict[str, T] = {}
        self._ready = asyncio.Event()

    def get(self, key: str) -> T | None:
        """The last value of ``key``."""
        return self._values.get(key)

    def items(self) -> ItemsView[str, T]:
        """All keys and values, as they are now; it changes with the topic."""
        return MappingProxyType(self._values).items()

    @property
    def ready(self) -> bool:
        """Whether everything that was there when the reading began has been read."""
        return self._ready.is_set()

    async def wait_ready(self, timeout: float) -> None:
        """Wait until ready; Transient when it takes longer than ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            raise Transient(f"{self._topic.name} was not read within {timeout:g} s") from None

    async def probe(self) -> None:
        """Readiness: the table has been read."""
        if not self.ready:
            raise Transient(f"{self._topic.name} is not read yet")

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the table up to date until ``stopping`` is set. Transient when it cannot be read at the start."""
        beat = self._health.heartbeat(f"table {self._topic.name}", 60)
        connected = await self._connect(stopping, beat.tick)
        if connected is None:
            return
        consumer, ends = connected
        try:
            while not stopping.is_set():
                beat.tick()
                await self._read(consumer)
                if not self.ready:
                    ends = await self._not_reached(consumer, ends)
                    if not ends:
                        log.info("table read", topic=self._topic.name, keys=len(self._values))
                        self._ready.set()
        finally:
            await close(consumer)
            self._health.forget(beat.name)

    async def _connect(
        self, stopping: asyncio.Event, tick: Callable[[], None]
    ) -> tuple[AIOKafkaConsumer, dict[TopicPartition, int]] | None:
        """A consumer of every partition, and the end offsets as they are now; None where it is time to stop."""
        name = prefixed(self._settings, self._topic.name)
        budget = Budget(START_SECONDS)
        while not stopping.is_set():
            tick()
            consumer = AIOKafkaConsumer(
                **connection(self._settings, self._health.service),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=MAX_RECORD_BYTES,
            )
            try:
                await consumer.start()
                if name in await consumer.topics():
                    # Without a group every partition is ours, also one that is added later.
                    consumer.subscribe([name])
                    while not consumer.assignment() and not stopping.is_set():  # noqa: ASYNC110  aiokafka's state
                        await asyncio.sleep(0.01)
                    return consumer, await consumer.end_offsets(consumer.assignment())
                problem = f"there is no topic {name}"
            except (KafkaError, OSError, TimeoutError) as error:
                problem = f"no Kafka broker answers: {type(error).__name__}"
            await close(consumer)
            if not await budget.pause(stopping):
                raise Transient(problem)
        return None

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            batches = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000))
        except OffsetOutOfRangeError as error:
            # A compacted topic made anew: its first record is the oldest truth there is.
            await consumer.seek_to_beginning(*error.args[0])
            return
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("poll failed", topic=self._topic.name, error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
            return
        for records in batches.values():
            for record in records:
                await self._apply(record)
        if batches:
            metrics.TABLE_KEYS.labels(self._topic.name).set(len(self._values))

    async def _apply(self, record: ConsumerRecord) -> None:
        try:
            key = _key(record)
            value = self._decode(record)
        except ContractError as error:
            metrics.TABLE_REJECTED.labels(self._topic.name, error.code).inc()
            log.warning(
                "record rejected, the former value stays",
                topic=self._topic.name,
                partition=record.partition,
                offset=record.offset,
                code=error.code,
                detail=str(error),
            )
            return
        if value is None:
            if self._values.pop(key, None) is None:
                return
        else:
            self._values[key] = value
        if self._on_change is not None:
            result = self._on_change(key, value)
            if inspect.isawaitable(result):
                await result

    def _decode(self, record: ConsumerRecord) -> T | None:
        if record.value is None:
            return None
        event = decode(
            self._topic,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp,
        )
        return cast(T, event.data)

    @staticmethod
    async def _not_reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {
            partition: end for partition, end in ends.items() if end > 0 and await consumer.position(partition) < end
        }


async def read_once(
    settings: KafkaSettings, topic: Topic, client: str, stopping: asyncio.Event, *, seconds: float = START_SECONDS
) -> dict[str, Any]:
    """What a compacted topic holds now: the values by key. Transient where that is not known within ``seconds``, or
    ``stopping`` is set before."""
    # Health of its own: what is read once is nothing that the process depends on.
    table: CompactedTable[Payload] = CompactedTable(settings, topic, health=Health(client))
    enough = asyncio.Event()
    reading = asyncio.create_task(table.run(enough))
    others = [asyncio.create_task(table.wait_ready(seconds)), asyncio.create_task(stopping.wait())]
    try:
        await asyncio.wait([reading, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Not cancelled: a consumer that is just being made would never be closed.
        enough.set()
        for other in others:
            other.cancel()
        await asyncio.gather(reading, *others, return_exceptions=True)
    if table.ready:
        return dict(table.items())
    try:
        reading.result()
    except KafkaError as error:  # such as that this process may not read the topic
        raise Transient(f"{topic.name} was not read: {type(error).__name__}") from error
    raise Transient(f"{topic.name} was not read")


def _key(record: ConsumerRecord) -> str:
    if record.key is None:
        raise ContractError("bad_key", "a record of a compacted topic needs a key")
    try:
        return bytes(record.key).decode()
    except UnicodeDecodeError as error:
        raise ContractError("bad_key", "the key is not UTF-8") from error
