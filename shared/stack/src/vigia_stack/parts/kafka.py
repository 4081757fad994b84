"""Kafka: one process that is broker and controller (KRaft), on loopback."""

from __future__ import annotations

import asyncio
import shutil
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.kafka import Kafka, kafka


class KafkaPart(Part):
    """Ready when it answers a metadata request with one broker."""

    grace: ClassVar[float] = 30.0

    def __init__(self, site: Site) -> None:
        super().__init__(site, "kafka", ports=("kafka", "kafka-controller"))
        self._files: Kafka | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port('kafka')}"

    def prepare(self) -> None:
        self._files = kafka()
        data = self.site.data("kafka")
        if not (data / "meta.properties").exists():
            partial = data.with_name("kafka.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self._files.formatted, partial)
            partial.rename(data)
        text = self._files.settings(data, self.port("kafka"), self.port("kafka-controller"))
        self.site.conf("kafka.properties").write_text(text)

    def command(self) -> Command:
        assert self._files is not None, "prepare() comes first"
        return Command(self._files.argv(self.site.conf("kafka.properties")), plain_environment())

    def check(self) -> None:
        try:
            asyncio.run(self._metadata())
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotReady(str(error)) from error

    def address(self) -> str:
        return self.bootstrap

    async def _metadata(self) -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
        try:
            await client.start()
            cluster = await client.describe_cluster()
            if len(cluster["brokers"]) != 1:
                raise NotReady("no broker in the metadata")
        finally:
            await client.close()
