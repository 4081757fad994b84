"""An RTSP 1.0 camera: H.264 over RTP, interleaved in the RTSP connection (RFC 2326, section 10.12).

Measured with PyAV: a reader that opens it with ``rtsp_transport=tcp``, ``probesize=32`` and ``analyzeduration=0`` and
decodes with ``thread_count=1`` has each picture about 10 ms after it was sent, the first included. ``fflags=nobuffer``
loses the first picture (it goes to probing), and each further decoding thread holds one picture back. When the stream
ends, the delimiter sent ahead comes out as a last packet without a picture: decoding it fails and means nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import struct
from dataclasses import dataclass

from vigia_stack.camera import h264, rtp
from vigia_stack.camera.schedule import Line
from vigia_stack.camera.server import Camera

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]


class RtspCamera(Camera):
    """Serves ``line`` as H.264; with ``credentials`` it asks for Basic sign-in.

    For tests: ``line.stalled = True`` freezes it, :meth:`hang_up` cuts every connection, leaving the context closes it.
    """

    def __init__(
        self,
        line: Line,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: tuple[str, str] | None = None,
        crf: int = 18,
    ) -> None:
        super().__init__(line, host, port)
        self._clip = h264.encode([photograph.data for photograph in line.photographs], crf)
        self._credentials = credentials

    @property
    def url(self) -> str:
        """Where it answers, without credentials."""
        return f"rtsp://{self.host}:{self.port}/line"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers requests; the pictures go out beside them once the viewer has asked to play."""
        playing: asyncio.Task[None] | None = None
        try:
            while (request := await _read(reader)) is not None:
                status, extra, body = self._answer(request)
                lines = [
                    f"RTSP/1.0 {status}",
                    f"CSeq: {request.headers.get('cseq', '0')}",
                    "Session: 1;timeout=60",
                    *extra,
                ]
                if body:
                    lines.append(f"Content-Length: {len(body)}")
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
                await writer.drain()
                if request.method == "PLAY" and status.startswith("200") and playing is None:
                    playing = asyncio.create_task(self._play(writer))
                if request.method == "TEARDOWN":
                    break
        finally:
            if playing is not None:
                playing.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await playing

    def _answer(self, request: _Request) -> tuple[str, list[str], str]:
        if self._credentials is not None and request.method != "OPTIONS":
            expected = "Basic " + base64.b64encode(":".join(self._credentials).encode()).decode()
            if request.headers.get("authorization") != expected:
                return "401 Unauthorized", ['WWW-Authenticate: Basic realm="camera"'], ""
        match request.method:
            case "OPTIONS":
                return "200 OK", [f"Public: {_METHODS}"], ""
            case "DESCRIBE":
                return "200 OK", [f"Content-Base: {request.url}/", "Content-Type: application/sdp"], self._description()
            case "SETUP" if "TCP" in request.headers.get("transport", ""):
                return "200 OK", ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"], ""
            case "SETUP":
                return "461 Unsupported Transport", [], ""
            case "PLAY" | "TEARDOWN" | "GET_PARAMETER":
                return "200 OK", [], ""
            case _:
                return "405 Method Not Allowed", [f"Allow: {_METHODS}"], ""

    def _description(self) -> str:
        sets = ",".join(base64.b64encode(nal).decode() for nal in (self._clip.sps, self._clip.pps))
        lines = [
            "v=0",
            f"o=- 0 0 IN IP4 {self.host}",
            "s=line",
            "t=0 0",
            "a=control:*",
            "m=video 0 RTP/AVP 96",
            f"a=rtpmap:96 H264/{rtp.CLOCK}",
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}",
            "a=control:track",
        ]
        return "\r\n".join(lines) + "\r\n"

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        sequence, ssrc = random.randrange(1 << 16), random.randrange(1 << 32)  # noqa: S311 - RTP wants any number
        ticks = int(rtp.CLOCK / self.line.fps)
        sent = 0
        async for index in self.line.pass_by():
            self.line.record(index)
            for packet in rtp.packets(self._clip.units[index], sequence, sent * ticks, ssrc):
                writer.write(b"$\0" + struct.pack("!H", len(packet)) + packet)
                sequence += 1
            sent += 1
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """The next request; what the viewer reports about reception (interleaved RTCP) is skipped. None at the end."""
    while True:
        first = await reader.read(1)
        if not first:
            return None
        if first != b"$":
            break
        _, length = struct.unpack("!BH", await reader.readexactly(3))
        await reader.readexactly(length)
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, url, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return _Request(method, url, headers)
