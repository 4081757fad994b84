"""Dead letters: the original bytes, key and headers, and the error in headers of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiokafka import ConsumerRecord

from vigia_contracts.topics import Topic, dead_topic
from vigia_runtime import metrics
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.logging import get_logger
from vigia_runtime.redaction import scrub

log = get_logger(__name__)

PREFIX: Final = "vigia_dead_"
_DETAIL_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record is dead: a stable code, a short detail, since when and after how many attempts."""

    code: str
    detail: str
    first_seen: datetime
    attempts: int = 1


def dead_headers(
    record: ConsumerRecord, topic: Topic, failure: Failure, *, group: str, service: str
) -> list[tuple[str, bytes]]:
    """The headers of a dead letter: the original ones unchanged, then ours (prefix ``vigia_dead_``)."""
    now = datetime.now(UTC)
    ours = {
        "topic": topic.name,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "group": group,
        "service": service,
        "code": failure.code,
        "detail": scrub(failure.detail)[:_DETAIL_CHARACTERS],
        "first_seen": failure.first_seen.isoformat(),
        "dead_at": now.isoformat(),
        "attempts": str(failure.attempts),
    }
    headers = [(name, value) for name, value in record.headers]
    headers += [(PREFIX + name, value.encode()) for name, value in ours.items()]
    # The record's own key is kept as the key; in a header too, since tools that list headers show no keys.
    headers.append((PREFIX + "key", record.key if record.key is not None else b""))
    return headers


async def bury(
    producer: Producer, record: ConsumerRecord, topic: Topic, failure: Failure, *, group: str, service: str
) -> None:
    """Write ``record`` to its dead topic; returns once that is durable. Transient when the broker does not answer."""
    headers = dead_headers(record, topic, failure, group=group, service=service)
    await producer.send_raw(dead_topic(topic).name, record.key, record.value, headers)
    metrics.DEAD_LETTERS.labels(topic.name, failure.code).inc()
    log.warning(
        "dead letter",
        topic=topic.name,
        partition=record.partition,
        offset=record.offset,
        code=failure.code,
        detail=failure.detail,
    )
