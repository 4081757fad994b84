"""Puts the worker's parts together: which handler serves which topic, over which store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.calls import CallStore, UnitStore
from vigia_aggregator.adapters.cameras import CameraStore
from vigia_aggregator.adapters.dead_letters import DeadTopic
from vigia_aggregator.adapters.errors import passes, unstorable
from vigia_aggregator.adapters.faults import FaultStore
from vigia_aggregator.adapters.partitions import CALLS, Partitions
from vigia_aggregator.adapters.store import InspectionStore
from vigia_aggregator.adapters.stream import NAME, Reader
from vigia_aggregator.app.batches import BatchHandler, Outcome
from vigia_aggregator.app.cameras import CameraHandler
from vigia_aggregator.app.patience import Patience
from vigia_aggregator.domain.metrics import KEPT, Resolution
from vigia_aggregator.domain.records import Record, Window
from vigia_aggregator.settings import WorkerSettings
from vigia_contracts.audit import Call
from vigia_contracts.cameras import Camera
from vigia_contracts.faults import Fault
from vigia_contracts.inspections import Inspection
from vigia_contracts.topics import AUDIT, CAMERAS, FAULTS, INSPECTIONS, USAGE, Topic
from vigia_contracts.usage import UnitsMeasured
from vigia_runtime import metrics
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

_RARE_BATCH = 100
#: Longest wait for a batch to fill, for all but inspections: nobody follows these as a line's results are followed, and
#: each topic costs a look this often, also while nothing comes.
_UNHURRIED_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Readers:
    """What the worker reads. ``finished`` counts records that are done, of all topics."""

    all: Sequence[Reader]
    partitions: Partitions
    call_partitions: Partitions
    finished: Callable[[], int]


def make_readers(engine: AsyncEngine, producer: Producer, settings: WorkerSettings) -> Readers:
    """Handlers for everything that is read, over ``engine``; dead letters go through ``producer``."""
    partitions = Partitions(engine)
    store = InspectionStore(engine, partitions)
    window = Window(timedelta(days=settings.retention.days), timedelta(hours=settings.retention.future_hours))
    call_partitions = Partitions(engine, CALLS)
    call_window = Window(timedelta(days=settings.retention.call_days), window.future)
    # A minute's row says that its measurement was counted: before it is deleted, none older is taken.
    unit_window = Window(KEPT[Resolution.MINUTE] - timedelta(days=1), window.future)
    cameras = CameraStore(engine)
    group = f"{settings.kafka.topic_prefix}{NAME}"
    dead = DeadTopic(producer, group)
    done = [0]

    def patience(topic: Topic) -> Patience:
        def on_retry(what: str, error: BaseException) -> None:
            metrics.CONSUMER_RETRIES.labels(topic.name, group).inc()
            log.warning("trying again", what=what, topic=topic.name, error=type(error).__name__)

        return Patience(passes, settings.batch.retry_seconds, on_retry)

    def reader(
        topic: Topic,
        handle: Callable[[Sequence[Record]], Awaitable[Outcome[Any, Any]]],
        size: int,
        on_stored: Callable[[Outcome[Any, Any]], None] | None = None,
        within_seconds: float = _UNHURRIED_SECONDS,
    ) -> Reader:
        async def handle_and_count(records: Sequence[Record]) -> None:
            outcome = await handle(records)
            if on_stored is not None:
                on_stored(outcome)
            done[0] += len(records)
            metrics.CONSUMED.labels(topic.name, group, "done").inc(len(records) - len(outcome.refused))
            metrics.CONSUMED.labels(topic.name, group, "dead").inc(len(outcome.refused))

        return Reader(topic, handle_and_count, size, within_seconds)

    async def write_inspections(batch: Sequence[Inspection]) -> set[UUID]:
        began = time.monotonic()
        new = await store.write(batch)
        metrics.STAGE_SECONDS.labels(NAME, "write").observe(time.monotonic() - began)
        return new

    inspections = BatchHandler(
        INSPECTIONS,
        Inspection,
        store=write_inspections,
        dead_letters=dead,
        patience=patience(INSPECTIONS),
        unstorable=unstorable,
        check=window.check,
    )
    faults = BatchHandler(
        FAULTS,
        Fault,
        store=FaultStore(engine).write,
        dead_letters=dead,
        patience=patience(FAULTS),
        unstorable=unstorable,
    )
    camera_records = BatchHandler(
        CAMERAS,
        Camera,
        store=cameras.write,
        dead_letters=dead,
        patience=patience(CAMERAS),
        unstorable=unstorable,
    )
    calls = BatchHandler(
        AUDIT,
        Call,
        store=CallStore(engine, call_partitions).write,
        dead_letters=dead,
        patience=patience(AUDIT),
        unstorable=unstorable,
        check=call_window.check_call,
    )
    units = BatchHandler(
        USAGE,
        UnitsMeasured,
        store=UnitStore(engine).write,
        dead_letters=dead,
        patience=patience(USAGE),
        unstorable=unstorable,
        check=unit_window.check_measurement,
    )
    camera_handler = CameraHandler(camera_records, cameras, patience(CAMERAS))
    return Readers(
        all=(
            reader(INSPECTIONS, inspections.handle, settings.batch.size, _observe, settings.batch.within_seconds),
            reader(FAULTS, faults.handle, _RARE_BATCH),
            reader(CAMERAS, camera_handler.handle, _RARE_BATCH),
            reader(AUDIT, calls.handle, settings.batch.size),
            reader(USAGE, units.handle, _RARE_BATCH),
        ),
        partitions=partitions,
        call_partitions=call_partitions,
        finished=lambda: done[0],
    )


#: The stages of the contract: a label value never comes from a message. Children are looked up once: four of these
#: are observed for every inspection.
_STAGES = {
    stage: metrics.INSPECTION_STAGE_SECONDS.labels(stage)
    for stage in ("queue", "fetch", "decode", "infer", "interpret", "evidence", "total", "store", "capture_to_row")
}


def _observe(outcome: Outcome[Inspection, set[UUID]]) -> None:
    """Stage times and counts of what was new; a record that came again is not observed again."""
    new = set().union(*outcome.results)
    now = datetime.now(UTC)
    written: Counter[tuple[str, str, str]] = Counter()
    for inspection in {inspection.inspection_id: inspection for inspection in outcome.stored}.values():
        if inspection.inspection_id not in new:
            continue
        written[(inspection.line_id or "", inspection.camera_id or "", inspection.verdict.value)] += 1
        for stage, seconds in inspection.timings.items():
            if stage in _STAGES:
                _STAGES[stage].observe(seconds)
        _STAGES["store"].observe(_seconds(inspection.decided_at, now))
        _STAGES["capture_to_row"].observe(_seconds(inspection.captured_at, now))
    for labels, count in written.items():
        metrics.INSPECTIONS_WRITTEN.labels(*labels).inc(count)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
