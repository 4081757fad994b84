"""Doing a thing once, however often it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.idempotency import repository
from vigia_registry.idempotency.errors import TokenReused
from vigia_registry.identity.domain import Owner

#: How long a token protects.
LIFETIME = timedelta(hours=8)

Answer = dict[str, Any]


def fingerprint(parameters: dict[str, Any]) -> str:
    """A digest that two requests share when all their parameters are equal."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


async def once(
    session: AsyncSession,
    owner: Owner,
    operation: str,
    token: str | None,
    parameters: dict[str, Any],
    details: dict[str, str],
    action: Callable[[], Awaitable[Answer]],
) -> Answer:
    """The answer of ``action``, or the one that the same request got before; TokenReused when parameters differ.

    ``action`` works in the same transaction: when it raises, the token is free again. ``details`` says what the
    request was about.
    """
    if token is None:
        return await action()
    digest = fingerprint(parameters)
    if await repository.claim(session, owner, operation, token, digest, datetime.now(UTC) - LIFETIME):
        answer = await action()
        await repository.answer(session, owner, operation, token, answer)
        return answer
    known, answer = await repository.stored(session, owner, operation, token)
    if known != digest:
        raise TokenReused(token, details)
    return answer


async def purge(session: AsyncSession) -> int:
    """Forget tokens that protect no more."""
    return await repository.purge(session, datetime.now(UTC) - LIFETIME)
