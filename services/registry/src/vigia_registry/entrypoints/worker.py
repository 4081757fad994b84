"""``vigia-registry worker``: jobs, announcements and that they last, and what becomes of trainings."""

from __future__ import annotations

from vigia_contracts.topics import TRAINING_EVENTS
from vigia_registry import restating
from vigia_registry.bootstrap import open_deps
from vigia_registry.db import SCHEMA, passing_faults
from vigia_registry.jobs import worker as jobs
from vigia_registry.models import trainings
from vigia_registry.schema import outbox
from vigia_registry.settings import Settings
from vigia_runtime import metrics
from vigia_runtime.errors import BadMessage
from vigia_runtime.kafka.consumer import ConsumerLoop, Delivery
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.outbox import Relay

GROUP = "registry-trainings"


async def main(life: Lifecycle, settings: Settings) -> None:
    """Run until told to stop."""
    async with open_deps(settings) as deps, Producer(settings.kafka, "registry-worker") as producer:
        life.health.probe("postgres", deps.database.ping)

        async def follow(delivery: Delivery) -> None:
            if isinstance(delivery.event.data, bytes):
                raise BadMessage("bad_data", "a training event has no JSON")
            with passing_faults():
                await trainings.apply(deps.database, delivery.event.data)

        metrics.OUTBOX_LIMIT.labels(SCHEMA).set(settings.audit.max_waiting)
        relay = Relay(deps.database.engine, producer, outbox, health=life.health)
        # In order: what a training says last is what counts.
        events = ConsumerLoop(
            settings.kafka,
            TRAINING_EVENTS,
            group=GROUP,
            handle=follow,
            producer=producer,
            health=life.health,
            max_in_flight=1,
        )
        tasks = [
            life.spawn("outbox relay", relay.run(life.stopping)),
            life.spawn("training events", events.run(life.stopping)),
            life.spawn("restating", restating.run(deps, life.health, life.stopping)),
            life.spawn("jobs", jobs.run(deps, life.health, life.stopping)),
        ]
        for task in tasks:
            await task
