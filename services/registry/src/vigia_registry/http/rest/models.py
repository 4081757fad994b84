"""``/api/v1/models`` and ``/api/v1/hosting``: what was trained, what is being trained, what serves where. Read-only."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field

from vigia_contracts.training import ModelMetrics
from vigia_registry.hosting import overview
from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.hosting.versions import Report
from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models import reports
from vigia_registry.models import service as models
from vigia_registry.models.domain import AwsStatus, ModelState, ModelView
from vigia_registry.models.outputs import ReportKind

#: The report lies where its customer may write: whatever stands there runs nothing and asks for nothing.
_REPORT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept",
}
_REPORT_TYPES = {ReportKind.HTML: "text/html", ReportKind.JSON: "application/json"}


class Training(Answer):
    """A training under way."""

    stage: str | None
    fraction: float | None = Field(description="share of the work that is done, in time, 0 to 1")
    expected_end: datetime | None = Field(description="when it will have ended, by its speed so far")
    attempt: int | None


class Units(Answer):
    """Inference units of a version that is hosted or being started. ``max`` null: their number is fixed."""

    min: int
    max: int | None
    desired: int
    in_service: int


class ModelItem(Answer):
    model_version: str
    arn: str
    status: AwsStatus
    status_message: str
    description: str | None
    training: Training | None = Field(description="while it is trained, else null")
    metrics: ModelMetrics | None
    units: Units | None = Field(description="while it is to be hosted, else null")
    created_at: datetime


class ModelPage(Answer):
    project: str
    items: list[ModelItem]
    next: str | None


class TritonItem(Answer):
    triton: str
    report: Report
    reason: str
    seen_at: datetime


class HostingItem(Answer):
    service: Service = Field(description="whose project it is: lookoutvision, or rekognition, which is Custom Labels")
    project: str
    model_version: str
    arn: str
    desired: Desired
    observed: Observed
    reason: str | None
    min_units: int
    max_units: int | None
    desired_units: int = Field(description="inference units that there should be")
    in_service_units: int = Field(description="inference units that answer, in the mean of all Tritons")
    triton_model: str | None
    since: datetime
    tritons: list[TritonItem] = Field(description="the version as each Triton was last seen to have it")


class HostingList(Answer):
    items: list[HostingItem]


def create_router(door: Door) -> APIRouter:
    """Routes of models and hosting."""
    router = door.router(tags=["models"])
    reader = Depends(door.caller(Action.READ_MODELS))

    @router.get("/models", summary="A project's model versions, newest first", responses=problems(404))
    async def index(
        project: Annotated[str, Query(min_length=1, max_length=255)],
        limit: Limit = 50,
        cursor: Cursor = None,
        owner: Owner = reader,
    ) -> ModelPage:
        async with door.transaction() as session:
            page = await models.page(session, door.pages, owner, project, cursor, limit)
        return ModelPage(project=project, items=[_model(view) for view in page.items], next=page.next_token)

    @router.get(
        "/projects/{project}/models/{version}/report",
        summary="The version's evaluation report: a page, or JSON where `Accept` asks for it",
        response_class=Response,
        responses={
            200: {"content": {"text/html": {}, "application/json": {}}, "description": "The report"},
            **problems(404),
        },
    )
    async def report(
        request: Request,
        project: Annotated[str, Path(min_length=1, max_length=255)],
        version: Annotated[str, Path(pattern=r"^([1-9][0-9]{0,8}|latest)$")],
        accept: Annotated[str, Header(max_length=1000)] = "",
        owner: Owner = reader,
    ) -> Response:
        async with door.transaction() as session:
            view = await models.get(session, owner, project, "latest" if version == "latest" else int(version))
        kind = ReportKind.JSON if "application/json" in accept and "text/html" not in accept else ReportKind.HTML
        data = await reports.read(door.deps.objects, door.rights(request), project, view.model, kind)
        return Response(data, media_type=_REPORT_TYPES[kind], headers=_REPORT_HEADERS)

    @router.get("/hosting", summary="What is hosted or should be, and where")
    async def hosting(owner: Owner = reader) -> HostingList:
        async with door.transaction() as session:
            found = await overview.hosted(session, owner)
        return HostingList(items=[_hosting(version) for version in found])

    return router


def _model(view: ModelView) -> ModelItem:
    model = view.model
    training = None
    if model.state is ModelState.TRAINING:
        training = Training(
            stage=model.stage,
            fraction=model.progress,
            expected_end=model.training_end,
            attempt=model.attempt,
        )
    return ModelItem(
        model_version=str(model.version),
        arn=model.arn,
        status=view.status,
        status_message=view.status_message,
        description=model.description,
        training=training,
        metrics=model.metrics,
        units=_units(view),
        created_at=model.created_at,
    )


def _units(view: ModelView) -> Units | None:
    if view.min_units is None:
        return None
    return Units(min=view.min_units, max=view.max_units, desired=view.desired_units, in_service=view.in_service_units)


def _hosting(found: overview.HostedVersion) -> HostingItem:
    values = asdict(found)
    return HostingItem(**{**values, "model_version": found.version})
