"""Keeps the compacted topics what the database says, also where Kafka has lost them.

Announcements follow changes. What the broker lost, or holds without an owner, no change would ever put right: so what
the topics hold is compared with what was announced, at the worker's start and every few minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.topics import CAMERAS, DEPLOYMENTS, Topic
from vigia_registry import schema
from vigia_registry.bootstrap import Deps
from vigia_registry.cameras import repository as cameras
from vigia_registry.cameras import service as camera_service
from vigia_registry.db import passing_faults
from vigia_registry.hosting import announcements
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.health import Health
from vigia_runtime.kafka.table import read_once
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

#: After a round that broker or database did not answer.
AGAIN_SECONDS: Final = 10.0
#: A round that takes longer hangs: it reads two topics, for a minute each at most, and writes what differs.
_ROUND_SECONDS: Final = 900.0

#: The revisions that should stand on a topic, by key; and how to announce a key again whose revision is still that.
_Revisions = Callable[[AsyncSession], Awaitable[dict[str, int]]]
_Repeat = Callable[[AsyncSession, str, int | None], Awaitable[bool]]
_TOPICS: Final[tuple[tuple[Topic, _Revisions, _Repeat], ...]] = (
    (CAMERAS, cameras.revisions, camera_service.repeat),
    (DEPLOYMENTS, announcements.revisions, announcements.repeat),
)


async def run(deps: Deps, health: Health, stopping: asyncio.Event) -> None:
    """Restate now and every ``ANNOUNCEMENTS__CHECK_SECONDS`` until ``stopping`` is set."""
    every = deps.settings.announcements.check_seconds
    beat = health.heartbeat("restating", every + _ROUND_SECONDS)
    while not stopping.is_set():
        beat.tick()
        pause = every
        try:
            with passing_faults():
                await restate(deps, stopping)
        except Transient as error:
            if not stopping.is_set():
                log.warning("announcements could not be checked", error=str(error))
            pause = min(every, AGAIN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopping.wait()
    health.forget(beat.name)


async def restate(deps: Deps, stopping: asyncio.Event) -> int:
    """Announce what a topic lacks or has outdated, and the end of what nobody owns; the number of keys announced.

    Transient where a topic cannot be read. While another worker does it, nothing is done.
    """
    async with deps.database.transaction() as session:
        if not await mine(session):
            return 0
        return sum([await _restate(deps, stopping, *of_topic) for of_topic in _TOPICS])


async def mine(session: AsyncSession) -> bool:
    """Whether it is ours to do until the transaction ends: two at once would announce everything twice."""
    lock = text("select pg_try_advisory_xact_lock(hashtext('vigia_registry.restating'))")
    return bool((await session.execute(lock)).scalar_one())


async def _restate(deps: Deps, stopping: asyncio.Event, topic: Topic, revisions: _Revisions, repeat: _Repeat) -> int:
    # First what should be, then what is: whatever was announced and is on its way no more, stands on the topic by then.
    async with deps.database.transaction() as session:
        said = await revisions(session)
        underway = await _underway(session, topic)
    held = await read_once(deps.settings.kafka, topic, "registry-restating", stopping)
    stands = {key: record.revision for key, record in held.items()}
    differ = sorted(key for key in (said.keys() | stands.keys()) - underway if said.get(key) != stands.get(key))
    repeated = 0
    for key in differ:
        # One by one: the locks keep out whoever changes that very thing, and for a moment only.
        async with deps.database.transaction() as session:
            repeated += await repeat(session, key, said.get(key))
    if repeated:
        metrics.ANNOUNCED_AGAIN.labels(topic.name).inc(repeated)
        log.warning("topic was not as it should be, announced again", topic=topic.name, keys=repeated, held=len(held))
    return repeated


async def _underway(session: AsyncSession, topic: Topic) -> set[str]:
    """Keys about which something waits in the outbox."""
    rows = await session.execute(select(schema.outbox.c.key).where(schema.outbox.c.topic == topic.name).distinct())
    return {bytes(key).decode() for (key,) in rows}
