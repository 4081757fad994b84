"""``vigia-aggregator worker``: inspections, faults, cameras, calls and usage from Kafka into Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.exposition import Exposition, RollupCollector
from vigia_aggregator.adapters.stream import Stream
from vigia_aggregator.adapters.trimmer import Trimmer
from vigia_aggregator.app.upkeep import Keep, upkeep
from vigia_aggregator.bootstrap import Readers, make_readers
from vigia_aggregator.domain.lag import Progress
from vigia_aggregator.settings import RetentionSettings, WorkerSettings
from vigia_contracts.topics import AUDIT, CAMERAS, FAULTS, INSPECTIONS, USAGE, dead_topic
from vigia_runtime import metrics
from vigia_runtime.errors import Transient
from vigia_runtime.health import Heartbeat
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.logging import get_logger
from vigia_runtime.postgres import create_engine

log = get_logger(__name__)

_TOPICS = (INSPECTIONS, FAULTS, CAMERAS, AUDIT, USAGE)
_UPKEEP_SECONDS = 600.0
#: Records wait and nothing is finished for this long: not live. Longer than a batch may be retried.
_STALL_MARGIN_SECONDS = 60.0


async def work(lifecycle: Lifecycle, settings: WorkerSettings) -> None:
    """Run until ``lifecycle.stopping``. A failure that lasts ends the process with exit 1 and without a commit."""
    # Faust tells of its every step at INFO; what an operator needs of it comes as warnings.
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    engine = create_engine(settings.postgres)
    stream: Stream | None = None
    # Before anything is awaited: a process without probes would count as ready.
    lifecycle.health.probe("postgres", lambda: _select(engine))
    lifecycle.health.probe("group", lambda: _joined(stream), every_seconds=1)
    collector = RollupCollector()
    REGISTRY.register(collector)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        producer = Producer(settings.kafka, "vigia-aggregator")
        await _available(settings, producer)
        stack.push_async_callback(producer.stop)

        failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def on_failure(error: BaseException) -> None:
            if not failed.done():
                failed.set_result(error)

        readers = make_readers(engine, producer, settings)
        stream = Stream(settings.kafka, readers.all, on_failure)
        lifecycle.spawn("exposition", Exposition(engine, collector).run(lifecycle.stopping))
        lifecycle.spawn("upkeep", _keep_up(engine, readers, settings.retention, lifecycle.stopping))
        await stream.start()
        beat = lifecycle.health.heartbeat("agents", 15)
        limit = settings.batch.retry_seconds + _STALL_MARGIN_SECONDS
        lifecycle.spawn("watch", _watch(stream, readers, beat, limit, lifecycle.stopping))
        await _until_stopping(lifecycle, stream, failed)
        # A third of the budget for the batch at hand; the rest is Faust's to commit and to leave the group.
        await stream.stop(lifecycle.remaining() / 3)


async def _available(settings: WorkerSettings, producer: Producer) -> None:
    """Wait, within the retry bound, for the broker; make the topics that are missing."""
    until = time.monotonic() + settings.batch.retry_seconds
    while True:
        try:
            await ensure_topics(settings.kafka, [*_TOPICS, *map(dead_topic, _TOPICS)])
            await producer.start()
            return
        except Transient as error:
            if time.monotonic() > until:
                raise
            log.warning("waiting for kafka", error=error.detail)
            await asyncio.sleep(1)


async def _until_stopping(lifecycle: Lifecycle, stream: Stream, failed: asyncio.Future[BaseException]) -> None:
    stopping = asyncio.create_task(lifecycle.stopping.wait())
    either: set[asyncio.Future[Any]] = {stopping, failed}
    while not stopping.done():
        await asyncio.wait(either, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            log.error("a batch cannot be stored, ending without a commit", exc_info=failed.result())
            _end()
        if stream.failed:
            log.error("the stream stopped by itself")
            _end()


def _end() -> None:
    # Not by an exception: Faust's orderly stop would commit, and its threads would outlive the loop. What was not
    # acknowledged comes again, here or in another worker.
    logging.shutdown()
    os._exit(1)


async def _watch(
    stream: Stream, readers: Readers, beat: Heartbeat, limit_seconds: float, stopping: asyncio.Event
) -> None:
    """Tick as long as records are finished or none wait; publish the lag."""
    progress = Progress(limit_seconds)
    while not stopping.is_set():
        lags: dict[str, int] = stream.lag()
        for topic in _TOPICS:
            name = stream.name_of(topic)
            metrics.CONSUMER_LAG.labels(topic.name, stream.group).set(lags.get(name, 0))
        progress.finished = readers.finished()
        if not progress.stalled(sum(lags.values()), time.monotonic()):
            beat.tick()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 1.0)


async def _keep_up(
    engine: AsyncEngine, readers: Readers, retention: RetentionSettings, stopping: asyncio.Event
) -> None:
    keep = Keep(
        inspections=timedelta(days=retention.days),
        minutes=timedelta(days=retention.minute_days),
        hours=timedelta(days=retention.hour_days),
        calls=timedelta(days=retention.call_days),
    )
    trimmer = Trimmer(engine)
    while not stopping.is_set():
        try:
            went = await upkeep(readers.partitions, readers.call_partitions, trimmer, keep, datetime.now(UTC))
        except (SQLAlchemyError, OSError) as error:
            log.warning("upkeep put off", error=type(error).__name__)
        else:
            if any(went.values()):
                log.info("past retention", **went)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _UPKEEP_SECONDS)


async def _select(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("select 1 from inspection.rollups limit 1"))


async def _joined(stream: Stream | None) -> None:
    if stream is None or not stream.joined:
        raise Transient("the consumer group has not given partitions yet")
