"""The worker: training jobs from Kafka, one at a time."""

from __future__ import annotations

import asyncio
import os
import platform
import time
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, NoReturn

from vigia_contracts.events import Event
from vigia_contracts.topics import TRAINING_EVENTS, TRAINING_JOBS
from vigia_contracts.training import (
    TRAINING_COMPLETED,
    TRAINING_FAILED,
    TRAINING_PROGRESSED,
    TRAINING_STARTED,
    TrainingCompleted,
    TrainingFailed,
    TrainingProgress,
    TrainingRequest,
    TrainingStarted,
)
from vigia_runtime import metrics
from vigia_runtime.kafka.consumer import ConsumerLoop, Delivery
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.lifecycle import Lifecycle, run
from vigia_runtime.logging import get_logger
from vigia_runtime.objects import ObjectStore
from vigia_training.adapters.child import ChildTrainer
from vigia_training.adapters.records import ObjectRecords
from vigia_training.app.job import Announcement, Jobs
from vigia_training.settings import Settings

SERVICE = "training"
GROUP = "training"

log = get_logger(__name__)

_TYPES: dict[type[Announcement], str] = {
    TrainingStarted: TRAINING_STARTED,
    TrainingProgress: TRAINING_PROGRESSED,
    TrainingCompleted: TRAINING_COMPLETED,
    TrainingFailed: TRAINING_FAILED,
}


def work(settings: Settings) -> NoReturn:
    """Runs the worker until it is told to stop."""
    run(lambda lifecycle: _work(lifecycle, settings), service=SERVICE, settings=settings)


async def _work(lifecycle: Lifecycle, settings: Settings) -> None:
    async with Producer(settings.kafka, SERVICE) as producer:

        async def publish(announcement: Announcement) -> None:
            await producer.send(TRAINING_EVENTS, _event(announcement))

        jobs = Jobs(
            records=ObjectRecords(ObjectStore(settings.objects)),
            trainer=ChildTrainer(settings.learning.processes),
            publish=publish,
            worker=f"{platform.node()}:{os.getpid()}",
            max_attempts=settings.max_attempts,
        )

        async def handle(delivery: Delivery) -> None:
            request = delivery.event.data
            assert isinstance(request, TrainingRequest)
            await _until_stopped(_timed(jobs, request), lifecycle.stopping)

        lifecycle.health.probe("kafka", producer.probe)
        loop = ConsumerLoop(
            settings.kafka,
            TRAINING_JOBS,
            group=GROUP,
            handle=handle,
            producer=producer,
            health=lifecycle.health,
            max_in_flight=1,
        )
        await loop.run(lifecycle.stopping)


async def _timed(jobs: Jobs, request: TrainingRequest) -> None:
    started = time.monotonic()
    log.info("training", model_arn=request.model_arn)
    with metrics.TRAINING_RUNNING.track_inprogress():
        outcome = await jobs.run(request)
    seconds = time.monotonic() - started
    end = "completed" if isinstance(outcome, TrainingCompleted) else "failed"
    metrics.TRAINING_JOBS.labels(end).inc()
    metrics.TRAINING_SECONDS.observe(seconds)
    log.info("training ended", model_arn=request.model_arn, end=end, seconds=round(seconds, 1))


async def _until_stopped(job: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Runs ``job``, and cancels it when the process is told to stop: it takes longer than a stop may, and comes again.

    The cancellation is passed on, so the record is not committed.
    """
    work = asyncio.ensure_future(job)
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
    work.result()


def _event(announcement: Announcement) -> Event:
    return Event(
        type=_TYPES[type(announcement)],
        source="vigia/training",
        id=str(uuid.uuid4()),
        time=datetime.now(UTC),
        data=announcement,
        key=announcement.model_arn,
        subject=announcement.model_arn,
    )
