"""Topics on the cluster, made from the contracts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code

from vigia_contracts.topics import TOPICS, Topic
from vigia_runtime.errors import Transient
from vigia_runtime.kafka.client import connection, prefixed
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import KafkaSettings

log = get_logger(__name__)

#: A change may take a moment to be known to the broker that clients ask.
VISIBLE_SECONDS = 30


def topic_name(settings: KafkaSettings, topic: Topic | str) -> str:
    """The topic's name on the cluster, prefix included."""
    return prefixed(settings, topic if isinstance(topic, str) else topic.name)


async def ensure_topics(
    settings: KafkaSettings, topics: Iterable[Topic] = TOPICS.values(), replication: int = 1
) -> list[str]:
    """Create the topics that are missing; bring the configuration of the others up to the contracts'.

    Partitions are added where there are too few, never taken away. Returns the names created. Safe to run from
    several processes at once. Transient when the cluster does not answer.
    """
    wanted = {topic_name(settings, topic): topic for topic in topics}
    admin = AIOKafkaAdminClient(**connection(settings, "vigia-topics"))
    try:
        await admin.start()
        try:
            return await _ensure(admin, wanted, replication)
        finally:
            await admin.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise Transient(f"topics cannot be created: {type(error).__name__}: {error}") from error


async def _ensure(admin: AIOKafkaAdminClient, wanted: dict[str, Topic], replication: int) -> list[str]:
    present = set(await admin.list_topics())
    missing = [name for name in wanted if name not in present]
    if missing:
        response = await admin.create_topics(
            [
                NewTopic(
                    name=name,
                    num_partitions=wanted[name].partitions,
                    replication_factor=replication,
                    topic_configs=wanted[name].config(),
                )
                for name in missing
            ]
        )
        for name, code, *_ in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"{name}: {code}")
        await _visible(admin, missing)
        log.info("topics created", topics=missing)
    present_now = [name for name in wanted if name in present]
    if present_now:
        await _raise_partitions(admin, {name: wanted[name] for name in present_now})
        await _raise_config(admin, {name: wanted[name] for name in present_now})
    return missing


async def _visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    async with asyncio.timeout(VISIBLE_SECONDS):
        while not set(names) <= set(await admin.list_topics()):  # noqa: ASYNC110  the condition is the broker's
            await asyncio.sleep(0.05)


async def _raise_partitions(admin: AIOKafkaAdminClient, topics: dict[str, Topic]) -> None:
    few = await _too_few(admin, topics)
    if not few:
        return
    log.warning("topics have too few partitions", topics=few)
    # Another process doing the same is told that they are there already; what counts is that they are.
    with contextlib.suppress(InvalidPartitionsError):
        await admin.create_partitions({name: NewPartitions(topics[name].partitions) for name in few})
    async with asyncio.timeout(VISIBLE_SECONDS):
        while await _too_few(admin, topics):  # noqa: ASYNC110  the condition is the broker's
            await asyncio.sleep(0.05)


async def _too_few(admin: AIOKafkaAdminClient, topics: dict[str, Topic]) -> list[str]:
    described = await admin.describe_topics(list(topics))
    return [row["topic"] for row in described if len(row["partitions"]) < topics[row["topic"]].partitions]


async def _raise_config(admin: AIOKafkaAdminClient, topics: dict[str, Topic]) -> None:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    drifted = []
    for answer in answers:
        for _, _, _, name, entries, *_ in answer.resources:
            values: dict[str, Any] = {entry[0]: entry[1] for entry in entries}
            contract = topics[name].config()
            if any(values.get(key) != value for key, value in contract.items()):
                log.warning("topic's configuration drifted", topic=name)
                # The request replaces all of a topic's own settings: those made by others are kept.
                own = {entry[0]: entry[1] for entry in entries if len(entry) > 3 and entry[3] == _SET_ON_TOPIC}
                drifted.append(ConfigResource(ConfigResourceType.TOPIC, name, {**own, **contract}))
    if drifted:
        for answer in await admin.alter_configs(drifted):
            for code, message, _, name, *_ in answer.resources:
                if code:
                    raise for_code(code)(f"{name}: {message}")


#: ConfigSource.DYNAMIC_TOPIC_CONFIG of the protocol.
_SET_ON_TOPIC = 1
