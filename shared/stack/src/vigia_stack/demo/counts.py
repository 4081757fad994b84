"""The same inspections counted in three places that know nothing of each other."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from vigia_contracts.topics import INSPECTIONS


@dataclass(frozen=True, slots=True)
class Counts:
    """Inspections ever made: records on the topic, rows, and the sum of the counters."""

    kafka: int
    postgres: int
    prometheus: int

    def since(self, before: Counts) -> Counts:
        """What has come since ``before``."""
        return Counts(self.kafka - before.kafka, self.postgres - before.postgres, self.prometheus - before.prometheus)

    @property
    def agree(self) -> bool:
        """Whether all three are the same."""
        return self.kafka == self.postgres == self.prometheus


@dataclass(frozen=True, slots=True)
class Counters:
    """Where to count: Kafka's bootstrap address, Postgres's and Prometheus's URLs."""

    kafka: str
    postgres: str
    prometheus: str

    async def read(self) -> Counts:
        """All three now."""
        return Counts(await self._offsets(), self._rows(), self._counter())

    async def settled(self, within: float = 30.0) -> Counts:
        """As soon as Prometheus has seen what Postgres has; after ``within`` seconds whatever there is."""
        deadline = time.monotonic() + within
        while True:
            counts = await self.read()
            if counts.prometheus == counts.postgres or time.monotonic() > deadline:
                return counts

    async def _offsets(self) -> int:
        async with AIOKafkaConsumer(bootstrap_servers=self.kafka) as consumer:
            partitions = [TopicPartition(INSPECTIONS.name, n) for n in range(INSPECTIONS.partitions)]
            return sum((await consumer.end_offsets(partitions)).values())

    def _rows(self) -> int:
        with psycopg.connect(self.postgres, connect_timeout=5) as connection:
            row = connection.execute("select count(*) from inspection.inspections").fetchone()
        assert row is not None
        return int(row[0])

    def _counter(self) -> int:
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query",
            params={"query": "sum(vigia_inspections_total)"},
            timeout=5,
            trust_env=False,
        )
        answer.raise_for_status()
        result = answer.json()["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0
