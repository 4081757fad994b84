"""Committed announcements are published, in order, at least once; the others never are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from runtime_kafka_help import TOPIC, frame, make, read_all
from sqlalchemy import MetaData, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from vigia_contracts.events import ContractError, decode
from vigia_contracts.topics import CAMERAS
from vigia_runtime.errors import LimitExceeded, Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.outbox import SHARDS, Backlog, Outbox, Relay, outbox_table, shard_of
from vigia_runtime.postgres import create_engine
from vigia_runtime.settings import KafkaSettings, PostgresSettings

METADATA = MetaData()
TABLE = outbox_table(METADATA, "registry")
OUTBOX = Outbox(TABLE)


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(PostgresSettings(url=SecretStr(postgres_url)))
    async with engine.begin() as connection:
        await connection.execute(text("create schema registry"))
        await connection.run_sync(METADATA.create_all)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(relay.run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


async def pending(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(TABLE)) or 0)


async def emptied(engine: AsyncEngine, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while await pending(engine):  # noqa: ASYNC110  the condition is the database's
            await asyncio.sleep(0.02)


async def published(settings: KafkaSettings, least: int = 0) -> list[tuple[str | None, str]]:
    """(key, event id) as in the topic, in order within each key."""
    records = await read_all(settings, "frames", least)
    events = [decode(TOPIC, key=r.key, value=r.value, headers=r.headers, timestamp_ms=r.timestamp) for r in records]
    return [(event.key, event.id) for event in events]


def by_key(events: Sequence[tuple[str | None, str]]) -> dict[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for key, identity in events:
        found.setdefault(key, []).append(int(identity))
    return found


async def test_committed_announcements_leave_in_order_and_rolled_back_ones_do_not(
    settings: KafkaSettings, producer: Producer, engine: AsyncEngine
) -> None:
    # Events whose value is text: the outbox belongs to services that announce JSON and references.
    await make(settings)
    async with relaying(Relay(engine, producer, TABLE, health=Health("test"))):
        for number in range(60):
            async with AsyncSession(engine) as session, session.begin():
                await OUTBOX.add(session, TOPIC, frame(number))
        async with engine.connect() as connection:
            await OUTBOX.add(connection, TOPIC, frame(999))
            await connection.rollback()
        await emptied(engine)
    keys = by_key(await published(settings, 60))
    assert sum(map(len, keys.values())) == 60
    assert all(numbers == sorted(numbers) for numbers in keys.values())


async def test_a_commit_wakes_the_relay(settings: KafkaSettings, producer: Producer, engine: AsyncEngine) -> None:
    await make(settings)
    delays = []
    async with relaying(Relay(engine, producer, TABLE, health=Health("test"))):
        for number in range(10):
            async with engine.begin() as connection:
                await OUTBOX.add(connection, TOPIC, frame(number))
            began = time.monotonic()
            await emptied(engine)
            delays.append(time.monotonic() - began)
    assert sorted(delays)[5] < 0.5


async def test_several_relays_keep_the_order_of_every_key(
    settings: KafkaSettings, producer: Producer, engine: AsyncEngine
) -> None:
    await make(settings)
    relays = [Relay(engine, producer, TABLE, health=Health(f"test{n}")) for n in range(3)]
    async with relaying(relays[0]), relaying(relays[1]), relaying(relays[2]):
        for start in range(0, 300, 10):
            async with engine.begin() as connection:
                for number in range(start, start + 10):
                    await OUTBOX.add(connection, TOPIC, frame(number))
        await emptied(engine)
    keys = by_key(await published(settings, 300))
    assert sorted(n for numbers in keys.values() for n in numbers) == list(range(300))
    assert all(numbers == sorted(numbers) for numbers in keys.values())


async def test_a_crash_between_send_and_mark_repeats_and_loses_nothing(
    settings: KafkaSettings, producer: Producer, engine: AsyncEngine
) -> None:
    await make(settings)
    async with engine.begin() as connection:
        for number in range(20):
            await OUTBOX.add(connection, TOPIC, frame(number))

    class KilledError(BaseException):
        pass

    class Dying(Relay):
        async def _remove(self, *_: object) -> None:
            raise KilledError

    with pytest.raises(KilledError):
        await Dying(engine, producer, TABLE, health=Health("test")).drain()
    assert await pending(engine) == 20
    sent_before = len(await published(settings, 1))
    async with relaying(Relay(engine, producer, TABLE, health=Health("test"))):
        await emptied(engine)
    events = await published(settings, 20 + sent_before)
    assert {int(identity) for _, identity in events} == set(range(20))
    assert len(events) == 20 + sent_before  # the same ids again, so that consumers recognise them


async def test_a_shard_that_cannot_be_sent_holds_back_no_other_and_keeps_its_order(
    settings: KafkaSettings, producer: Producer, engine: AsyncEngine
) -> None:
    await make(settings)
    blocked = "camera-0"
    fault = True

    class Flaky(Producer):
        async def send_raw(self, name: str, key: bytes | None, value: bytes | None, headers: object) -> None:
            if fault and key is not None and shard_of(key) == shard_of(blocked.encode()):
                raise Transient("this partition has no leader")
            await super().send_raw(name, key, value, headers)  # type: ignore[arg-type]

    async with Flaky(settings, "flaky") as flaky:
        async with engine.begin() as connection:
            for number in range(70):
                await OUTBOX.add(connection, TOPIC, frame(number))
        same = [n for n in range(7) if shard_of(f"camera-{n}".encode()) == shard_of(blocked.encode())]
        assert len(same) < 7
        async with relaying(Relay(engine, flaky, TABLE, health=Health("test"))):
            async with asyncio.timeout(20):
                while await pending(engine) != 10 * len(same):  # noqa: ASYNC110  the condition is the database's
                    await asyncio.sleep(0.02)
            fault = False
            await emptied(engine)
    keys = by_key(await published(settings, 70))
    assert all(numbers == sorted(numbers) for numbers in keys.values())
    assert sum(map(len, keys.values())) == 70


async def test_what_waits_is_known_and_seldom_counted(engine: AsyncEngine) -> None:
    now = 0.0
    backlog = Backlog(TABLE, least_seconds=1.0, clock=lambda: now)
    async with engine.connect() as connection:
        await backlog.refresh(connection, 5)
        assert backlog.size == 0
        for number in range(9):
            await OUTBOX.add(connection, TOPIC, frame(number))
        await connection.execute(TABLE.delete().where(TABLE.c.id.in_([2, 3, 4, 5, 6])))
        now = 0.9
        await backlog.refresh(connection, 5)
        assert backlog.size == 0
        now = 1.1
        await backlog.refresh(connection, 5)
        assert backlog.size == 4  # the ids alone would allow for nine
        now = 2.2
        await backlog.refresh(connection, 20)
        assert backlog.size == 9  # fewer than may: not counted
        now = 3.3
        await backlog.refresh(connection)
        assert backlog.size == 4
        now = 4.4
        await backlog.refresh(connection, 3)
        assert backlog.size == 3  # counted no further


async def test_counting_takes_a_small_part_of_the_time(engine: AsyncEngine) -> None:
    ticks = iter([0.0, 2.0, 41.9, 42.1, 42.2])  # seconds; counting takes two
    backlog = Backlog(TABLE, clock=lambda: next(ticks))
    async with engine.connect() as connection:
        await backlog.refresh(connection)
        await OUTBOX.add(connection, TOPIC, frame(1))
        await backlog.refresh(connection)
        assert backlog.size == 0
        await backlog.refresh(connection)
        assert backlog.size == 1


async def test_what_waits_is_measured_while_the_broker_is_away(engine: AsyncEngine) -> None:
    class Away(Producer):
        async def send_raw(self, *_: object) -> None:
            raise Transient("no broker")

    def gauge(name: str) -> float:
        return REGISTRY.get_sample_value(f"vigia_outbox_{name}", {"schema": "registry"}) or 0.0

    async with engine.begin() as connection:
        for number in range(30):
            await OUTBOX.add(connection, TOPIC, frame(number))
    away = Away(KafkaSettings(bootstrap="127.0.0.1:1"), "away")
    async with relaying(Relay(engine, away, TABLE, health=Health("test"))), asyncio.timeout(20):
        while gauge("pending_records") != 30 or gauge("oldest_seconds") < 0.5:  # noqa: ASYNC110  the relay's gauges
            await asyncio.sleep(0.02)
    assert await pending(engine) == 30


async def test_tombstones_and_contract(settings: KafkaSettings, producer: Producer, engine: AsyncEngine) -> None:
    await ensure_topics(settings, [CAMERAS])
    async with engine.begin() as connection:
        await OUTBOX.add_tombstone(connection, CAMERAS, "oven-1")
        with pytest.raises(ContractError):
            await OUTBOX.add(connection, CAMERAS, frame(1))
        with pytest.raises(LimitExceeded):
            await OUTBOX.add(connection, TOPIC, frame(1, data=b"x" * TOPIC.max_message_bytes))
    assert await Relay(engine, producer, TABLE, health=Health("test")).drain() == 1
    [record] = await read_all(settings, "cameras", 1)
    assert (record.key, record.value) == (b"oven-1", None)


async def test_the_relay_waits_for_postgres(settings: KafkaSettings, producer: Producer, engine: AsyncEngine) -> None:
    await make(settings)
    async with relaying(Relay(engine, producer, TABLE, health=Health("test"))):
        async with engine.begin() as connection:
            await OUTBOX.add(connection, TOPIC, frame(0))
        await emptied(engine)
        async with engine.connect() as connection:
            await connection.execute(
                text(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
            )
        async with engine.begin() as connection:
            await OUTBOX.add(connection, TOPIC, frame(7))
        await emptied(engine)
    assert by_key(await published(settings, 2)) == {"camera-0": [0, 7]}


def test_shards_are_bounded_and_stable() -> None:
    assert {shard_of(str(n).encode()) for n in range(1000)} == set(range(SHARDS))
    assert shard_of(b"oven-1") == 13
