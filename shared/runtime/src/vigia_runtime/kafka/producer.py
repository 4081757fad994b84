"""Producing: a send returns when all replicas in sync have the record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, ProducerClosed, RecordTooLargeError

from vigia_contracts.events import Event, encode
from vigia_contracts.topics import TOPICS, Topic
from vigia_runtime import metrics
from vigia_runtime.errors import BadMessage, Transient
from vigia_runtime.kafka.client import MAX_RECORD_BYTES, connection, is_transient, prefixed
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

#: A send that is not acknowledged within this many seconds raises Transient.
SEND_SECONDS = 20.0

#: What waits while a partition's former batch is on its way goes together, up to this; far below any topic's bound.
MAX_BATCH_BYTES = 256 * 1024

Headers = Sequence[tuple[str, bytes]]


class Producer:
    """An idempotent producer, acks=all, partitioned by murmur2 of the key as every Kafka client of Java's family.

    Safe to share among tasks. A broker that goes away and comes back within the bound is not noticed by callers.
    """

    def __init__(self, settings: KafkaSettings, client_id: str, *, send_seconds: float = SEND_SECONDS) -> None:
        self._settings = settings
        self._client_id = client_id
        self._bound = send_seconds
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; Transient when no broker answers."""
        self._producer = await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connection(self._settings, self._client_id),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
        )
        try:
            async with asyncio.timeout(self._bound):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            raise Transient(f"no Kafka broker answers: {type(error).__name__}") from error
        return producer

    async def stop(self) -> None:
        """Send what is buffered, within the bound, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._stopped(producer)
        if self._retiring:
            await asyncio.wait(set(self._retiring))

    async def _stopped(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(self._bound):
                await producer.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("producer did not stop in order", error=type(error).__name__)

    async def __aenter__(self) -> Producer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def send(self, topic: Topic, event: Event) -> None:
        """Publish ``event``; returns once it is durable. ContractError if the topic does not carry it; Transient."""
        record = encode(topic, event)
        await self.send_raw(topic.name, record.key, record.value, record.headers)

    async def tombstone(self, topic: Topic, key: str) -> None:
        """Delete ``key`` from a compacted topic."""
        await self.send_raw(topic.name, key.encode(), None, [])

    async def send_raw(self, name: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Publish bytes to the topic called ``name`` (prefix added here).

        Transient when it is not acknowledged in time (it may still arrive: a repeat must have no second effect);
        BadMessage when the record is larger than its topic's contract allows. A broker that takes less than that is
        a fault outside: its refusal hits every record of the batch, so none of them can be blamed.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("the producer is not started")
        topic = TOPICS.get(name)
        if topic is not None and _size(key, value, headers) > topic.max_message_bytes:
            raise self._too_large(name, value)
        try:
            async with asyncio.timeout(self._bound):
                await self._acknowledged(producer, prefixed(self._settings, name), key, value, headers)
        except (KafkaError, OSError, TimeoutError) as error:
            metrics.PRODUCE_FAILURES.labels(name).inc()
            if _breaks(error):
                await self._replace(producer)
            if isinstance(error, RecordTooLargeError):
                raise self._too_large(name, value) from error
            if isinstance(error, KafkaError) and not is_transient(error):
                raise
            raise Transient(f"{name}: not acknowledged: {type(error).__name__}") from error
        metrics.PRODUCED.labels(name).inc()

    @staticmethod
    async def _acknowledged(
        producer: AIOKafkaProducer, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        future: Any = await producer.send(topic, value=value, key=key, headers=list(headers))
        # Shielded: a caller's cancellation must not cancel a batch that other senders share.
        await asyncio.shield(future)

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        """Go on with a new producer id; whoever comes first replaces."""
        async with self._replacing:
            if self._producer is not broken:
                return
            log.warning("producer replaced", client_id=self._client_id)
            self._producer = await self._connected()
        task = asyncio.create_task(self._stopped(broken), name="retire producer")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    @staticmethod
    def _too_large(name: str, value: bytes | None) -> BadMessage:
        return BadMessage("too_large", f"{name} does not take a record of {len(value or b'')} bytes")

    async def probe(self) -> None:
        """Readiness: the cluster's metadata can be read."""
        if self._producer is None:
            raise Transient("the producer is not started")
        try:
            await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            raise Transient(f"no Kafka broker answers: {type(error).__name__}") from error


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The size of a batch with this one record, rounded up."""
    framing = 128 + sum(len(name) + len(content) + 12 for name, content in headers)
    return len(key or b"") + len(value or b"") + framing


def _breaks(error: Exception) -> bool:
    """Whether the producer is of no more use.

    A batch that the broker refuses leaves a hole in the idempotent sequence, and every later batch of that partition
    is refused too; aiokafka never begins a new sequence by itself.
    """
    return (
        isinstance(error, KafkaError)
        and not error.retriable
        and not isinstance(error, RecordTooLargeError | KafkaTimeoutError | ProducerClosed)
    )
