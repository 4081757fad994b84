"""RTSP through FFmpeg's libraries (PyAV), in a thread of its own per connection.

Measured behaviour that this relies on: when the server dies, reading just ends without an error; when it freezes,
reading hangs for ever unless a timeout is given, and then fails after up to twice that time.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import av
import av.error
from av.codec.context import Flags

from vigia_contracts.cameras import Camera, RtspSource
from vigia_ingestion.adapters.jpeg import encode
from vigia_ingestion.adapters.units import IDLE_SECONDS, Unit, UnitAssembler
from vigia_ingestion.app.ports import Intake, SourceError
from vigia_ingestion.domain.frame import JPEG, Frame, kind_of
from vigia_runtime.redaction import scrub

OPEN_SECONDS = 5.0

_OPTIONS = {
    # Packets as they come: pictures are put together in `units`. The two flags belong together.
    "fflags": "noparse+nofillin",
    "max_delay": "0",
    "reorder_queue_size": "0",
    # What is known of the stream comes from the SDP; looking at pictures first would cost seconds on a slow camera.
    "probesize": "32",
    "analyzeduration": "0",
    "fpsprobesize": "0",
}
#: Packets between the connection and the decoder.
_AHEAD = 2048

_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (av.error.HTTPUnauthorizedError, "auth"),
    (av.error.HTTPForbiddenError, "auth"),
    (av.error.HTTPNotFoundError, "not_found"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (av.error.ExitError, "timeout"),  # the reading deadline of PyAV
    (av.error.InvalidDataError, "codec"),
    (av.error.DecoderNotFoundError, "codec"),
)


class RtspReader:
    """Reads one RTSP connection until it ends."""

    def __init__(self, camera: Camera, source: RtspSource) -> None:
        self._source = source
        self._silence = camera.policy.blind_after_seconds
        self._quality = camera.policy.jpeg_quality
        self._session = uuid4().hex
        self._stop = threading.Event()

    async def read(self, intake: Intake) -> None:
        """See :class:`vigia_ingestion.app.ports.Reader`."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def finish(error: BaseException) -> None:
            if not ended.done():
                ended.set_exception(error)

        def work() -> None:
            try:
                self._read(intake, loop)
                error: BaseException = SourceError("disconnected", "the camera ended the stream")
            except BaseException as failure:  # noqa: BLE001  a thread's boundary: the error is raised in the loop
                error = failure
            # The loop may be gone when a connection outlives the process's last moments.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, error)

        # A daemon: a hanging connection must not keep the process from ending.
        threading.Thread(target=work, name=f"rtsp {self._session}", daemon=True).start()
        try:
            await ended
        finally:
            self._stop.set()

    def _read(self, intake: Intake, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: open, demux, decode, hand over. Returns when the stream ends."""
        number = 0
        try:
            with self._open() as container:
                if not container.streams.video:
                    raise SourceError("codec", "the camera sends no video")
                stream = container.streams.video[0]
                for image, captured_at in self._images(container, stream, intake, loop):
                    frame = Frame(image, JPEG, self._session, str(number), captured_at)
                    asyncio.run_coroutine_threadsafe(_hand_over(intake, frame), loop).result()
                    number += 1
                    if self._stop.is_set():
                        return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "disconnected")
            if cause == "timeout" and number:
                cause = "stalled"
            raise SourceError(cause, scrub(f"{type(error).__name__}: {error}")) from error
        finally:
            self._stop.set()

    def _open(self) -> Any:
        options = _OPTIONS | {"rtsp_transport": self._source.transport}
        return av.open(self._source.url, options=options, timeout=(OPEN_SECONDS, self._silence))

    def _images(
        self, container: Any, stream: Any, intake: Intake, loop: asyncio.AbstractEventLoop
    ) -> Iterator[tuple[bytes, datetime]]:
        """JPEGs with their times of capture: the camera's own, or encoded from its video."""
        decoder = stream.codec_context
        if decoder.name == "mjpeg":
            for packet in container.demux(stream):
                if packet.size and kind_of(image := bytes(packet)) == JPEG:
                    yield image, datetime.now(UTC)
            return
        # Threads decode ahead by as many pictures as there are threads; one thread gives each picture at once.
        decoder.thread_count = 1
        decoder.flags |= int(Flags.low_delay)
        for unit in self._units(container, stream):
            try:
                pictures = decoder.decode(av.Packet(unit.data))
            except av.error.InvalidDataError:
                loop.call_soon_threadsafe(intake.broken, "codec")
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    loop.call_soon_threadsafe(intake.broken, "codec")
                else:
                    yield encode(picture.to_ndarray(format="rgb24"), self._quality), unit.captured_at

    def _units(self, container: Any, stream: Any) -> Iterator[Unit]:
        """Whole coded pictures. A second thread reads on, so that silence after a picture can be noticed."""
        packets: queue.Queue[tuple[int | None, bytes, datetime] | BaseException | None] = queue.Queue(_AHEAD)

        def put(item: tuple[int | None, bytes, datetime] | BaseException | None) -> None:
            while not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    packets.put(item, timeout=0.5)
                    return

        def demux() -> None:
            end: BaseException | None = None
            try:
                for packet in container.demux(stream):
                    if self._stop.is_set():
                        return
                    if packet.size:
                        put((packet.pts, bytes(packet), datetime.now(UTC)))
            except BaseException as error:  # noqa: BLE001  a thread's boundary: raised in the thread that waits
                end = error
            put(end)

        reader = threading.Thread(target=demux, name=f"rtsp {self._session} packets", daemon=True)
        reader.start()
        assembler = UnitAssembler()
        try:
            while not self._stop.is_set():
                try:
                    item = packets.get(timeout=IDLE_SECONDS if assembler.waiting else 1.0)
                except queue.Empty:
                    yield from assembler.flush()
                    continue
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    yield from assembler.flush()
                    return
                yield from assembler.feed(*item)
        finally:
            # The container must not be closed while the other thread reads from it.
            self._stop.set()
            reader.join()


async def _hand_over(intake: Intake, frame: Frame) -> None:
    await intake.frame(frame)
