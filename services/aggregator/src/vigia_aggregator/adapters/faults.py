"""Writes faults: opened by one record, closed by a later one with the same id, in whichever order they come."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.tables import faults
from vigia_contracts.faults import Fault


class FaultStore:
    """The only writer of table ``faults``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, batch: Sequence[Fault]) -> int:
        """Store ``batch`` in one transaction; the number of faults concerned.

        A record that comes again changes nothing: an end is never taken back and a count never falls.
        """
        statement = insert(faults)
        given = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=[faults.c.fault_id],
            set_={
                "ended_at": func.coalesce(given.ended_at, faults.c.ended_at),
                "frames": func.greatest(given.frames, faults.c.frames),
                "detail": func.coalesce(given.detail, faults.c.detail),
            },
        )
        async with self._engine.begin() as connection:
            # One statement per record: two records of one fault in a batch must both take effect. Ordered by id, so
            # that two workers never wait for each other in a circle.
            await connection.execute(statement, [_row(fault) for fault in sorted(batch, key=lambda f: f.fault_id)])
        return len({fault.fault_id for fault in batch})


def _row(fault: Fault) -> dict[str, object]:
    return {
        "fault_id": fault.fault_id,
        "account_id": fault.account_id,
        "camera_id": fault.camera_id,
        "line_id": fault.line_id,
        "kind": fault.kind.value,
        "cause": fault.cause,
        "started_at": fault.started_at,
        "ended_at": fault.ended_at,
        "frames": fault.count,
        "detail": fault.detail,
    }
