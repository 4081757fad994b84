"""One request, as the operations see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.identity.domain import Owner
from vigia_registry.objects import S3Rights
from vigia_registry.pagination import Pages
from vigia_runtime.sigv4 import Credential

Shape = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known caller for a known operation. Members are not validated yet."""

    deps: Deps
    pages: Pages
    operation: str
    journal: Journal
    caller: Credential
    owner: Owner
    rights: S3Rights
    body: dict[str, Any]

    @asynccontextmanager
    async def change(self) -> AsyncIterator[AsyncSession]:
        """A transaction for what the call changes, with which its audit record is committed."""
        async with self.journal.change(200) as session:
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction to look things up in."""
        async with self.deps.database.transaction() as session:
            yield session
