"""Where the parts are put together. Nothing else knows which adapter stands behind a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vigia_contracts.cameras import Camera
from vigia_contracts.deployments import Deployment
from vigia_contracts.topics import CAMERAS, DEPLOYMENTS
from vigia_detection.adapters.store import StoredEvidence, StoredImages
from vigia_detection.adapters.stream import KafkaAnnouncer
from vigia_detection.adapters.triton import TritonServers
from vigia_detection.adapters.vision import VisionThreads
from vigia_detection.app.ask import Asker
from vigia_detection.app.clock import SystemClock
from vigia_detection.app.detect import DetectAnomalies, Patience
from vigia_detection.app.inspect import InspectFrame, Policy
from vigia_detection.app.judge import Judge
from vigia_detection.app.labels import DetectCustomLabels, LabelPolicy
from vigia_detection.app.record import Recorder
from vigia_detection.settings import Settings
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.table import CompactedTable
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.objects import ObjectStore
from vigia_vision.decode import DEFAULT_LIMITS, Limits

#: How long a process waits for the compacted topics at its start before it gives up and is started again.
_TABLES_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What both doors share, started."""

    producer: Producer
    deployments: CompactedTable[Deployment]
    announcer: KafkaAnnouncer
    store: ObjectStore
    vision: VisionThreads
    asker: Asker
    judge: Judge
    recorder: Recorder
    clock: SystemClock


@asynccontextmanager
async def parts(settings: Settings, lifecycle: Lifecycle) -> AsyncIterator[Parts]:
    """Start what both doors share and stop it at the end. Returns once ``deployments`` has been read."""
    deciding = settings.deciding
    clock = SystemClock()
    store = ObjectStore(settings.objects)
    vision = VisionThreads(deciding.vision_threads)
    models = TritonServers(settings.triton.urls)
    producer = Producer(settings.kafka, "vigia-detection")
    deployments: CompactedTable[Deployment] = CompactedTable(settings.kafka, DEPLOYMENTS, health=lifecycle.health)

    try:
        await producer.start()
        lifecycle.health.probe("kafka", producer.probe)
        lifecycle.health.probe("model servers", models.probe)
        lifecycle.health.probe("evidence bucket", lambda: store.probe(settings.buckets.evidence))
        lifecycle.health.probe("deployments", deployments.probe, every_seconds=1)
        lifecycle.spawn("deployments", deployments.run(lifecycle.stopping))
        await deployments.wait_ready(_TABLES_SECONDS)
        announcer = KafkaAnnouncer(producer)
        asker = Asker(models, vision, clock)
        yield Parts(
            producer=producer,
            deployments=deployments,
            announcer=announcer,
            store=store,
            vision=vision,
            asker=asker,
            judge=Judge(asker, vision),
            recorder=Recorder(
                StoredEvidence(store, settings.buckets.evidence),
                announcer,
                retry_seconds=deciding.retry_seconds,
                max_evidence_bytes=DEFAULT_LIMITS.max_bytes,
            ),
            clock=clock,
        )
    finally:
        await producer.stop()
        await models.close()
        vision.close()


async def frame_inspector(settings: Settings, lifecycle: Lifecycle, shared: Parts) -> InspectFrame:
    """The worker's use case, once ``cameras`` has been read."""
    cameras: CompactedTable[Camera] = CompactedTable(settings.kafka, CAMERAS, health=lifecycle.health)
    lifecycle.health.probe("cameras", cameras.probe, every_seconds=1)
    lifecycle.spawn("cameras", cameras.run(lifecycle.stopping))
    await cameras.wait_ready(_TABLES_SECONDS)
    return InspectFrame(
        cameras=cameras,
        deployments=shared.deployments,
        frames=StoredImages(shared.store, DEFAULT_LIMITS.max_bytes),
        judge=shared.judge,
        recorder=shared.recorder,
        clock=shared.clock,
        policy=Policy(account_id=settings.deciding.account_id, frames_bucket=settings.buckets.frames),
    )


def detector(settings: Settings, shared: Parts) -> DetectAnomalies:
    """The use case of a request for a verdict."""
    deciding = settings.deciding
    return DetectAnomalies(
        deployments=shared.deployments,
        judge=shared.judge,
        recorder=shared.recorder,
        clock=shared.clock,
        patience=Patience(
            announce_seconds=deciding.announce_seconds,
            budget_seconds=deciding.request_seconds,
            pass_share=deciding.api_pass_evidence_share,
        ),
    )


def label_detector(settings: Settings, shared: Parts) -> DetectCustomLabels:
    """The use case of a request for labels."""
    deciding, bounds = settings.deciding, settings.labels
    # The larger of both bounds on bytes: each door, and the store's reader, keeps its own.
    most = max(bounds.max_image_bytes, bounds.max_stored_bytes)
    return DetectCustomLabels(
        deployments=shared.deployments,
        asker=shared.asker,
        vision=shared.vision,
        images=StoredImages(shared.store, bounds.max_stored_bytes),
        clock=shared.clock,
        policy=LabelPolicy(
            announce_seconds=deciding.announce_seconds,
            budget_seconds=deciding.request_seconds,
            limits=Limits(
                max_bytes=most, max_side=bounds.max_side, min_side=bounds.min_side, max_aspect=bounds.max_aspect
            ),
        ),
    )
