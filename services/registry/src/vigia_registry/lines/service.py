"""Lines: use cases. Every function works in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.cameras.tables import cameras
from vigia_registry.identity.domain import Owner
from vigia_registry.lines.domain import Line
from vigia_registry.lines.errors import LineExists, LineInUse, LineNotFound
from vigia_registry.lines.tables import lines
from vigia_registry.pagination import Page, Pages


async def create(session: AsyncSession, owner: Owner, line_id: str, description: str) -> Line:
    """A new line; LineExists."""
    row = insert(lines).values(
        account_id=owner.account_id, region=owner.region, line_id=line_id, description=description
    )
    added = (await session.execute(row.on_conflict_do_nothing().returning(lines))).one_or_none()
    if added is None:
        raise LineExists(line_id)
    return _line(added)


async def put(session: AsyncSession, owner: Owner, line_id: str, description: str) -> tuple[Line, bool]:
    """The line, new or with another description, and whether it is new."""
    try:
        return await create(session, owner, line_id, description), True
    except LineExists:
        changed = update(lines).where(_is(owner, line_id)).values(description=description).returning(lines)
        row = (await session.execute(changed)).one_or_none()
    if row is None:  # removed in between
        raise LineNotFound(line_id)
    return _line(row), False


async def get(session: AsyncSession, owner: Owner, line_id: str) -> Line:
    """The line of that id; LineNotFound."""
    row = (await session.execute(select(lines).where(_is(owner, line_id)))).one_or_none()
    if row is None:
        raise LineNotFound(line_id)
    return _line(row)


async def hold(session: AsyncSession, owner: Owner, line_id: str) -> bool:
    """Whether the line exists; if so, it goes on existing until the transaction ends."""
    found = select(lines.c.line_id).where(_is(owner, line_id)).with_for_update(read=True, key_share=True)
    return (await session.execute(found)).one_or_none() is not None


async def page(session: AsyncSession, pages: Pages, owner: Owner, token: str | None, limit: int) -> Page[Line]:
    """Lines of the account in the region, by id."""
    scope = ("lines", owner.account_id, owner.region)
    position = pages.read(scope, token)
    query = select(lines).where(lines.c.account_id == owner.account_id, lines.c.region == owner.region)
    if position is not None:
        query = query.where(lines.c.line_id > position[0])
    rows = await session.execute(query.order_by(lines.c.line_id).limit(limit + 1))
    return pages.cut(scope, [_line(row) for row in rows], limit, lambda line: [line.line_id])


async def remove(session: AsyncSession, owner: Owner, line_id: str) -> None:
    """Forget a line without cameras; LineNotFound, LineInUse."""
    held = select(lines.c.line_id).where(_is(owner, line_id)).with_for_update()
    if (await session.execute(held)).one_or_none() is None:
        raise LineNotFound(line_id)
    standing = await session.execute(
        select(func.count())
        .select_from(cameras)
        .where(cameras.c.account_id == owner.account_id, cameras.c.region == owner.region, cameras.c.line_id == line_id)
    )
    if count := standing.scalar_one():
        raise LineInUse(line_id, count)
    await session.execute(delete(lines).where(_is(owner, line_id)))


def _is(owner: Owner, line_id: str) -> ColumnElement[bool]:
    return and_(lines.c.account_id == owner.account_id, lines.c.region == owner.region, lines.c.line_id == line_id)


def _line(row: Row[*tuple[Any, ...]]) -> Line:
    return Line(**row._mapping)
