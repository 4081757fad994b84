"""Reads calls: pages, newest first."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import RowMapping, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.tables import calls
from vigia_aggregator.domain.cursors import PageCursor
from vigia_aggregator.domain.filters import CallFilter
from vigia_contracts.audit import CallOutcome

Row = RowMapping

_SHOWN: Final = [column for column in calls.columns if column.name not in ("account_id", "stored_at")]


async def page(
    connection: AsyncConnection, wanted: CallFilter, after: PageCursor | None, limit: int
) -> tuple[list[Row], PageCursor | None]:
    """Up to ``limit`` rows below ``after``, newest first, and the cursor of the next page if there is one."""
    c = calls.c
    query = select(*_SHOWN).where(c.account_id == wanted.account_id)
    equal: tuple[tuple[Any, Any], ...] = (
        (c.region, wanted.region),
        (c.event_id, wanted.event_id),
        (c.source, wanted.source),
        (c.name, wanted.name),
        (c.username, wanted.username),
        (c.access_key_id, wanted.access_key_id),
        (c.outcome, wanted.outcome),
        (c.project, wanted.project),
        (c.model_version, wanted.model_version),
    )
    query = query.where(*(column == value for column, value in equal if value is not None))
    # Spelled as the indexes on what is rare are: changes among very many reads, failures among successes.
    if wanted.read_only is not None:
        query = query.where(c.read_only if wanted.read_only else ~c.read_only)
    if wanted.outcome not in (None, CallOutcome.SUCCESS):
        query = query.where(c.outcome != literal_column(f"'{CallOutcome.SUCCESS.value}'"))
    named = {"name": wanted.resource, "type": wanted.resource_type}
    if resource := {key: value for key, value in named.items() if value is not None}:
        query = query.where(c.resources.contains([resource]))
    if wanted.since is not None:
        query = query.where(c.called_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(c.called_at < wanted.until)
    if after is not None:
        query = query.where(tuple_(c.called_at, c.event_id) < tuple_(after.at, after.id))
    query = query.order_by(c.called_at.desc(), c.event_id.desc()).limit(limit + 1)
    rows: list[Row] = [row._mapping for row in await connection.execute(query)]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], PageCursor(last["called_at"], last["event_id"])
