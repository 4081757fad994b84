"""``/api/v1/cameras``. Addresses are shown without their credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vigia_contracts.base import Name
from vigia_contracts.cameras import CameraPolicy, Source
from vigia_registry.cameras import service
from vigia_registry.cameras.domain import CameraSpec, StoredCamera, redacted
from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.http.rest.strict import Strict
from vigia_registry.identity.domain import Owner

CameraId = Annotated[Name, Path()]
#: A model version's number, as the AWS protocols write it.
VersionText = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]


class CameraBody(BaseModel):
    """A camera, where it stands, how it is read and what judges it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    line_id: Name | None = None
    station: Name | None = None
    product: str | None = Field(default=None, max_length=128)
    project: str | None = Field(default=None, max_length=255, description="whose hosted model judges; must exist")
    model_version: VersionText | None = Field(
        default=None, description="the one version that may judge; without it the newest hosted one does"
    )
    enabled: bool = True
    source: Annotated[Source, Strict]
    policy: Annotated[CameraPolicy, Strict] = CameraPolicy()


class CameraItem(Answer):
    camera_id: str
    account_id: str
    region: str
    line_id: str | None
    station: str | None
    product: str | None
    project: str | None
    model_version: str | None
    enabled: bool
    source: Source
    policy: CameraPolicy
    revision: int
    created_at: datetime
    updated_at: datetime


class CameraPage(Answer):
    items: list[CameraItem]
    next: str | None


def create_router(door: Door) -> APIRouter:
    """Routes of cameras."""
    router = door.router("/cameras", tags=["cameras"])
    lister = Depends(door.caller(Action.READ_CAMERAS))
    reader = Depends(door.caller(Action.READ_CAMERAS, "camera/{camera_id}"))
    changer = Depends(door.caller(Action.CHANGE_CAMERAS, "camera/{camera_id}"))

    @router.put(
        "/{camera_id}",
        name="PutCamera",
        summary="Create or replace a camera",
        description="An address given as it was shown, with `***` for its credentials, keeps the stored one.",
        responses={201: {"description": "Created", "model": CameraItem}, **problems(400, 409)},
    )
    async def put(
        request: Request, camera_id: CameraId, body: CameraBody, response: Response, owner: Owner = changer
    ) -> CameraItem:
        async with door.change(request) as session:
            camera, created = await service.put(session, owner, camera_id, _spec(body))
        response.status_code = 201 if created else 200
        return _item(camera)

    @router.get("", summary="List cameras")
    async def index(
        line: str | None = None, limit: Limit = 50, cursor: Cursor = None, owner: Owner = lister
    ) -> CameraPage:
        async with door.transaction() as session:
            page = await service.page(session, door.pages, owner, line, cursor, limit)
        return CameraPage(items=[_item(camera) for camera in page.items], next=page.next_token)

    @router.get("/{camera_id}", summary="One camera", responses=problems(404))
    async def get(camera_id: str, owner: Owner = reader) -> CameraItem:
        async with door.transaction() as session:
            return _item(await service.get(session, owner, camera_id))

    @router.delete(
        "/{camera_id}", status_code=204, summary="Delete a camera", name="DeleteCamera", responses=problems(404)
    )
    async def delete(request: Request, camera_id: str, owner: Owner = changer) -> None:
        async with door.change(request) as session:
            await service.remove(session, owner, camera_id)

    @router.post("/{camera_id}/enable", summary="Read the camera again", name="EnableCamera", responses=problems(404))
    async def enable(request: Request, camera_id: str, owner: Owner = changer) -> CameraItem:
        async with door.change(request) as session:
            return _item(await service.enable(session, owner, camera_id, True))

    @router.post(
        "/{camera_id}/disable", summary="Read the camera no more", name="DisableCamera", responses=problems(404)
    )
    async def disable(request: Request, camera_id: str, owner: Owner = changer) -> CameraItem:
        async with door.change(request) as session:
            return _item(await service.enable(session, owner, camera_id, False))

    return router


def _spec(body: CameraBody) -> CameraSpec:
    return CameraSpec(
        source=body.source,
        line_id=body.line_id,
        station=body.station,
        product=body.product,
        project=body.project,
        model_version=None if body.model_version is None else int(body.model_version),
        enabled=body.enabled,
        policy=body.policy,
    )


def _item(camera: StoredCamera) -> CameraItem:
    spec = camera.spec
    return CameraItem(
        camera_id=camera.camera_id,
        account_id=camera.account_id,
        region=camera.region,
        line_id=spec.line_id,
        station=spec.station,
        product=spec.product,
        project=spec.project,
        model_version=None if spec.model_version is None else str(spec.model_version),
        enabled=spec.enabled,
        source=redacted(spec.source),
        policy=spec.policy,
        revision=camera.revision,
        created_at=camera.created_at,
        updated_at=camera.updated_at,
    )
