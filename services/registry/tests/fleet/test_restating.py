"""The compacted topics are put right: after Kafka lost them, and wherever they differ from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import delete

from vigia_contracts.cameras import PushSource
from vigia_contracts.topics import CAMERAS, DEPLOYMENTS, TRAINING_EVENTS, dead_topic
from vigia_registry import restating, schema
from vigia_registry.bootstrap import Deps
from vigia_registry.cameras import service as cameras
from vigia_registry.cameras.domain import CameraSpec
from vigia_registry.entrypoints import worker
from vigia_registry.hosting import announcements, repository, service
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.tables import announcements as announced
from vigia_registry.hosting.versions import Change
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import schema as jobs
from vigia_registry.settings import AnnouncementSettings
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.table import read_once
from vigia_runtime.kafka.topics import ensure_topics, topic_name
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.outbox import Relay
from vigia_runtime.settings import KafkaSettings

OWNER = Owner("123456789012", "us-east-1")
TOPICS = (CAMERAS, DEPLOYMENTS)


@dataclass
class Plant:
    """A registry's database and a broker, its relay run by the test."""

    fleet: Any
    deps: Deps
    producer: Producer

    async def camera(self, camera_id: str, **spec: Any) -> None:
        async with self.deps.database.transaction() as session:
            await cameras.put(session, OWNER, camera_id, CameraSpec(source=PushSource(), **spec))

    async def serve(self, number: int) -> UUID:
        """A version as it is once every Triton answers for it."""
        version: UUID = await self.fleet.version(number)
        async with self.deps.database.transaction() as session:
            await service.request_start(session, version, 1)
            _, targets = await repository.targets(session, "vigia")
            [target] = [target for target in targets if target.hosting.id == version]
            assert await repository.record(session, target, Change(Observed.SERVING))
            await announcements.refresh_project(session, target.project_id)
        return version

    async def publish(self) -> int:
        """Publish what is announced; how much it was."""
        return await Relay(self.deps.database.engine, self.producer, schema.outbox, health=Health("test")).drain()

    async def held(self) -> dict[str, dict[str, Any]]:
        """What the topics hold."""
        return {
            topic.name: await read_once(self.deps.settings.kafka, topic, "test", asyncio.Event()) for topic in TOPICS
        }

    async def restate(self) -> int:
        return await restating.restate(self.deps, asyncio.Event())

    @asynccontextmanager
    async def lost(self) -> AsyncIterator[Plant]:
        """The same database with a broker that has nothing."""
        kafka = self.deps.settings.kafka.model_copy(update={"topic_prefix": f"t{uuid4().hex[:10]}."})
        await ensure_topics(kafka, TOPICS)
        async with Producer(kafka, "test") as producer:
            deps = replace(self.deps, settings=self.deps.settings.model_copy(update={"kafka": kafka}))
            yield Plant(self.fleet, deps, producer)


@pytest.fixture
async def plant(fleet: Any, kafka: str, topic_prefix: str) -> AsyncIterator[Plant]:
    """Two serving versions, a camera that each judges, one that nothing judges; everything published."""
    settings = KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix)
    await ensure_topics(settings, (*TOPICS, TRAINING_EVENTS, dead_topic(TRAINING_EVENTS)))
    async with Producer(settings, "test") as producer:
        deps = replace(fleet.deps, settings=fleet.deps.settings.model_copy(update={"kafka": settings}))
        made = Plant(fleet, deps, producer)
        await made.serve(1)
        await made.serve(2)
        await made.camera("oven-1", project="cookies")
        await made.camera("oven-2", project="cookies", model_version=1)
        await made.camera("idle")
        assert await made.publish() == 7
        yield made


def contents(held: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is said, without what only says when."""
    return {
        topic: {
            key: record.model_dump(exclude={"revision", "changed_at"}, mode="json") for key, record in records.items()
        }
        for topic, records in held.items()
    }


async def test_what_kafka_lost_is_announced_once(plant: Plant) -> None:
    before = await plant.held()
    assert {topic: len(records) for topic, records in before.items()} == {"cameras": 3, "deployments": 4}
    assert await plant.restate() == 0
    async with plant.lost() as anew:
        assert await anew.restate() == 7
        assert await anew.publish() == 7
        after = await anew.held()
        assert contents(after) == contents(before)
        # Whoever still knows what was said before must not take the new word for an older one.
        assert all(
            after[topic][key].revision >= record.revision for topic in before for key, record in before[topic].items()
        )
        assert await anew.restate() == 0
        assert await anew.publish() == 0


async def test_what_has_no_owner_goes_and_what_is_old_is_said_again(plant: Plant) -> None:
    held = await plant.held()
    async with plant.lost() as anew:
        await anew.restate()
        await anew.publish()
        await plant.camera("ghost", project="cookies", model_version=1)
        ghosts = await plant.fleet.take(CAMERAS), await plant.fleet.take(DEPLOYMENTS)
        for topic, [(key, event)] in zip(TOPICS, ghosts, strict=True):
            await anew.producer.send(topic, event)
            assert key == "ghost"
        # A version that is no more, and a camera that is gone but is still said to be judged.
        [(_, judged)] = ghosts[1]
        arn = held["deployments"]["oven-1"].model_arn
        await anew.producer.send(DEPLOYMENTS, replace(judged, key=arn + "7", subject=arn + "7"))
        async with anew.deps.database.transaction() as session:
            await cameras.remove(session, OWNER, "ghost")
        # An announcement that was lost on its way.
        await anew.camera("idle", station="exit")
        for topic in TOPICS:
            await plant.fleet.take(topic)
        assert await anew.restate() == 4
        assert await anew.publish() == 4
        after = await anew.held()
        assert contents(after)["deployments"] == contents(held)["deployments"]
        assert set(after["cameras"]) == {"oven-1", "oven-2", "idle"}
        assert after["cameras"]["idle"].station == "exit"
        assert await anew.restate() == 0


async def test_serving_but_believed_unannounced(plant: Plant) -> None:
    """A record on the topic that the database has no memory of is replaced by what serves, not removed."""
    before = await plant.held()
    async with plant.deps.database.transaction() as session:
        await session.execute(delete(announced).where(announced.c.key == "oven-1"))
    assert await plant.restate() == 1
    await plant.publish()
    assert contents(await plant.held()) == contents(before)
    assert await plant.restate() == 0


async def test_what_is_on_its_way_is_not_announced_twice(plant: Plant) -> None:
    await plant.camera("new", project="cookies")
    async with plant.deps.database.transaction() as session:
        await cameras.remove(session, OWNER, "oven-1")
    assert await plant.restate() == 0
    await plant.publish()
    assert await plant.restate() == 0


async def test_one_worker_does_it(plant: Plant) -> None:
    async with plant.lost() as anew:
        async with anew.deps.database.transaction() as session:
            assert await restating.mine(session)
            assert await anew.restate() == 0
        assert await anew.restate() == 7


async def test_the_worker_does_it_at_its_start_and_ever_after(
    plant: Plant, eventually: Callable[..., Awaitable[Any]]
) -> None:
    kafka = plant.deps.settings.kafka
    await asyncio.to_thread(jobs.apply, plant.deps.settings.postgres.url.get_secret_value())
    settings = plant.deps.settings.model_copy(update={"announcements": AnnouncementSettings(check_seconds=1)})
    await forget(kafka)
    assert await plant.held() == {"cameras": {}, "deployments": {}}

    async def complete() -> bool:
        return {topic: len(records) for topic, records in (await plant.held()).items()} == {
            "cameras": 3,
            "deployments": 4,
        }

    life = Lifecycle("registry", Health("registry"))
    running = asyncio.create_task(life.supervise(lambda life: worker.main(life, settings)))
    try:
        await eventually(complete)
        await forget(kafka)
        await eventually(complete)
    finally:
        life.stop()
        assert await running == 0


async def forget(settings: KafkaSettings) -> None:
    """What is left of a broker that lost its disk, once the topics are made again."""
    names = [topic_name(settings, topic) for topic in TOPICS]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(names)
        async with asyncio.timeout(30):
            while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110  the condition is the broker's
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await ensure_topics(settings, TOPICS)
