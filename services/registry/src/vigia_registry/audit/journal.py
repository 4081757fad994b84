"""The audit record of one call: written once, and never later than the answer.

A call that changes something keeps its record in the transaction of the change: both are committed or neither. Any
other call keeps it in a short transaction of its own, before it is answered. So nobody gets an answer of success that
is in no record; a call that failed keeps its answer, and where its record cannot be kept either, it is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_contracts.topics import AUDIT
from vigia_registry import schema
from vigia_registry.bootstrap import Deps
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models.tables import model_versions
from vigia_registry.projects.domain import may_be_named
from vigia_registry.projects.repository import of_owner
from vigia_registry.projects.tables import projects
from vigia_runtime import metrics
from vigia_runtime.audit import Draft
from vigia_runtime.logging import get_logger

log = get_logger(__name__)

_SERVICE: Final = "vigia/registry"
#: Versions are kept as 32-bit numbers.
_DIGITS: Final = 9


@dataclass(slots=True)
class Journal:
    """``project`` and ``version`` are what the caller named; ``kept`` once the record is committed.

    ``service``: whose names these are.
    """

    deps: Deps
    draft: Draft
    project: str | None = None
    version: str | None = None
    kept: bool = False
    service: Service = Service.LOOKOUT

    @asynccontextmanager
    async def change(self, status: int) -> AsyncIterator[AsyncSession]:
        """A transaction for what the call changes: the record that it succeeded is committed with it."""
        async with self.deps.database.transaction() as session:
            yield session
            await self._write(session, status, None, None)
        self.kept = True

    async def add(self, session: AsyncSession, status: int, response: Mapping[str, Any] | None = None) -> None:
        """Write that the call succeeded, in the transaction of what it did. After its commit, set ``kept``."""
        await self._write(session, status, None, response)

    async def succeeded(self, status: int) -> None:
        """Write that the call succeeded, unless ``add`` did. What the database says against it is raised."""
        if not self.kept:
            await self._write_alone(status, None)

    async def failed(self, status: int, code: str, message: str) -> None:
        """Write that the call failed. Never raises: the caller has an error already, and gets that one."""
        if self.kept:
            return
        try:
            await self._write_alone(status, (code, message))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not replace the caller's own error
            metrics.CALLS_UNRECORDED.labels("registry").inc()
            log.error(
                "a failed call is in no audit record",
                call=self.draft.name,
                caller=self.draft.credential.principal_arn,
                code=code,
                error=type(error).__name__,
            )

    async def _write_alone(self, status: int, error: tuple[str, str] | None) -> None:
        async with self.deps.database.transaction() as session:
            await self._write(session, status, error, None)
        self.kept = True

    async def _write(
        self, session: AsyncSession, status: int, error: tuple[str, str] | None, response: Mapping[str, Any] | None
    ) -> None:
        await self.deps.waiting.admit(session, self.deps.settings.audit.max_waiting)
        project, version = await self._existing(session)
        event = self.draft.ended(_SERVICE, status, error=error, response=response, project=project, version=version)
        await schema.announcements.add(session, AUDIT, event)

    async def _existing(self, session: AsyncSession) -> tuple[str | None, str | None]:
        """Project and version where they exist: anybody can name others, and metrics must not grow by that."""
        # What cannot be a name is not asked for: the database would not even take some of it, and with the question
        # the record would be lost.
        if self.project is None or not may_be_named(self.project, self.service):
            return None, None
        owner = Owner(self.draft.credential.account_id, self.draft.region, self.service)
        named = select(projects.c.id).where(of_owner(owner), projects.c.name == self.project)
        found = (await session.execute(named)).scalar_one_or_none()
        if found is None:
            return None, None
        if self.version is None:
            return self.project, None
        if self.service is Service.CUSTOM_LABELS:
            known = select(model_versions.c.id).where(
                model_versions.c.project_id == found, model_versions.c.name == self.version
            )
            has = may_be_named(self.version, self.service) and (await session.execute(known)).first() is not None
            return self.project, self.version if has else None
        versions = select(func.max(model_versions.c.version)).where(model_versions.c.project_id == found)
        if self.version != "latest":
            if not (self.version.isascii() and self.version.isdigit() and len(self.version) <= _DIGITS):
                return self.project, None
            versions = versions.where(model_versions.c.version == int(self.version))
        number = (await session.execute(versions)).scalar_one_or_none()
        return self.project, None if number is None else str(number)
