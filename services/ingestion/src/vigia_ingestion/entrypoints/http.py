"""The push door: POST an image, get the id of its frame."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel

from vigia_ingestion.app.push import PushDoor, Pushed, UnsupportedImage
from vigia_runtime.http import create_app, problem
from vigia_runtime.signin import Authenticator, Credential, signed_in

#: What a credential must allow to send frames.
ACTION = "vigia:PutFrame"
SERVICE = "vigia"


class Taken(BaseModel):
    """The frame is durable and will be inspected."""

    frame_id: str


def push_app(door: PushDoor, authenticator: Authenticator, max_body_bytes: int) -> FastAPI:
    """The HTTP application of the push door."""
    app = create_app(title="Vigia ingestion", version="1", max_body_bytes=max_body_bytes)

    caller = Depends(signed_in(authenticator, SERVICE, ACTION, "camera/{camera_id}"))

    @app.exception_handler(UnsupportedImage)
    async def unsupported(request: Request, error: UnsupportedImage) -> Response:
        return problem(request, 415, error.code, error.message)

    @app.post("/api/v1/frames/{camera_id}", status_code=202, tags=["frames"])
    async def push(
        camera_id: str,
        request: Request,
        sender: Credential = caller,
        content_type: Annotated[str | None, Header()] = None,
        x_vigia_frame_id: Annotated[str | None, Header()] = None,
        x_vigia_part_id: Annotated[str | None, Header()] = None,
        x_vigia_captured_at: Annotated[str | None, Header()] = None,
    ) -> Taken:
        """Inspect the JPEG or PNG image in the body. Answers once Kafka has it."""
        pushed = Pushed(
            camera_id=camera_id,
            account_id=sender.account_id,
            image=await request.body(),
            content_type=content_type,
            frame_id=x_vigia_frame_id,
            part_id=x_vigia_part_id,
            captured_at=x_vigia_captured_at,
        )
        return Taken(frame_id=await door.take(pushed))

    return app
