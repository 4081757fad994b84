"""Sends what can never be stored to the dead topic: original key, bytes and headers, with the error in headers."""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka import ConsumerRecord

from vigia_aggregator.domain.records import Refused
from vigia_contracts.topics import Topic
from vigia_runtime.kafka.dead import Failure, bury
from vigia_runtime.kafka.producer import Producer


class DeadTopic:
    """Writes dead letters as the runtime's consumer loop does, so that tools see one form of them."""

    def __init__(self, producer: Producer, group: str) -> None:
        self._producer = producer
        self._group = group

    async def bury(self, topic: Topic, refused: Refused) -> None:
        """Durable on return; raises Transient while the broker does not answer."""
        record = refused.record
        consumed = ConsumerRecord(
            topic=topic.name,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp_ms,
            timestamp_type=0,
            key=record.key,
            value=record.value,
            checksum=None,
            serialized_key_size=len(record.key or b""),
            serialized_value_size=len(record.value or b""),
            headers=[(name, value) for name, value in record.headers if value is not None],
        )
        failure = Failure(refused.code, refused.detail, datetime.now(UTC))
        await bury(self._producer, consumed, topic, failure, group=self._group, service="aggregator")
