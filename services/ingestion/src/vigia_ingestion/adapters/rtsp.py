"""RTSP through FFmpeg's libraries (PyAV), in a thread of its own per connection.

Measured behaviour that this relies on: when the server dies, reading just ends without an error; when it freezes,
reading hangs for ever unless a timeout is given, and then fails after up to twice that time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import av
import av.error

from vigia_contracts.cameras import Camera, RtspSource
from vigia_ingestion.adapters.jpeg import encode
from vigia_ingestion.app.ports import Intake, SourceError
from vigia_ingestion.domain.frame import JPEG, Frame, kind_of
from vigia_runtime.redaction import scrub

OPEN_SECONDS = 5.0

#: Nothing is held back for smoothness: a frame is wanted the moment it is whole.
_LOW_DELAY = {
    "fflags": "nobuffer",
    "flags": "low_delay",
    "max_delay": "0",
    "reorder_queue_size": "0",
    # What is known of the stream comes from the SDP; looking at frames first would cost seconds on a slow camera.
    "probesize": "32",
    "analyzeduration": "0",
}

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
        seen = False
        try:
            with self._open() as container:
                for number, (image, captured_at) in enumerate(self._images(container, intake, loop)):
                    seen = True
                    frame = Frame(image, JPEG, self._session, str(number), captured_at)
                    asyncio.run_coroutine_threadsafe(_hand_over(intake, frame), loop).result()
                    if self._stop.is_set():
                        return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "disconnected")
            if cause == "timeout" and seen:
                cause = "stalled"
            raise SourceError(cause, scrub(f"{type(error).__name__}: {error}")) from error

    def _open(self) -> Any:
        options = _LOW_DELAY | {"rtsp_transport": self._source.transport}
        return av.open(self._source.url, options=options, timeout=(OPEN_SECONDS, self._silence))

    def _images(
        self, container: Any, intake: Intake, loop: asyncio.AbstractEventLoop
    ) -> Iterator[tuple[bytes, datetime]]:
        if not container.streams.video:
            raise SourceError("codec", "the camera sends no video")
        stream = container.streams.video[0]
        passed_on = stream.codec_context.name == "mjpeg"
        # Threads decode ahead by as many frames as there are threads; one thread gives each frame at once.
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            if self._stop.is_set() or packet.size == 0:
                continue
            captured_at = datetime.now(UTC)
            if passed_on and kind_of(image := bytes(packet)) == JPEG:
                yield image, captured_at
                continue
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                loop.call_soon_threadsafe(intake.broken, "codec")
                continue
            for picture in decoded:
                if picture.is_corrupt:
                    loop.call_soon_threadsafe(intake.broken, "codec")
                else:
                    yield encode(picture.to_ndarray(format="rgb24"), self._quality), captured_at


async def _hand_over(intake: Intake, frame: Frame) -> None:
    await intake.frame(frame)
