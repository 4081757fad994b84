"""Hears that rows were committed: one LISTEN connection a process, any number of waiting followers."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg import sql

from vigia_aggregator.adapters.tables import CHANNEL
from vigia_runtime.logging import get_logger
from vigia_runtime.settings import PostgresSettings

log = get_logger(__name__)

#: A follower looks again after this long without a notification: what bounds its delay while LISTEN is down.
_LOOK_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5


class Listener:
    """``changed`` waits for the next commit of rows."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._url = settings.url.get_secret_value()
        self._next: asyncio.Event = asyncio.Event()

    def mark(self) -> asyncio.Event:
        """Take this before looking at the table, wait on it after: no commit in between is missed."""
        return self._next

    async def changed(self, mark: asyncio.Event, within_seconds: float) -> None:
        """Returns on the first commit after ``mark``, or when it is time to look again."""
        try:
            await asyncio.wait_for(mark.wait(), min(within_seconds, _LOOK_SECONDS))
        except TimeoutError:
            return

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until ``stopping``; reconnects for ever."""
        task = asyncio.create_task(self._listen_for_ever())
        await stopping.wait()
        task.cancel()
        await asyncio.wait({task})
        self._wake()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listening again", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
            self._wake()
            async for _ in connection.notifies():
                self._wake()

    def _wake(self) -> None:
        waiting, self._next = self._next, asyncio.Event()
        waiting.set()
