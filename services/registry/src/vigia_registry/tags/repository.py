"""Tags in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.tags.tables import tags


async def of(session: AsyncSession, arn: str) -> dict[str, str]:
    """The resource's tags, by key; empty for one that has none."""
    rows = await session.execute(
        select(tags.c.key, tags.c.value).where(tags.c.resource_arn == arn).order_by(tags.c.key)
    )
    return {row.key: row.value for row in rows}


async def put(session: AsyncSession, arn: str, given: Mapping[str, str]) -> None:
    """Add tags, or give those that are there new values."""
    if not given:
        return
    rows = insert(tags).values([{"resource_arn": arn, "key": key, "value": value} for key, value in given.items()])
    await session.execute(
        rows.on_conflict_do_update(
            index_elements=[tags.c.resource_arn, tags.c.key], set_={"value": rows.excluded.value}
        )
    )


async def remove(session: AsyncSession, arn: str, keys: Collection[str]) -> None:
    """Take tags away; a key that is not there is no error."""
    await session.execute(delete(tags).where(tags.c.resource_arn == arn, tags.c.key.in_(keys)))


async def remove_all(session: AsyncSession, arn: str) -> None:
    """Forget every tag of a resource that goes."""
    await session.execute(delete(tags).where(tags.c.resource_arn == arn))
