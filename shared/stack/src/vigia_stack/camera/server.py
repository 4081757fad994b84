"""What every camera is: a server on a port of its own, with viewers that it can cut off."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from vigia_stack.camera.schedule import Line


class Camera(ABC):
    """Serves ``line``; an async context manager. Port 0 takes a free one."""

    def __init__(self, line: Line, host: str, port: int) -> None:
        self.line = line
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._viewers: set[asyncio.StreamWriter] = set()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers, without credentials."""

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One viewer, until it leaves."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cuts every viewer's connection, as a camera that loses power does."""
        for writer in list(self._viewers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._viewers.add(writer)
        try:
            await self.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the viewer left
        finally:
            self._viewers.discard(writer)
            writer.close()
