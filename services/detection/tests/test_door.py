"""The HTTP door holds a bounded number of images and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from vigia_detection.app.detect import Reply, Request
from vigia_detection.entrypoints.http import Door, create
from vigia_runtime.signin import Authenticator, Credential
from vigia_vision.interpret import Answer

PATH = "/2020-11-20/projects/cookies/models/1/detect"


class OneKey:
    """A source with one credential."""

    async def credential(self, access_key_id: str) -> Credential | None:
        return Credential("key", "secret", None, "123456789012", "arn:aws:iam::123456789012:user/x", ("*",))


async def test_a_full_door_throttles_and_opens_again(kit: Any) -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def detector(request: Request) -> Reply:
        entered.set()
        await release.wait()
        return Reply(Answer(0.1, False, 0.9, (), 1.0, None), None)

    door = Door(detector, Authenticator(OneKey()), None, concurrency=1)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(create(door, "test"))
    image = kit.picture(defect=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:

        async def ask() -> httpx.Response:
            return await client.post(PATH, content=image, headers={"content-type": "image/jpeg"})

        first = asyncio.create_task(ask())
        await entered.wait()
        refused = await ask()
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (429, "ThrottlingException")
        assert refused.headers["retry-after"]
        release.set()
        assert (await first).status_code == 200
        assert (await ask()).status_code == 200


async def test_a_bug_is_an_internal_error_without_its_text(kit: Any) -> None:
    async def detector(request: Request) -> Reply:
        raise ZeroDivisionError("a secret detail")

    door = Door(detector, Authenticator(OneKey()), None, concurrency=1)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(create(door, "test"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:
        answer = await client.post(PATH, content=kit.picture(defect=False), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "InternalServerException")
    assert "secret" not in answer.text
