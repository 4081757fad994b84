"""Accounts and access keys in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.identity.tables import access_keys, accounts


async def add_account(session: AsyncSession, account_id: str) -> None:
    """Create the account where it is missing."""
    await session.execute(insert(accounts).values(id=account_id).on_conflict_do_nothing())


async def put_access_key(session: AsyncSession, values: dict[str, Any]) -> None:
    """Create the key, or overwrite the one of that id."""
    statement = insert(access_keys).values(values)
    changed = {name: statement.excluded[name] for name in values if name != "access_key_id"}
    await session.execute(statement.on_conflict_do_update(index_elements=["access_key_id"], set_=changed))


async def access_key(session: AsyncSession, access_key_id: str) -> RowMapping | None:
    """The key's row, or None."""
    found = await session.execute(select(access_keys).where(access_keys.c.access_key_id == access_key_id))
    return found.mappings().one_or_none()
