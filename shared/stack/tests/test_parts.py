"""The parts really answer."""

from __future__ import annotations

import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from vigia_stack.parts.objects import ObjectStoreAddress


async def test_kafka_fixture_is_a_broker(kafka: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        assert len(producer.client.cluster.brokers()) == 1
    finally:
        await producer.stop()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, turn: int) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table only_here (turn int)")
        connection.execute("insert into only_here values (%s)", [turn])


def test_object_store_keeps_versions(object_store: ObjectStoreAddress) -> None:
    client = object_store.client()
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket="versions", Key="a/b", Body=b"1")["VersionId"]
    client.put_object(Bucket="versions", Key="a/b", Body=b"2")
    assert client.get_object(Bucket="versions", Key="a/b", VersionId=first)["Body"].read() == b"1"
