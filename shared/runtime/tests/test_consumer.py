"""What the consumer loop promises, on a real broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import pytest
from runtime_kafka_help import (
    TOPIC,
    committed,
    committed_becomes,
    consumer,
    delete_before,
    frame,
    make,
    read_all,
    running,
    until,
)

from vigia_contracts.events import ContractError
from vigia_contracts.topics import dead_topic
from vigia_runtime.errors import BadMessage, Transient
from vigia_runtime.kafka import consumer as consumer_module
from vigia_runtime.kafka.consumer import Delivery
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.settings import KafkaSettings

ONE = replace(TOPIC, partitions=1)


async def produce(producer: Producer, numbers: range, key: str | None = None) -> None:
    await asyncio.gather(*[producer.send(TOPIC, frame(number, key)) for number in numbers])


async def test_everything_is_handled_once_and_committed(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings)
    await produce(producer, range(200))
    seen: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> None:
        seen[delivery.event.id] += 1

    async with running(consumer(settings, producer, handle)) as (task, _):
        await until(lambda: len(seen) == 200)
    await task
    assert set(seen.values()) == {1}
    assert sum((await committed(settings)).values()) == 200

    async with running(consumer(settings, producer, handle)):
        await producer.send(TOPIC, frame(200))
        await until(lambda: len(seen) == 201)
    assert set(seen.values()) == {1}


async def test_in_flight_is_bounded_and_offsets_are_contiguous(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await produce(producer, range(40))
    release = asyncio.Event()
    most = 0
    done: list[int] = []

    async def handle(delivery: Delivery) -> None:
        nonlocal most
        most = max(most, loop.in_flight)
        if delivery.offset == 3:
            await release.wait()
        await asyncio.sleep(0)
        done.append(delivery.offset)

    loop = consumer(settings, producer, handle, ONE, max_in_flight=4)
    async with running(loop) as (task, _):
        await until(lambda: len(done) == 39)
        await committed_becomes(settings, {0: 3})
        release.set()
        await until(lambda: len(done) == 40)
    await task
    assert most == 4
    assert await committed(settings) == {0: 40}


async def test_a_handler_slower_than_the_session_keeps_its_partitions(
    settings: KafkaSettings, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "SESSION_TIMEOUT_MS", 6000)
    monkeypatch.setattr(consumer_module, "HEARTBEAT_INTERVAL_MS", 1000)
    monkeypatch.setattr(consumer_module, "MAX_POLL_INTERVAL_MS", 6000)
    await make(settings, ONE)
    await produce(producer, range(3))
    begun: Counter[int] = Counter()
    done: list[int] = []

    async def handle(delivery: Delivery) -> None:
        begun[delivery.offset] += 1
        if delivery.offset == 0:
            await asyncio.sleep(13)  # longer than session and poll interval together: the length is what is tested
        done.append(delivery.offset)

    async with running(consumer(settings, producer, handle, ONE, max_in_flight=1)) as (task, _):
        await until(lambda: len(done) == 3)
    await task
    assert begun == {0: 1, 1: 1, 2: 1}
    assert await committed(settings) == {0: 3}


async def test_a_bad_message_is_buried_before_its_offset_counts(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await producer.send(ONE, frame(1))
    await producer.send_raw(ONE.name, b"k", b"\xff\x00 not an event", [("x-mine", b"1"), ("x-mine", b"2")])
    seen_bad: list[str] = []
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.event.id)
        raise BadMessage("wrong_shape", "camera rtsp://u:hunter2@cam sent nonsense")

    def on_bad(record: object, error: ContractError) -> None:
        seen_bad.append(error.code)

    async with running(consumer(settings, producer, handle, ONE, on_bad=on_bad)) as (task, _):
        dead = await read_all(settings, dead_topic(ONE).name, least=2)
        await committed_becomes(settings, {0: 2})
    await task
    assert (seen, seen_bad) == (["1"], ["bad_headers"])
    by_offset = {dict(record.headers)["vigia_dead_offset"]: record for record in dead}
    broken = by_offset[b"1"]
    assert (broken.key, broken.value) == (b"k", b"\xff\x00 not an event")
    assert [header for header in broken.headers if header[0] == "x-mine"] == [("x-mine", b"1"), ("x-mine", b"2")]
    headers = {name: value.decode() for name, value in by_offset[b"0"].headers}
    assert by_offset[b"0"].value == b"jpeg"
    assert headers["ce_id"] == "1"
    assert headers["vigia_dead_topic"] == "frames"
    assert headers["vigia_dead_partition"] == "0"
    assert headers["vigia_dead_key"] == "camera-1"
    assert headers["vigia_dead_group"] == "g"
    assert headers["vigia_dead_service"] == "test"
    assert headers["vigia_dead_code"] == "wrong_shape"
    assert "hunter2" not in headers["vigia_dead_detail"]
    assert headers["vigia_dead_attempts"] == "1"
    assert headers["vigia_dead_first_seen"]


async def test_a_fault_outside_is_tried_again(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await produce(producer, range(2))
    attempts: Counter[int] = Counter()

    async def handle(delivery: Delivery) -> None:
        attempts[delivery.offset] += 1
        if delivery.offset == 0 and attempts[0] < 4:
            raise Transient("away")

    async with running(consumer(settings, producer, handle, ONE)) as (task, _):
        await until(lambda: attempts[0] == 4 and attempts[1] == 1)
    await task
    assert await committed(settings) == {0: 2}


async def test_a_fault_outside_that_lasts_ends_the_loop_without_commit(
    settings: KafkaSettings, producer: Producer
) -> None:
    await make(settings, ONE)
    await produce(producer, range(5))

    async def handle(delivery: Delivery) -> None:
        if delivery.offset == 2:
            raise Transient("away")

    async with running(consumer(settings, producer, handle, ONE, retry_seconds=0.5)) as (task, _):
        with pytest.raises(Transient, match="away"):
            await asyncio.wait_for(task, 30)
    assert await committed(settings) == {0: 2}
    assert await read_all(settings, dead_topic(ONE).name) == []


async def test_a_bug_ends_the_loop_without_commit(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await produce(producer, range(5))

    async def handle(delivery: Delivery) -> None:
        if delivery.offset == 2:
            raise ZeroDivisionError

    async with running(consumer(settings, producer, handle, ONE)) as (task, _):
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 30)
    assert await committed(settings) == {0: 2}


async def test_a_dead_topic_that_cannot_be_written_holds_the_offset(
    settings: KafkaSettings, producer: Producer
) -> None:
    await make(settings, ONE)
    await produce(producer, range(3))
    closed = Producer(settings, "burier", send_seconds=0.5)
    await closed.start()

    async def send_raw(*_: object) -> None:
        raise Transient("no broker")

    closed.send_raw = send_raw  # type: ignore[method-assign]

    async def handle(delivery: Delivery) -> None:
        if delivery.offset == 1:
            raise BadMessage("bad", "bad")

    async with running(consumer(settings, closed, handle, ONE, retry_seconds=0.5)) as (task, _):
        with pytest.raises(Transient):
            await asyncio.wait_for(task, 30)
    await closed.stop()
    assert await committed(settings) == {0: 1}


async def test_stopping_finishes_what_is_in_flight(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await produce(producer, range(3))
    begun = asyncio.Event()
    release = asyncio.Event()
    done: list[int] = []

    async def handle(delivery: Delivery) -> None:
        begun.set()
        await release.wait()
        done.append(delivery.offset)

    async with running(consumer(settings, producer, handle, ONE, max_in_flight=2)) as (task, stopping):
        async with asyncio.timeout(30):
            await begun.wait()
        stopping.set()
        asyncio.get_running_loop().call_later(0.5, release.set)
        await asyncio.wait_for(task, 30)
    assert await committed(settings) == {0: len(done)}
    assert 1 <= len(done) <= 2


async def test_what_exceeds_the_drain_comes_again(
    settings: KafkaSettings, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "DRAIN_SECONDS", 0.3)
    await make(settings, ONE)
    await produce(producer, range(1))
    begun = asyncio.Event()
    cancelled = False

    async def handle(delivery: Delivery) -> None:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async with running(consumer(settings, producer, handle, ONE)) as (task, stopping):
        async with asyncio.timeout(30):
            await begun.wait()
        stopping.set()
        await asyncio.wait_for(task, 30)
    assert cancelled
    assert await committed(settings) == {}


async def test_records_that_left_before_the_start_are_reported(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    await produce(producer, range(4))
    seen: list[int] = []
    gaps: list[tuple[int, int, int]] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.offset)

    async def on_gap(partition: int, first_missing: int, next_offset: int) -> None:
        gaps.append((partition, first_missing, next_offset))

    async with running(consumer(settings, producer, handle, ONE, on_gap=on_gap)) as (task, _):
        await until(lambda: len(seen) == 4)
    await task
    await produce(producer, range(6))
    await delete_before(settings, 0, 7)
    async with running(consumer(settings, producer, handle, ONE, on_gap=on_gap)) as (task, _):
        await until(lambda: len(seen) == 7)
    await task
    assert seen == [0, 1, 2, 3, 7, 8, 9]
    assert gaps == [(0, 4, 7)]


async def test_records_that_leave_while_reading_are_reported(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings, ONE)
    # Large, so that the client cannot have fetched ahead what is deleted below.
    big = b"x" * 900_000
    for number in range(12):
        await producer.send(ONE, frame(number, data=big))
    release = asyncio.Event()
    seen: list[int] = []
    gaps: list[tuple[int, int, int]] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.offset)
        if delivery.offset == 0:
            await release.wait()

    async def on_gap(partition: int, first_missing: int, next_offset: int) -> None:
        gaps.append((partition, first_missing, next_offset))

    async with running(consumer(settings, producer, handle, ONE, on_gap=on_gap, max_in_flight=1)) as (task, _):
        await until(lambda: seen == [0])
        await delete_before(settings, 0, 10)
        release.set()
        await until(lambda: 11 in seen)
        await committed_becomes(settings, {0: 12})
    await task
    assert len(gaps) == 1
    partition, first, after = gaps[0]
    assert (partition, after) == (0, 10)
    assert first == seen[-3] + 1
    assert len(seen) + (after - first) == 12


async def test_members_share_and_take_over_without_loss(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings)
    seen: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> None:
        await asyncio.sleep(0.01)
        seen[delivery.event.id] += 1

    async def feed() -> None:
        for number in range(400):
            await producer.send(TOPIC, frame(number, key=f"k{number}"))
            await asyncio.sleep(0.005)

    feeding = asyncio.create_task(feed())
    async with running(consumer(settings, producer, handle)) as (first, _):
        await until(lambda: len(seen) > 50)
        async with running(consumer(settings, producer, handle)) as (second, _):
            await feeding
            await until(lambda: len(seen) == 400)
        await second
        # What the second had in flight and could not commit any more comes again, to the first.
        async with asyncio.timeout(30):
            while sum((await committed(settings)).values()) < 400:  # noqa: ASYNC110  the condition is the broker's
                await asyncio.sleep(0.1)
    await first
    assert sum((await committed(settings)).values()) == 400
    # Rebalances happen twice; what was in flight continues where its partition stays, so repeats are few.
    assert sum(seen.values()) - 400 <= 64


async def test_long_work_goes_on_when_others_join(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings)
    await producer.send(TOPIC, frame(0, key="a"))
    begun: Counter[str] = Counter()
    cancelled: list[str] = []
    finished: list[str] = []
    release = asyncio.Event()

    def handler(name: str) -> object:
        async def handle(delivery: Delivery) -> None:
            begun[delivery.event.id] += 1
            try:
                await release.wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
            finished.append(name)

        return handle

    async with running(consumer(settings, producer, handler("first"), max_in_flight=1)) as (first, _):  # type: ignore[arg-type]
        await until(lambda: begun["0"] == 1)
        other = consumer(settings, producer, handler("second"), max_in_flight=1)  # type: ignore[arg-type]
        async with running(other) as (second, _):
            # Whoever has the partition now has it alone: it either went on where it was or was dropped and begun anew.
            await until(lambda: other.assigned is not None and len(other.assigned) == 1)
            await until(lambda: begun["0"] == 1 + len(cancelled))
            release.set()
            await until(lambda: bool(finished))
        await second
    await first
    assert begun["0"] == 1 + len(cancelled)
    assert len(finished) == 1
    assert sum((await committed(settings)).values()) == 1


async def test_a_missing_topic_is_waited_for_then_said(settings: KafkaSettings, producer: Producer) -> None:
    async def handle(delivery: Delivery) -> None:
        raise AssertionError

    async with running(consumer(settings, producer, handle, retry_seconds=1)) as (task, _):
        with pytest.raises(Transient, match="no topic"):
            await asyncio.wait_for(task, 30)


async def test_throughput_is_not_lost_in_the_loop(settings: KafkaSettings, producer: Producer) -> None:
    """Not a benchmark: a floor far below what is measured, against an accidental sleep per record."""
    await make(settings)
    await produce(producer, range(2000))
    count = 0

    async def handle(delivery: Delivery) -> None:
        nonlocal count
        count += 1

    async with running(consumer(settings, producer, handle)):
        await until(lambda: count > 0)
        began = time.monotonic()
        await until(lambda: count == 2000)
        assert time.monotonic() - began < 10
