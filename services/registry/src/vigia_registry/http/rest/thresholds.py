"""``/api/v1/projects/{project}/models/{version}/thresholds``: from which score a version's parts are rejected."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.identity.domain import Owner
from vigia_registry.thresholds import service
from vigia_registry.thresholds.domain import LONGEST_REASON, Limits, Prediction, Record, Source
from vigia_runtime.signin import Credential

Project = Annotated[str, Path(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_\-]*$")]
#: ``latest`` is not taken: it might mean another version than the one that was looked at.
Version = Annotated[str, Path(pattern=r"^[1-9][0-9]{0,8}$")]
#: Letters, line breaks and tabs: what a person writes, and a database takes.
Reason = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=LONGEST_REASON, strip_whitespace=True, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$"
    ),
]
_PREDICTED = Field(description="what it makes of the version's test images; null where their scores cannot be had")


class NewThreshold(BaseModel):
    """A record to add."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    value: float = Field(description="score from which a part is anomalous, between 0 and 1")
    review_low: float | None = Field(default=None, description="scores from here to below `review_high` give REVIEW")
    review_high: float | None = None
    reason: Reason
    replaces: int = Field(ge=1, le=2**31 - 1, description="number of the newest record, as the caller has seen it")


class ThresholdItem(Answer):
    number: int = Field(description="counts from 1 within the version; the highest decides")
    threshold_id: UUID = Field(description="inspections name the record that decided by this")
    value: float
    review_low: float | None
    review_high: float | None
    source: Source
    author: str = Field(description="ARN of who added it; `training` of the first")
    reason: str
    predicted: Prediction | None = _PREDICTED
    created_at: datetime


class ThresholdPage(Answer):
    project: str
    model_version: str
    items: list[ThresholdItem]
    next: str | None


class PreviewItem(Answer):
    project: str
    model_version: str
    value: float
    review_low: float | None
    review_high: float | None
    predicted: Prediction | None = _PREDICTED
    unpredicted: str | None = Field(description="why nothing is predicted; null where it is")


def create_router(door: Door) -> APIRouter:
    """Routes of threshold records."""
    router = door.router("/projects/{project}/models/{version}/thresholds", tags=["models"])
    reader = Depends(door.caller(Action.READ_MODELS, "model/{project}/{version}"))
    changer = Depends(door.caller(Action.CHANGE_THRESHOLDS, "model/{project}/{version}"))
    objects = door.deps.objects

    @router.get("", summary="A version's threshold records, newest first", responses=problems(404, 409))
    async def index(
        project: Project, version: Version, limit: Limit = 50, cursor: Cursor = None, owner: Owner = reader
    ) -> ThresholdPage:
        async with door.transaction() as session:
            model = await service.trained(session, owner, project, int(version))
            page = await service.page(session, door.pages, model, cursor, limit)
        records = page.items or [await service.first(objects, model)]
        items = [_item(record) for record in records]
        return ThresholdPage(project=project, model_version=version, items=items, next=page.next_token)

    @router.get("/preview", summary="What a threshold would do to the test images", responses=problems(400, 404, 409))
    async def preview(
        project: Project,
        version: Version,
        value: Annotated[float, Query(allow_inf_nan=False)],
        review_low: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        review_high: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        owner: Owner = reader,
    ) -> PreviewItem:
        async with door.transaction() as session:
            model = await service.trained(session, owner, project, int(version))
        found = await service.preview(objects, model, Limits(value, review_low, review_high))
        return PreviewItem(
            project=project,
            model_version=version,
            value=value,
            review_low=review_low,
            review_high=review_high,
            predicted=found.predicted,
            unpredicted=found.unpredicted,
        )

    @router.post(
        "",
        status_code=201,
        name="ChangeThreshold",
        summary="Decide by another threshold from now on",
        description="What serves decides by it within seconds; nothing is trained or exported again.",
        responses=problems(400, 404, 409, 429),
    )
    async def change(
        request: Request, project: Project, version: Version, body: NewThreshold, owner: Owner = changer
    ) -> ThresholdItem:
        async with door.transaction() as session:
            model = await service.trained(session, owner, project, int(version))
        wanted = await service.preview(objects, model, Limits(body.value, body.review_low, body.review_high))
        caller: Credential = request.state.credential
        async with door.change(request) as session:
            record = await service.change(
                session,
                owner,
                project,
                int(version),
                wanted,
                replaces=body.replaces,
                author=caller.principal_arn,
                reason=body.reason,
            )
        return _item(record)

    return router


def _item(record: Record) -> ThresholdItem:
    return ThresholdItem(
        number=record.number,
        threshold_id=record.threshold_id,
        value=record.limits.value,
        review_low=record.limits.review_low,
        review_high=record.limits.review_high,
        source=record.source,
        author=record.author,
        reason=record.reason,
        predicted=record.predicted,
        created_at=record.created_at,
    )
