"""``/api/v1/lines``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vigia_contracts.base import Name
from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.identity.domain import Owner
from vigia_registry.lines import service
from vigia_registry.lines.domain import Line

LineId = Annotated[Name, Path()]


class NewLine(BaseModel):
    """A line to create."""

    model_config = ConfigDict(extra="forbid")

    line_id: Name
    description: str = Field(default="", max_length=500)


class LineBody(BaseModel):
    """What may be said of a line."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=500)


class LineItem(Answer):
    line_id: str
    description: str
    created_at: datetime


class LinePage(Answer):
    items: list[LineItem]
    next: str | None


def create_router(door: Door) -> APIRouter:
    """Routes of lines."""
    router = door.router("/lines", tags=["lines"])
    lister = Depends(door.caller(Action.READ_CAMERAS))
    creator = Depends(door.caller(Action.CHANGE_CAMERAS))
    reader = Depends(door.caller(Action.READ_CAMERAS, "line/{line_id}"))
    changer = Depends(door.caller(Action.CHANGE_CAMERAS, "line/{line_id}"))

    @router.post("", status_code=201, summary="Create a line", name="CreateLine", responses=problems(400, 409))
    async def create(request: Request, body: NewLine, owner: Owner = creator) -> LineItem:
        async with door.change(request) as session:
            return _item(await service.create(session, owner, body.line_id, body.description))

    @router.put(
        "/{line_id}",
        name="PutLine",
        summary="Create or replace a line",
        responses={201: {"description": "Created", "model": LineItem}, **problems(400)},
    )
    async def put(
        request: Request, line_id: LineId, body: LineBody, response: Response, owner: Owner = changer
    ) -> LineItem:
        async with door.change(request) as session:
            line, created = await service.put(session, owner, line_id, body.description)
        response.status_code = 201 if created else 200
        return _item(line)

    @router.get("", summary="List lines")
    async def index(limit: Limit = 50, cursor: Cursor = None, owner: Owner = lister) -> LinePage:
        async with door.transaction() as session:
            page = await service.page(session, door.pages, owner, cursor, limit)
        return LinePage(items=[_item(line) for line in page.items], next=page.next_token)

    @router.get("/{line_id}", summary="One line", responses=problems(404))
    async def get(line_id: str, owner: Owner = reader) -> LineItem:
        async with door.transaction() as session:
            return _item(await service.get(session, owner, line_id))

    @router.delete(
        "/{line_id}",
        status_code=204,
        summary="Delete a line without cameras",
        name="DeleteLine",
        responses=problems(404, 409),
    )
    async def delete(request: Request, line_id: str, owner: Owner = changer) -> None:
        async with door.change(request) as session:
            await service.remove(session, owner, line_id)

    return router


def _item(line: Line) -> LineItem:
    return LineItem(line_id=line.line_id, description=line.description, created_at=line.created_at)
