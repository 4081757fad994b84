"""The outbox: a change of state and its announcement commit together or not at all.

``add`` writes the announcement, already encoded, within the caller's transaction. :class:`Relay` publishes what is
committed, in id order per shard (16 shards, by key), and removes rows after the broker's acknowledgement. A crash in
between publishes a record twice, with the same event id; it never loses one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from vigia_contracts.events import Event, Record, encode
from vigia_contracts.topics import Topic
from vigia_runtime import metrics
from vigia_runtime.errors import LimitExceeded, Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.logging import get_logger
from vigia_runtime.outbox_wakeup import Wakeup
from vigia_runtime.postgres import transient

log = get_logger(__name__)

SHARDS = 16
POLL_SECONDS = 0.1
BATCH = 200
#: Key and framing of a record, generously.
OVERHEAD_BYTES = 2048
#: Back-off of one shard whose records the broker does not take, seconds.
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 60.0


def outbox_table(metadata: MetaData, schema: str) -> Table:
    """The outbox of a schema, for the service's tables and for Alembic (``metadata.create_all`` or autogenerate)."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("shard", SmallInteger, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=True),
        Column("headers", JSONB, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("outbox_shard_id", "shard", "id"),
        schema=schema,
    )


def channel(schema: str) -> str:
    """The NOTIFY channel that wakes the relay of a schema."""
    return f"vigia_outbox_{schema}"


def shard_of(key: bytes) -> int:
    """The shard of a key; stable over processes and versions."""
    return zlib.crc32(key) % SHARDS


class Outbox:
    """Writes announcements of one schema within the caller's transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, connection: AsyncConnection | AsyncSession, topic: Topic, event: Event) -> None:
        """Announce ``event`` when the transaction commits.

        ContractError where the topic does not carry it, LimitExceeded where the topic does not take its size.
        """
        await self._insert(connection, topic, encode(topic, event))

    async def add_tombstone(self, connection: AsyncConnection | AsyncSession, topic: Topic, key: str) -> None:
        """Announce that ``key`` of a compacted topic is gone."""
        await self._insert(connection, topic, Record(key=key.encode(), value=None, headers=[]))

    async def _insert(self, connection: AsyncConnection | AsyncSession, topic: Topic, record: Record) -> None:
        if record.key is None:
            raise ValueError("an announcement needs a key")
        size = sum(len(name) + len(value) for name, value in record.headers) + len(record.value or b"")
        if size + OVERHEAD_BYTES > topic.max_message_bytes:
            raise LimitExceeded("announcement_too_large", f"{topic.name} does not take {size} bytes", {"bytes": size})
        await connection.execute(
            insert(self._table).values(
                shard=shard_of(record.key),
                topic=topic.name,
                key=record.key,
                value=record.value,
                headers=[[name, value.decode()] for name, value in record.headers],
            )
        )
        await connection.execute(select(func.pg_notify(channel(self._table.schema or "public"), "")))


@dataclass(slots=True)
class _Shard:
    number: int
    backoff: float = 0.0
    not_before: float = 0.0


class Relay:
    """Publishes the outbox of one schema. Several may run: a shard belongs to whoever holds its advisory lock."""

    def __init__(self, engine: AsyncEngine, producer: Producer, table: Table, *, health: Health) -> None:
        self._engine = engine
        self._producer = producer
        self._table = table
        self._schema = table.schema or "public"
        self._health = health
        self._shards = [_Shard(number) for number in range(SHARDS)]

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until ``stopping`` is set. An outage of broker or database is waited out."""
        beat = self._health.heartbeat("outbox relay", 60)
        async with Wakeup(self._engine, channel(self._schema)) as wakeup:
            while not stopping.is_set():
                beat.tick()
                try:
                    await self._round()
                except Exception as error:
                    if not transient(error):
                        raise
                    log.warning("outbox waits for Postgres", error=type(error).__name__)
                    await wakeup.wait(stopping, 1.0)
                    continue
                await wakeup.wait(stopping, POLL_SECONDS)
        self._health.forget(beat.name)

    async def drain(self) -> int:
        """Publish what is committed now; the number published. For the end of a process and for tests."""
        return sum([await self._shard(shard) for shard in self._shards])

    async def _round(self) -> None:
        async with self._engine.connect() as connection:
            rows = (
                await connection.execute(
                    select(
                        self._table.c.shard,
                        func.count(),
                        func.extract("epoch", func.clock_timestamp() - func.min(self._table.c.created_at)),
                    ).group_by(self._table.c.shard)
                )
            ).all()
        metrics.OUTBOX_PENDING.labels(self._schema).set(sum(row[1] for row in rows))
        metrics.OUTBOX_AGE.labels(self._schema).set(max((float(row[2]) for row in rows), default=0.0))
        now = asyncio.get_running_loop().time()
        due = [self._shards[row[0]] for row in rows if self._shards[row[0]].not_before <= now]
        for shard in due:
            await self._patiently(shard)

    async def _patiently(self, shard: _Shard) -> None:
        try:
            await self._shard(shard)
            shard.backoff = 0.0
        except Transient as error:
            shard.backoff = min(LONGEST_BACKOFF, max(FIRST_BACKOFF, shard.backoff * 2))
            shard.not_before = asyncio.get_running_loop().time() + shard.backoff
            log.warning("outbox waits for Kafka", shard=shard.number, seconds=shard.backoff, detail=error.detail)

    async def _shard(self, shard: _Shard) -> int:
        """Publish one batch of a shard under its lock; rows are deleted in the same transaction, after the acks."""
        table = self._table
        async with self._engine.begin() as connection:
            locked = await connection.scalar(
                text("select pg_try_advisory_xact_lock(hashtext(:name), :shard)"),
                {"name": channel(self._schema), "shard": shard.number},
            )
            if not locked:
                return 0
            rows = (
                await connection.execute(
                    select(table).where(table.c.shard == shard.number).order_by(table.c.id).limit(BATCH)
                )
            ).all()
            sent: list[int] = []
            try:
                for row in rows:
                    await self._publish(row)
                    sent.append(row.id)
            except Transient:
                if not sent:
                    raise
            if sent:
                await self._remove(connection, sent)
        return len(sent)

    async def _publish(self, row: Any) -> None:
        headers: Sequence[tuple[str, bytes]] = [(name, value.encode()) for name, value in row.headers]
        # BadMessage is not handled: what was too large was refused by ``add``, so the topic is not as its contract
        # says. That ends the process, loudly; to drop the record would lose an announcement.
        await self._producer.send_raw(row.topic, row.key, row.value, headers)
        metrics.OUTBOX_PUBLISHED.labels(self._schema, row.topic).inc()

    async def _remove(self, connection: AsyncConnection, ids: list[int]) -> None:
        await connection.execute(delete(self._table).where(self._table.c.id.in_(ids)))
