"""An MJPEG camera: multipart/x-mixed-replace over HTTP, the photographs as they are."""

from __future__ import annotations

import asyncio

from vigia_stack.camera.schedule import Line
from vigia_stack.camera.server import Camera


class MjpegCamera(Camera):
    """Serves ``line``; any path answers."""

    def __init__(self, line: Line, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(line, host, port)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}/video"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Photographs, each as a part of the one answer."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n")
        async for index in self.line.pass_by():
            data = self.line.photographs[index].data
            self.line.record(index)
            head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data + b"\r\n")
            await writer.drain()
