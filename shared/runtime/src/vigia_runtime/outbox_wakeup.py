"""LISTEN on a connection of its own, so that the relay starts within a millisecond of the commit."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_runtime.logging import get_logger

log = get_logger(__name__)

#: After the listening connection is lost; meanwhile the relay polls.
RECONNECT_SECONDS = 2.0


class Wakeup:
    """``wait`` returns early when a notification came on the channel. Without a connection it only waits."""

    def __init__(self, engine: AsyncEngine, channel: str) -> None:
        self._dsn = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._channel = channel
        self._event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Wakeup:
        self._task = asyncio.create_task(self._listen(), name=f"listen {self._channel}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, stopping: asyncio.Event, seconds: float) -> None:
        """Return at a notification, when ``stopping`` is set, or after ``seconds``."""
        waiters = {asyncio.ensure_future(self._event.wait()), asyncio.ensure_future(stopping.wait())}
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        self._event.clear()

    async def _listen(self) -> None:
        while True:
            try:
                connection: psycopg.AsyncConnection[Any]
                async with await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, connect_timeout=5, application_name="vigia outbox"
                ) as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    self._event.set()
                    async for _ in connection.notifies():
                        self._event.set()
            except (psycopg.Error, OSError) as error:
                log.info("outbox listens no more, polling", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)
