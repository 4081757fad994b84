"""One definition per topic. Topics are created from these, documents are written from these, tests read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Literal

from vigia_contracts import audit, cameras, deployments, faults, frames, inspections, reviews, training, usage
from vigia_contracts.base import Payload

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's contract.

    ``events`` maps an event type to its payload; None means that the value is not JSON (an image). ``partitions``
    is chosen once: changing it moves keys. Sizes are bytes.
    """

    name: str
    description: str
    key: str
    events: Mapping[str, type[Payload] | None]
    partitions: int = 6
    cleanup: Literal["delete", "compact"] = "delete"
    retention: timedelta | None = None
    retention_bytes: int | None = None
    max_message_bytes: int = 1024 * 1024
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    dead: bool = False

    def config(self) -> dict[str, str]:
        """The topic's configuration as the broker names it."""
        config = {"cleanup.policy": self.cleanup, "max.message.bytes": str(self.max_message_bytes)}
        if self.retention is not None:
            config["retention.ms"] = str(int(self.retention.total_seconds() * 1000))
        if self.retention_bytes is not None:
            config["retention.bytes"] = str(self.retention_bytes)
            config["segment.bytes"] = str(max(1 << 20, self.retention_bytes // 8))
        if self.cleanup == "compact":
            config["min.cleanable.dirty.ratio"] = "0.1"
            config["segment.ms"] = str(int(timedelta(hours=1).total_seconds() * 1000))
        elif self.retention is not None and self.retention < timedelta(hours=1):
            config["segment.ms"] = str(int(timedelta(minutes=1).total_seconds() * 1000))
        return config


FRAMES = Topic(
    name="frames",
    description="Images as cameras took them: the value is a JPEG or PNG, or a reference to a larger one.",
    key="camera id",
    events=MappingProxyType({frames.FRAME_CAPTURED: None, frames.FRAME_STORED: frames.FrameReference}),
    partitions=6,
    retention=timedelta(minutes=15),
    retention_bytes=2 * 1024**3,
    writers=("ingestion", "any publisher"),
    readers=("detection",),
)
INSPECTIONS = Topic(
    name="inspections",
    description="One outcome per frame: verdict, score, threshold, labels, evidence and timings.",
    key="camera id, or the model ARN for an image that came by the API",
    events=MappingProxyType({inspections.INSPECTION_DECIDED: inspections.Inspection}),
    retention=7 * _DAY,
    retention_bytes=4 * 1024**3,
    writers=("detection",),
    readers=("aggregator",),
)
FAULTS = Topic(
    name="faults",
    description="Stretches in which nobody looked: blind cameras, dropped and expired frames.",
    key="camera id",
    events=MappingProxyType({faults.FAULT_RECORDED: faults.Fault}),
    partitions=3,
    retention=7 * _DAY,
    writers=("ingestion", "detection"),
    readers=("aggregator",),
)
REVIEWS = Topic(
    name="reviews",
    description="A person's confirmation or correction of an inspection.",
    key="inspection id",
    events=MappingProxyType({reviews.REVIEW_RECORDED: reviews.Review}),
    partitions=3,
    retention=7 * _DAY,
    writers=("aggregator",),
    readers=("aggregator",),
)
CAMERAS = Topic(
    name="cameras",
    description="Which cameras exist, where they stand and how they are read.",
    key="camera id",
    events=MappingProxyType({cameras.CAMERA_CHANGED: cameras.Camera}),
    partitions=6,
    cleanup="compact",
    writers=("registry",),
    readers=("ingestion", "detection", "aggregator"),
)
DEPLOYMENTS = Topic(
    name="deployments",
    description="Which model version decides for a camera, and how a hosted version is asked.",
    key="camera id or model ARN",
    events=MappingProxyType({deployments.DEPLOYMENT_CHANGED: deployments.Deployment}),
    partitions=3,
    cleanup="compact",
    writers=("registry",),
    readers=("detection",),
)
TRAINING_JOBS = Topic(
    name="training-jobs",
    description="Requests to train one model version.",
    key="model version ARN",
    events=MappingProxyType({training.TRAINING_REQUESTED: training.TrainingRequest}),
    partitions=3,
    retention=7 * _DAY,
    writers=("registry",),
    readers=("training",),
)
TRAINING_EVENTS = Topic(
    name="training-events",
    description="Progress, result or failure of a training job.",
    key="model version ARN",
    events=MappingProxyType(
        {
            training.TRAINING_STARTED: training.TrainingStarted,
            training.TRAINING_PROGRESSED: training.TrainingProgress,
            training.TRAINING_COMPLETED: training.TrainingCompleted,
            training.TRAINING_FAILED: training.TrainingFailed,
        }
    ),
    partitions=3,
    retention=7 * _DAY,
    writers=("training",),
    readers=("registry",),
)
AUDIT = Topic(
    name="audit",
    description="Every call of the AWS operations, and of Vigia's own API where it changes something.",
    key="account id",
    events=MappingProxyType({audit.CALL_RECORDED: audit.Call}),
    retention=7 * _DAY,
    writers=("registry", "detection"),
    readers=("aggregator",),
)
USAGE = Topic(
    name="usage",
    description="Inference units of every hosted version, once a minute.",
    key="model version ARN",
    events=MappingProxyType({usage.UNITS_MEASURED: usage.UnitsMeasured}),
    partitions=3,
    retention=7 * _DAY,
    writers=("registry",),
    readers=("aggregator",),
)

_LIVE = (FRAMES, INSPECTIONS, FAULTS, REVIEWS, CAMERAS, DEPLOYMENTS, TRAINING_JOBS, TRAINING_EVENTS, AUDIT, USAGE)


def dead_topic(source: Topic) -> Topic:
    """Where messages of ``source`` go that can never be handled: original bytes, key and headers, error headers."""
    return Topic(
        name=f"{source.name}.dead",
        description=f"Messages of {source.name} that break its contract, unchanged, with the error in headers.",
        key=source.key,
        events=MappingProxyType({}),
        partitions=1,
        retention=14 * _DAY,
        retention_bytes=512 * 1024**2,
        max_message_bytes=source.max_message_bytes + 16 * 1024,
        writers=source.readers,
        dead=True,
    )


#: Every topic by its name, dead topics of those that are read included.
TOPICS: Mapping[str, Topic] = MappingProxyType({t.name: t for t in _LIVE} | {t.name: t for t in map(dead_topic, _LIVE)})
