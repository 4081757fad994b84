"""What must be there before any service starts: Vigia's topics and its own buckets."""

from __future__ import annotations

import asyncio

from vigia_registry.settings import Settings
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.logging import configure, get_logger
from vigia_runtime.objects import ObjectStore

log = get_logger(__name__)


def prepare(settings: Settings, replication: int) -> None:
    """Make what is missing. Transient when Kafka or the object store does not answer."""
    configure("registry", settings.log)
    asyncio.run(_prepare(settings, replication))


async def _prepare(settings: Settings, replication: int) -> None:
    created = await ensure_topics(settings.kafka, replication=replication)
    store = ObjectStore(settings.objects)
    names = settings.buckets
    made = [b for b in (names.artifacts, names.evidence, names.frames, names.datasets) if await store.create_bucket(b)]
    log.info("topics and buckets are there", topics_made=created, buckets_made=made)
