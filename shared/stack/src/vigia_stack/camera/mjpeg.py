"""An MJPEG camera: multipart/x-mixed-replace over HTTP, the photographs as they are."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

from vigia_stack.camera.schedule import Line


class MjpegCamera:
    """Serves ``line`` at :attr:`url`; an async context manager. Any path answers."""

    def __init__(self, line: Line, host: str = "127.0.0.1", port: int = 0) -> None:
        self.line = line
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._viewers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self._host}:{self._port}/video"

    async def __aenter__(self) -> MjpegCamera:
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cuts every viewer's connection."""
        for writer in list(self._viewers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._viewers.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n")
                async for index in self.line.pass_by():
                    data = self.line.photographs[index].data
                    self.line.record(index)
                    head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    writer.write(head.encode() + data + b"\r\n")
                    await writer.drain()
        finally:
            self._viewers.discard(writer)
            writer.close()
