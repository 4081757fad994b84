"""Client tokens in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.idempotency.tables import client_tokens
from vigia_registry.identity.domain import Owner


def _is(owner: Owner, operation: str, token: str) -> ColumnElement[bool]:
    return and_(
        client_tokens.c.account_id == owner.account_id,
        client_tokens.c.region == owner.region,
        client_tokens.c.operation == operation,
        client_tokens.c.token == token,
    )


async def claim(
    session: AsyncSession, owner: Owner, operation: str, token: str, fingerprint: str, stale_before: datetime
) -> bool:
    """Take the token for this transaction; False when a committed request has it.

    Waits while another transaction holds the same token. A token older than ``stale_before`` counts as new.
    """
    statement = insert(client_tokens).values(
        account_id=owner.account_id, region=owner.region, operation=operation, token=token, fingerprint=fingerprint
    )
    taken = await session.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id", "region", "operation", "token"],
            set_={"fingerprint": fingerprint, "answer": None, "created_at": func.now()},
            where=client_tokens.c.created_at < stale_before,
        ).returning(client_tokens.c.token)
    )
    return taken.one_or_none() is not None


async def stored(session: AsyncSession, owner: Owner, operation: str, token: str) -> tuple[str, dict[str, Any]]:
    """Fingerprint and answer of a token that is taken."""
    found = await session.execute(
        select(client_tokens.c.fingerprint, client_tokens.c.answer).where(_is(owner, operation, token))
    )
    row = found.one()
    return row.fingerprint, row.answer


async def answer(session: AsyncSession, owner: Owner, operation: str, token: str, value: dict[str, Any]) -> None:
    """Store the answer that repetitions of the request get."""
    await session.execute(update(client_tokens).where(_is(owner, operation, token)).values(answer=value))


async def purge(session: AsyncSession, stale_before: datetime) -> int:
    """Forget tokens older than ``stale_before``; how many there were."""
    gone = await session.execute(
        delete(client_tokens).where(client_tokens.c.created_at < stale_before).returning(client_tokens.c.token)
    )
    return len(gone.all())
