"""The one place where ingestion's objects are made and wired."""

from __future__ import annotations

from dataclasses import dataclass

from vigia_contracts.cameras import Camera
from vigia_contracts.topics import CAMERAS
from vigia_ingestion.adapters.assignment import Assignment
from vigia_ingestion.adapters.readers import reader_for
from vigia_ingestion.app.camera import CameraTask
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.app.push import PushDoor
from vigia_ingestion.app.supervisor import Supervisor
from vigia_ingestion.settings import Settings
from vigia_runtime.health import Health
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.table import CompactedTable
from vigia_runtime.objects import ObjectStore
from vigia_runtime.signin import Authenticator, RegistryCredentials

#: Shorter than the runtime's own: behind an unacknowledged frame the next ones are already being dropped.
SEND_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the process runs."""

    producer: Producer
    supervisor: Supervisor
    assignment: Assignment
    table: CompactedTable[Camera]
    door: PushDoor
    authenticator: Authenticator


def build(settings: Settings, health: Health) -> Parts:
    """Make the parts; nothing is connected yet. Must run inside the event loop."""
    producer = Producer(settings.kafka, "vigia-ingestion", send_seconds=SEND_SECONDS)
    publisher = Publisher(producer, ObjectStore(settings.objects), settings.buckets.frames)
    supervisor = Supervisor(lambda camera: CameraTask(camera, reader_for, publisher))
    table: CompactedTable[Camera] = CompactedTable(settings.kafka, CAMERAS, health=health)
    return Parts(
        producer=producer,
        supervisor=supervisor,
        assignment=Assignment(settings.kafka, supervisor, health),
        table=table,
        door=PushDoor(table, publisher),
        authenticator=Authenticator(RegistryCredentials(settings.registry)),
    )
