"""The outbox: a change of state and its announcement commit together or not at all.

``add`` writes the announcement, already encoded, within the caller's transaction. :class:`Relay` publishes what is
committed, in id order per shard (16 shards, by key), and removes rows after the broker's acknowledgement. A crash in
between publishes a record twice, with the same event id; it never loses one.
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import Callable, Sequence
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
    exists,
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
#: Between two looks into the outbox while something is there, and while nothing is: then a notification comes first.
POLL_SECONDS = 0.1
IDLE_SECONDS = 1.0
BATCH = 200
#: So many times as long as counting what waits takes, it is not counted again.
_SPARSELY = 20.0
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


class Backlog:
    """How many announcements wait: ``size``, as last looked up.

    Counting reads every row that waits. So it takes a twentieth of the time at most, however many they are, and is not
    repeated within ``least_seconds``. ``clock`` gives seconds that never go back.
    """

    def __init__(
        self, table: Table, *, least_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = table
        self._least = least_seconds
        self._clock = clock
        self._due = -math.inf
        self.size = 0

    async def refresh(self, connection: AsyncConnection | AsyncSession, most: int | None = None) -> None:
        """Look up ``size``, if that is due. With ``most`` it is exact only from there on, and never more.

        Below, it may be too large: then the ids alone say that fewer than ``most`` wait, and nothing is counted.
        """
        began = self._clock()
        if began < self._due:
            return
        self._due = began + 1.0  # others that come meanwhile do not count too
        size = await self._span(connection)
        if most is None or size >= most:
            rows = select(self._table.c.id).limit(most).subquery()
            size = int(await connection.scalar(select(func.count()).select_from(rows)) or 0)
        self.size = size
        ended = self._clock()
        self._due = ended + max(self._least, _SPARSELY * (ended - began))

    async def _span(self, connection: AsyncConnection | AsyncSession) -> int:
        ids = self._table.c.id
        return int(await connection.scalar(select(func.coalesce(func.max(ids) - func.min(ids) + 1, 0))) or 0)


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
        self._backlog = Backlog(table)
        # By index alone, however much waits. Which shards have rows, and how old the first row is, seconds:
        shard = func.generate_series(0, SHARDS - 1).column_valued("shard")
        self._waiting = select(shard).where(exists().where(table.c.shard == shard))
        age = func.extract("epoch", func.clock_timestamp() - table.c.created_at)
        self._oldest = select(age).order_by(table.c.id).limit(1)

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until ``stopping`` is set. An outage of broker or database is waited out."""
        beat = self._health.heartbeat("outbox relay", 60)
        async with Wakeup(self._engine, channel(self._schema)) as wakeup:
            while not stopping.is_set():
                beat.tick()
                try:
                    pending = await self._round()
                except Exception as error:
                    if not transient(error):
                        raise
                    log.warning("outbox waits for Postgres", error=type(error).__name__)
                    await wakeup.wait(stopping, 1.0)
                    continue
                await wakeup.wait(stopping, POLL_SECONDS if pending else IDLE_SECONDS)
        self._health.forget(beat.name)

    async def drain(self) -> int:
        """Publish what is committed now; the number published. For the end of a process and for tests."""
        return sum([await self._shard(shard) for shard in self._shards])

    async def _round(self) -> bool:
        """Publish a batch of every shard that is due; whether anything was there."""
        async with self._engine.connect() as connection:
            await self._backlog.refresh(connection)
            oldest = await connection.scalar(self._oldest)
            waiting = (await connection.execute(self._waiting)).scalars().all()
        metrics.OUTBOX_PENDING.labels(self._schema).set(self._backlog.size)
        metrics.OUTBOX_AGE.labels(self._schema).set(float(oldest or 0.0))
        now = asyncio.get_running_loop().time()
        for shard in [self._shards[number] for number in waiting if self._shards[number].not_before <= now]:
            await self._patiently(shard)
        return bool(waiting)

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
