"""Producing and topics, on a real broker."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from hypothesis import given
from hypothesis import strategies as st
from runtime_kafka_help import TOPIC, frame, make, read_all

from vigia_contracts.events import ContractError, decode
from vigia_contracts.topics import CAMERAS, TOPICS
from vigia_runtime.errors import BadMessage, Transient
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics, topic_name
from vigia_runtime.settings import KafkaSettings


async def test_what_is_sent_is_there_when_send_returns(settings: KafkaSettings, producer: Producer) -> None:
    await make(settings)
    await asyncio.gather(*[producer.send(TOPIC, frame(number, data=bytes([number]))) for number in range(100)])
    records = await read_all(settings, "frames")
    events = [decode(TOPIC, key=r.key, value=r.value, headers=r.headers, timestamp_ms=r.timestamp) for r in records]
    assert {event.id for event in events} == {str(number) for number in range(100)}
    partitions: dict[str | None, set[int]] = {}
    for event, record in zip(events, records, strict=True):
        partitions.setdefault(event.key, set()).add(record.partition)
    assert all(len(found) == 1 for found in partitions.values())


@given(st.binary(min_size=1, max_size=40))
def test_keys_land_where_a_java_client_puts_them(key: bytes) -> None:
    from aiokafka.producer.producer import _DEFAULT_PARTITIONER

    def murmur2(data: bytes) -> int:
        m, mask = 0x5BD1E995, 0xFFFFFFFF
        h = (0x9747B28C ^ len(data)) & mask
        whole = len(data) // 4 * 4
        for i in range(0, whole, 4):
            k = int.from_bytes(data[i : i + 4], "little") * m & mask
            h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
        if tail := data[whole:]:
            h = (h ^ int.from_bytes(tail, "little")) * m & mask
        h = (h ^ h >> 13) * m & mask
        return h ^ h >> 15

    assert _DEFAULT_PARTITIONER(key, list(range(6)), list(range(6))) == (murmur2(key) & 0x7FFFFFFF) % 6


async def test_large_frames_pass_and_larger_ones_are_refused_for_good(
    settings: KafkaSettings, producer: Producer
) -> None:
    await make(settings)
    await producer.send(TOPIC, frame(1, data=b"x" * 1_000_000))
    for size in (1_200_000, 5_000_000):
        with pytest.raises(BadMessage) as caught:
            await producer.send(TOPIC, frame(2, data=b"x" * size))
        assert caught.value.code == "too_large"
    assert len(await read_all(settings, "frames")) == 1


async def test_a_record_that_the_broker_refuses_does_not_spoil_those_after_it(
    settings: KafkaSettings, producer: Producer
) -> None:
    narrow = replace(TOPIC, partitions=1, max_message_bytes=50_000)
    await make(settings, narrow)

    async def send(number: int, size: int) -> bool:
        try:
            await producer.send(TOPIC, frame(number, data=b"x" * size))
        except Transient:
            return False
        return True

    # Together, so that good records travel between and after the refused ones.
    sizes = {number: 300_000 if number % 5 == 3 else 10 for number in range(25)}
    done: set[int] = set()
    async with asyncio.timeout(30):
        for _ in range(10):
            left = [number for number in sizes if number not in done]
            results = await asyncio.gather(*[send(number, sizes[number]) for number in left])
            done |= {number for number, good in zip(left, results, strict=True) if good}
            if len(done) == 20:
                break
    assert done == {number for number, size in sizes.items() if size == 10}
    await producer.send(TOPIC, frame(99))
    with pytest.raises(Transient):
        await producer.send(TOPIC, frame(3, data=b"x" * 300_000))
    await producer.send(TOPIC, frame(100))
    ids = {dict(record.headers)["ce_id"] for record in await read_all(settings, "frames")}
    assert ids == {str(number).encode() for number in done | {99, 100}}


async def test_a_wrong_event_never_reaches_the_broker(producer: Producer) -> None:
    with pytest.raises(ContractError):
        await producer.send(CAMERAS, frame(1))


async def test_no_broker_is_transient_within_the_bound() -> None:
    nowhere = Producer(KafkaSettings(bootstrap="127.0.0.1:9"), "test", send_seconds=1)
    async with asyncio.timeout(10):
        with pytest.raises(Transient):
            await nowhere.start()


async def test_a_missing_topic_is_transient_within_the_bound(settings: KafkaSettings) -> None:
    async with Producer(settings, "test", send_seconds=1) as producer, asyncio.timeout(10):
        with pytest.raises(Transient):
            await producer.send(TOPIC, frame(1))


async def test_topics_are_created_as_the_contracts_say_and_brought_back_to_it(settings: KafkaSettings) -> None:
    created = await ensure_topics(settings)
    assert sorted(created) == sorted(settings.topic_prefix + name for name in TOPICS)
    assert await ensure_topics(settings) == []
    more = replace(CAMERAS, partitions=8, max_message_bytes=2_000_000)
    assert await ensure_topics(settings, [more]) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        name = topic_name(settings, CAMERAS)
        [described] = await admin.describe_topics([name])
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    finally:
        await admin.close()
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert len(described["partitions"]) == 8
    assert config["max.message.bytes"] == "2000000"
    assert config["cleanup.policy"] == "compact"


async def test_several_may_create_at_once(settings: KafkaSettings) -> None:
    await asyncio.gather(*[ensure_topics(settings) for _ in range(4)])
    assert await ensure_topics(settings) == []
