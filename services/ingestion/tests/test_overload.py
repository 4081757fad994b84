"""While Kafka is away nothing grows and nothing is silent: the policy decides, and the record is made afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vigia_contracts.base import ObjectRef
from vigia_contracts.cameras import Camera, OverloadPolicy, PushSource
from vigia_contracts.events import Event
from vigia_contracts.faults import Fault, FaultKind
from vigia_contracts.topics import FRAMES, Topic
from vigia_ingestion.app.camera import CameraTask, Pace
from vigia_ingestion.app.ports import Intake, SourceError
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.domain.frame import JPEG, Frame
from vigia_ingestion.domain.watchdog import Limits
from vigia_runtime.errors import Transient

from .conftest import camera, until

PACE = Pace(tick=0.01, faults=0.05, publish_retry=0.01, farewell=1)


@dataclass
class Broker:
    """A port's other side that can be away."""

    away: bool = False
    frames: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    async def send(self, topic: Topic, event: Event) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Transient("away")
        if topic is FRAMES:
            self.frames.append(event.id)
        elif isinstance(event.data, Fault):
            self.faults.append(event.data)

    async def put(self, bucket: str, key: str, data: bytes, content_type: str | None = None) -> ObjectRef:
        raise AssertionError("no frame is that large")


class Script:
    """A source that does what the test says; `captured` counts the frames that it got rid of."""

    def __init__(self) -> None:
        self.captured = 0
        self.offered = 0
        self.opened = 0
        self._commands: asyncio.Queue[str] = asyncio.Queue()

    async def read(self, intake: Intake) -> None:
        self.opened += 1
        while (command := await self._commands.get()) == "frame":
            self.offered += 1
            await intake.frame(Frame(b"", JPEG, "s", str(self.captured), datetime.now(UTC)))
            self.captured += 1
        raise SourceError(command, "as the test says")

    def say(self, command: str, times: int = 1) -> None:
        for _ in range(times):
            self._commands.put_nowait(command)


def start(broker: Broker, policy: OverloadPolicy, limits: Limits | None = None) -> tuple[Script, asyncio.Task[None]]:
    script = Script()
    wanted: Camera = camera(PushSource(), overload=policy)
    publisher = Publisher(broker, broker, "frames")
    task = CameraTask(wanted, lambda _: script, publisher, limits=limits or Limits(stall=60), pace=PACE)
    return script, asyncio.create_task(task.run())


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_newest_drops_the_oldest_and_says_how_many() -> None:
    broker = Broker(away=True)
    script, task = start(broker, OverloadPolicy.NEWEST)
    script.say("frame", 50)
    await until(lambda: script.captured == 50)
    await asyncio.sleep(0.2)
    broker.away = False
    script.say("frame")
    await until(lambda: "50" in broker.frames and broker.faults)
    await stop(task)
    assert {fault.kind for fault in broker.faults} == {FaultKind.DROPPED}
    assert len(broker.faults) <= 2
    assert len(broker.frames) + sum(fault.count for fault in broker.faults) == 51
    assert len(broker.frames) == len(set(broker.frames)) <= 4
    assert broker.faults[0].cause == "overload"


async def test_every_holds_the_source_back_and_loses_nothing() -> None:
    broker = Broker(away=True)
    script, task = start(broker, OverloadPolicy.EVERY, Limits(stall=0.5))
    script.say("frame", 50)
    await until(lambda: script.offered > 5)
    await asyncio.sleep(1)
    # Eight wait, one is being sent, one is in the source's hand: the source reads no further.
    assert script.offered <= 10
    broker.away = False
    await until(lambda: len(broker.frames) == 50)
    await stop(task)
    assert broker.frames == [str(number) for number in range(50)]
    # Silence that is ours is not the camera's blindness.
    assert broker.faults == []
    assert script.opened == 1


async def test_a_blind_stretch_during_an_outage_is_told_afterwards() -> None:
    broker = Broker(away=True)
    limits = Limits(stall=60, backoff_first=0.01, backoff_most=0.02)
    script, task = start(broker, OverloadPolicy.NEWEST, limits)
    script.say("auth")
    await until(lambda: script.opened == 2)
    script.say("refused")
    await until(lambda: script.opened == 3)
    script.say("frame")
    await until(lambda: script.captured == 1)
    broker.away = False
    await until(lambda: len(broker.faults) == 2 and broker.frames)
    await stop(task)
    opened, closed = broker.faults
    assert (opened.cause, opened.ended_at) == ("auth", None)
    assert (closed.fault_id, closed.cause) == (opened.fault_id, "auth")
    assert closed.ended_at is not None


async def test_stopping_a_camera_sends_what_it_has_and_closes_its_fault() -> None:
    broker = Broker(away=True)
    script, task = start(broker, OverloadPolicy.EVERY)
    script.say("frame", 3)
    await until(lambda: script.captured == 3)
    script.say("disconnected")
    await until(lambda: script.opened == 1)
    await asyncio.sleep(0.05)
    broker.away = False
    await stop(task)
    assert sorted(broker.frames) == ["0", "1", "2"]
    assert [fault.ended_at is None for fault in broker.faults] == [True, False]
