"""The bound on what waits for Kafka: beyond it no call is answered, since none could be recorded."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry import schema
from vigia_runtime.errors import Unavailable
from vigia_runtime.logging import get_logger
from vigia_runtime.outbox import Backlog

log = get_logger(__name__)


class TooMuchWaitsError(Unavailable):
    """So many records wait for Kafka that no more may be added."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "records_wait",
            f"{most} records wait for the broker. Until it takes some calls are refused: they could not be recorded.",
        )


class Waiting:
    """How much waits in the outbox, near enough: looked up once a second, and counted along in between."""

    def __init__(self) -> None:
        self._backlog = Backlog(schema.outbox, least_seconds=1.0)

    async def admit(self, session: AsyncSession, most: int) -> None:
        """Count one more record; TooMuchWaitsError, and nothing counted, where ``most`` wait already."""
        await self._backlog.refresh(session, most)
        if self._backlog.size >= most:
            log.error("too much waits for Kafka, calls are refused", waiting=self._backlog.size, most=most)
            raise TooMuchWaitsError(most)
        self._backlog.size += 1
