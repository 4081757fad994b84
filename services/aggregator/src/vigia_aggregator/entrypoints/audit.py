"""``/api/v1/audit``: who called what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from vigia_aggregator.adapters import audit
from vigia_aggregator.domain.cursors import PageCursor
from vigia_aggregator.domain.filters import CallFilter
from vigia_aggregator.entrypoints.answers import Answer
from vigia_aggregator.entrypoints.context import SIGNED_IN, Auditor, Ctx
from vigia_aggregator.entrypoints.inspections import aware
from vigia_contracts.audit import CallOutcome
from vigia_contracts.base import UtcTime

router = APIRouter(prefix="/api/v1/audit", tags=["audit"], dependencies=[SIGNED_IN])

_Text = Annotated[str | None, Query(max_length=2000)]


class AuditItem(Answer):
    """One call."""

    event_id: UUID
    called_at: UtcTime
    region: str
    source: str = Field(
        description="`lookoutvision.amazonaws.com`, `rekognition.amazonaws.com`, or `vigia` for Vigia's own API"
    )
    name: str = Field(description="the operation")
    read_only: bool
    username: str = Field(description="the user, or the session of a role")
    access_key_id: str
    outcome: CallOutcome
    error_code: str | None
    project: str | None
    model_version: str | None
    duration_ms: float
    record: dict[str, Any] = Field(description="the CloudTrail record")


class AuditPage(Answer):
    """Calls, and where the next page begins."""

    items: list[AuditItem]
    next: str | None = Field(description="Cursor of the next page: give it as `cursor`. Null on the last page.")


@router.get("", summary="List calls")
async def list_calls(
    context: Ctx,
    account: Auditor,
    name: _Text = None,
    user: _Text = None,
    source: _Text = None,
    access_key: _Text = None,
    read_only: bool | None = None,
    outcome: CallOutcome | None = None,
    project: _Text = None,
    model_version: _Text = None,
    resource: Annotated[
        str | None, Query(max_length=2000, description="what the call names: a project, `project/1`, a camera, a line")
    ] = None,
    since: Annotated[datetime | None, Query(alias="from", description="called at or after")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="called before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> AuditPage:
    """Newest first, in all regions of the account: calls of the AWS operations, and changes by Vigia's own API."""
    wanted = CallFilter(
        account_id=account,
        source=source,
        name=name,
        username=user,
        access_key_id=access_key,
        read_only=read_only,
        outcome=outcome,
        project=project,
        model_version=model_version,
        resource=resource,
        since=aware(since),
        until=aware(until),
    )
    place = PageCursor.decode(cursor) if cursor is not None else None
    async with context.reading() as connection:
        rows, following = await audit.page(connection, wanted, place, limit)
    return AuditPage(
        items=[AuditItem.model_validate({name: row[name] for name in AuditItem.model_fields}) for row in rows],
        next=following.encode() if following is not None else None,
    )
