"""One camera, supervised: its source is read, its frames are published, its blind moments are told."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vigia_contracts.cameras import Camera, FolderSource, OverloadPolicy
from vigia_contracts.faults import Fault, FaultKind
from vigia_ingestion.app.measures import CameraMeasures
from vigia_ingestion.app.ports import MakeReader, SourceError
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.domain.buffer import FrameBuffer
from vigia_ingestion.domain.faults import MOST_WAITING, FaultBook
from vigia_ingestion.domain.frame import Frame
from vigia_ingestion.domain.watchdog import Action, History, Limits, Observation, decide, limits_for, reader_ended
from vigia_runtime.errors import BadMessage, Transient
from vigia_runtime.logging import get_logger
from vigia_runtime.redaction import scrub

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks of the watchdog, between fault records of one kind, and between attempts to publish."""

    tick: float = 0.2
    faults: float = 5.0
    publish_retry: float = 0.25
    farewell: float = 3.0


@dataclass(slots=True)
class _Reading:
    """A reader at work. A given-up one may still hold a thread for a while: what it brings is ignored."""

    task: asyncio.Task[None]
    opened_at: float
    opened: datetime
    first_frame_at: float | None = None
    last_frame_at: float | None = None
    held_back: bool = False
    given_up: bool = False


class _Intake:
    """What a reader sees of its camera."""

    def __init__(self, camera: CameraTask) -> None:
        self._camera = camera
        self.reading: _Reading | None = None

    async def frame(self, frame: Frame) -> None:
        """See :class:`vigia_ingestion.app.ports.Intake`."""
        if self.reading is not None and not self.reading.given_up:
            await self._camera.captured(self.reading, frame)

    def broken(self, cause: str) -> None:
        """See :class:`vigia_ingestion.app.ports.Intake`."""
        self._camera.broken(cause)


@dataclass(slots=True)
class _Signals:
    frame_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    blind_changed: asyncio.Event = field(default_factory=asyncio.Event)


class CameraTask:
    """Runs one camera until cancelled. Cancelling is the ordinary end and leaves no open fault behind."""

    def __init__(
        self,
        camera: Camera,
        make_reader: MakeReader,
        publisher: Publisher,
        *,
        limits: Limits | None = None,
        pace: Pace | None = None,
    ) -> None:
        policy = camera.policy
        self.camera = camera
        self._make_reader = make_reader
        self._publisher = publisher
        self._limits = limits or limits_for(policy.blind_after_seconds, policy.frames_per_second)
        self._pace = pace or Pace()
        # Files wait on disk: there is never a reason to drop one.
        folder = isinstance(camera.source, FolderSource)
        self._buffer: FrameBuffer[Frame] = FrameBuffer(OverloadPolicy.EVERY if folder else policy.overload)
        self._silence_is_fine = folder and policy.frames_per_second is None
        self._faults = FaultBook(camera)
        self._signals = _Signals()
        self._history = History()
        self._reading: _Reading | None = None
        self._last_frame: datetime | None = None
        self._in_flight: Frame | None = None
        self._untold: deque[Fault] = deque(maxlen=MOST_WAITING)
        self._measures = CameraMeasures(camera.camera_id)

    @property
    def blind(self) -> bool:
        """Whether a blind stretch is open."""
        return self._faults.blind is not None

    async def run(self) -> None:
        """Read, publish and watch until cancelled."""
        jobs = {"watch": self._watch(), "publish": self._publish(), "tell": self._tell()}
        tasks = [asyncio.create_task(job, name=f"{self.camera.camera_id} {name}") for name, job in jobs.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._give_up()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._farewell()

    async def captured(self, reading: _Reading, frame: Frame) -> None:
        """A frame came from the reader at work."""
        now = time.monotonic()
        if reading.first_frame_at is None:
            reading.first_frame_at = now
        reading.last_frame_at = now
        self._last_frame = frame.captured_at
        self._measures.captured(frame.captured_at)
        self._sees_again()
        dropped = self._buffer.counts.dropped
        while not self._buffer.offer(frame):
            reading.held_back = True
            self._signals.room.clear()
            await self._signals.room.wait()
        if reading.held_back:
            reading.held_back = False
            reading.last_frame_at = time.monotonic()
        if self._buffer.counts.dropped > dropped:
            self._dropped()
        self._signals.frame_waiting.set()

    def broken(self, cause: str) -> None:
        """The source sent something that is no frame."""
        self._measures.outcome("broken")
        self._faults.count(FaultKind.INVALID, cause, datetime.now(UTC))

    # --- watching ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            reading = self._reading
            alive = reading is not None and not reading.task.done()
            if reading is not None and not alive and self._ended(reading):
                return
            match decide(self._seen(), self._history, self._limits, silence_is_fine=self._silence_is_fine):
                case Action.OK:
                    self._measures.state("opening" if reading and reading.last_frame_at is None else "ok")
                case Action.RESTART if alive:
                    self._stalled()
                case Action.RESTART:
                    self._open()
                case Action.HOLD:
                    self._measures.state("waiting")
                case Action.FAILED:
                    self._measures.state("failed")
            self._measures.blind(self._faults.blind is not None)
            reading = self._reading
            if reading is not None and not reading.task.done():
                await asyncio.wait({reading.task}, timeout=self._pace.tick)
            else:
                await asyncio.sleep(self._pace.tick)

    def _seen(self) -> Observation:
        now, reading = time.monotonic(), self._reading
        if reading is None or reading.task.done():
            return Observation(now=now, reader_alive=False, opened_at=now)
        return self._observation(reading, now)

    @staticmethod
    def _observation(reading: _Reading, now: float) -> Observation:
        return Observation(
            now=now,
            reader_alive=not reading.task.done(),
            opened_at=reading.opened_at,
            first_frame_at=reading.first_frame_at,
            last_frame_at=reading.last_frame_at,
            held_back=reading.held_back,
        )

    def _open(self) -> None:
        intake = _Intake(self)
        reader = self._make_reader(self.camera)
        task = asyncio.create_task(reader.read(intake), name=f"{self.camera.camera_id} reader")
        self._reading = _Reading(task, time.monotonic(), datetime.now(UTC))
        intake.reading = self._reading
        # A given-up reader's last error interests nobody.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def _ended(self, reading: _Reading) -> bool:
        """Take note of a reader that is no more; True when the source has come to its proper end."""
        self._reading = None
        error = reading.task.exception()
        if error is None:
            log.info("source ended", camera=self.camera.camera_id)
            self._measures.state("ended")
            return True
        if not isinstance(error, SourceError):
            raise error
        self._blind(reading, error.cause, error.detail)
        return False

    def _stalled(self) -> None:
        reading = self._reading
        if reading is not None:
            self._give_up()
            opened = reading.last_frame_at is not None
            self._blind(reading, "stalled" if opened else "timeout", "no frame within the time allowed")

    def _blind(self, reading: _Reading, cause: str, detail: str) -> None:
        seen = self._observation(reading, time.monotonic())
        self._history = reader_ended(seen, self._history, self._limits, random.random())  # noqa: S311
        since = reading.opened if reading.last_frame_at is None else (self._last_frame or reading.opened)
        if self._faults.open_blind(cause, since, scrub(detail)):
            log.warning("camera is blind", camera=self.camera.camera_id, cause=cause, detail=detail)
            self._signals.blind_changed.set()
        self._measures.reconnect(cause)

    def _sees_again(self) -> None:
        closed = self._faults.close_blind(datetime.now(UTC))
        if closed is not None:
            log.info("camera sees again", camera=self.camera.camera_id, after=str(closed.ended_at))
            self._signals.blind_changed.set()

    def _give_up(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.given_up = True
            reading.task.cancel()

    # --- publishing -------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        while True:
            while not len(self._buffer):
                self._signals.frame_waiting.clear()
                await self._signals.frame_waiting.wait()
            frame = self._in_flight = self._buffer.take()
            try:
                await self._publisher.frame(self.camera.camera_id, frame)
            except Transient as error:
                log.warning("frame not published", camera=self.camera.camera_id, detail=error.detail)
                self._in_flight = None
                if not self._buffer.give_back(frame):
                    self._dropped()
                await asyncio.sleep(self._pace.publish_retry)
            except BadMessage as error:
                log.error("frame cannot be published", camera=self.camera.camera_id, code=error.code)
                self.broken(error.code)
            else:
                self._measures.outcome("published")
            self._in_flight = None
            self._signals.room.set()

    def _dropped(self) -> None:
        self._measures.outcome("dropped")
        self._faults.count(FaultKind.DROPPED, "overload", datetime.now(UTC))

    # --- telling ----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Blind stretches at once, sums of single frames once an interval."""
        while True:
            try:
                async with asyncio.timeout(self._pace.faults):
                    await self._signals.blind_changed.wait()
                sums = False
            except TimeoutError:
                sums = True
            self._signals.blind_changed.clear()
            self._untold.extend(self._faults.collect(sums=sums))
            while self._untold:
                try:
                    await self._publisher.fault(self._untold[0])
                    self._untold.popleft()
                except Transient as error:
                    # Meanwhile further drops are added to one sum, so an outage makes one record, not thousands.
                    log.warning("fault not published", camera=self.camera.camera_id, detail=error.detail)
                    await asyncio.sleep(self._pace.publish_retry)

    async def _farewell(self) -> None:
        """What can still be said when the camera is stopped: frames taken in, faults not told, blindness over."""
        self._faults.close_blind(datetime.now(UTC))
        self._untold.extend(self._faults.collect())
        frames = [] if self._in_flight is None else [self._in_flight]
        frames += [self._buffer.take() for _ in range(len(self._buffer))]
        try:
            async with asyncio.timeout(self._pace.farewell):
                for frame in frames:
                    await self._publisher.frame(self.camera.camera_id, frame)
                    self._measures.outcome("published")
                while self._untold:
                    await self._publisher.fault(self._untold[0])
                    self._untold.popleft()
        except (Transient, BadMessage, TimeoutError):
            log.warning("camera stopped with frames or faults untold", camera=self.camera.camera_id)
        self._measures.gone()
