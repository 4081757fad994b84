"""One request, as the operations see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import QueryParams

from vigia_registry.audit.journal import Journal
from vigia_registry.bootstrap import Deps
from vigia_registry.errors import Resource, about
from vigia_registry.http.lookoutvision.shapes import Shape
from vigia_registry.idempotency import service as idempotency
from vigia_registry.identity.domain import Owner
from vigia_registry.objects import S3Rights
from vigia_registry.pagination import Pages


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known caller for a known operation. Members are not validated yet. ``status``: that of success."""

    deps: Deps
    pages: Pages
    operation: str
    status: int
    journal: Journal | None
    owner: Owner
    rights: S3Rights
    path: Mapping[str, str]
    query: QueryParams
    body: dict[str, Any]
    token: str | None

    async def once(
        self, resource: Resource, resource_id: str, action: Callable[[AsyncSession], Awaitable[Shape]]
    ) -> Shape:
        """The answer of ``action`` in a transaction; a repetition with the same client token gets the same answer.

        The call's audit record is committed with it.
        """
        parameters = {"path": dict(self.path), "body": self.body}
        async with self.deps.database.transaction() as session:
            answer = await idempotency.once(
                session,
                self.owner,
                self.operation,
                self.token,
                parameters,
                about(resource, resource_id),
                lambda: action(session),
            )
            if self.journal is not None:
                await self.journal.add(session, self.status, recorded_answer(answer))
        if self.journal is not None:
            self.journal.kept = True
        return answer


def recorded_answer(answer: Shape) -> Shape:
    """The answer as CloudTrail records it: of a new dataset its status alone."""
    made = answer.get("DatasetMetadata")
    return {"Status": made["Status"]} if made else answer
