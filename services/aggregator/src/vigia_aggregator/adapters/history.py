"""Reads the history: pages newest first, one inspection, what was stored since."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from vigia_aggregator.adapters.tables import faults, inspections
from vigia_aggregator.domain.cursors import FollowCursor, PageCursor
from vigia_aggregator.domain.filters import FaultFilter, InspectionFilter

Row = RowMapping

_SHOWN: Final = [column for column in inspections.columns if column.name != "stored_seq"]


async def page(
    connection: AsyncConnection, wanted: InspectionFilter, after: PageCursor | None, limit: int
) -> tuple[list[Row], PageCursor | None]:
    """Up to ``limit`` rows below ``after``, newest first, and the cursor of the next page if there is one.

    A row inserted while somebody pages is either above the cursor, and not seen, or below it, and seen once.
    """
    c = inspections.c
    query = matching(select(*_SHOWN), wanted)
    if after is not None:
        query = query.where(tuple_(c.captured_at, c.inspection_id) < tuple_(after.at, after.id))
    query = query.order_by(c.captured_at.desc(), c.inspection_id.desc()).limit(limit + 1)
    rows: list[Row] = [row._mapping for row in await connection.execute(query)]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], PageCursor(last["captured_at"], last["inspection_id"])


async def one(connection: AsyncConnection, account_id: str, inspection_id: UUID) -> Row | None:
    """The account's inspection of this id."""
    c = inspections.c
    query = select(*_SHOWN).where(c.inspection_id == inspection_id, c.account_id == account_id)
    found = (await connection.execute(query)).first()
    return None if found is None else found._mapping


async def stored_after(
    connection: AsyncConnection, wanted: InspectionFilter, after: FollowCursor, limit: int
) -> tuple[list[Row], FollowCursor]:
    """Up to ``limit`` rows stored after ``after``, in the order in which they were committed, and where they end.

    Writers hold one lock from taking a row's number to its commit, so whoever sees number n sees every row below n
    that there will ever be: no row is passed over.
    """
    c = inspections.c
    query = matching(select(*_SHOWN, c.stored_seq), wanted).where(c.stored_seq > after.sequence)
    # Asked first: every row up to it is seen by the query that follows. A follower whose filter matches little thus
    # moves on, instead of reading the same rows again at each look.
    seen = await newest(connection, wanted.account_id)
    found = list(await connection.execute(query.order_by(c.stored_seq).limit(limit)))
    last = found[-1].stored_seq if found else after.sequence
    end = FollowCursor(last if len(found) == limit else max(last, seen.sequence))
    return [row._mapping for row in found], end


async def newest(connection: AsyncConnection, account_id: str) -> FollowCursor:
    """Where following begins: after the row of the account that was committed last."""
    query = select(func.max(inspections.c.stored_seq)).where(inspections.c.account_id == account_id)
    return FollowCursor((await connection.execute(query)).scalar() or 0)


async def fault_page(
    connection: AsyncConnection, wanted: FaultFilter, after: PageCursor | None, limit: int
) -> tuple[list[Row], PageCursor | None]:
    """As :func:`page`, of faults by the time they began."""
    c = faults.c
    query = select(faults).where(c.account_id == wanted.account_id)
    query = query.where(*_given((c.line_id, wanted.line), (c.camera_id, wanted.camera), (c.kind, wanted.kind)))
    if wanted.is_open is not None:
        query = query.where(c.ended_at.is_(None) if wanted.is_open else c.ended_at.is_not(None))
    if wanted.since is not None:
        query = query.where(c.started_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(c.started_at < wanted.until)
    if after is not None:
        query = query.where(tuple_(c.started_at, c.fault_id) < tuple_(after.at, after.id))
    query = query.order_by(c.started_at.desc(), c.fault_id.desc()).limit(limit + 1)
    rows: list[Row] = [row._mapping for row in await connection.execute(query)]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], PageCursor(last["started_at"], last["fault_id"])


def matching(query: Select[Any], wanted: InspectionFilter) -> Select[Any]:
    """``query`` of inspections, narrowed to those that match."""
    c = inspections.c
    query = query.where(c.account_id == wanted.account_id)
    query = query.where(
        *_given(
            (c.line_id, wanted.line),
            (c.camera_id, wanted.camera),
            (c.product, wanted.product),
            (c.project, wanted.project),
            (c.model_version, wanted.model_version),
            (c.verdict, wanted.verdict),
            (c.origin, wanted.origin),
        )
    )
    if wanted.since is not None:
        query = query.where(c.captured_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(c.captured_at < wanted.until)
    return query


def _given(*pairs: tuple[ColumnElement[Any], Any]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in pairs if value is not None]
