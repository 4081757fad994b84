"""The HTTP door holds a bounded number of images and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from prometheus_client import REGISTRY

from vigia_contracts.audit import Call, CallOutcome
from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_detection.app.detect import Permit, Reply, Request
from vigia_detection.entrypoints.calls import CallLog
from vigia_detection.entrypoints.http import Door, create
from vigia_runtime.errors import Transient
from vigia_runtime.policies import allowing
from vigia_runtime.signin import Authenticator, Credential
from vigia_vision.interpret import Answer

PATH = "/2020-11-20/projects/cookies/models/1/detect"


class OneKey:
    """A source with one credential."""

    async def credential(self, access_key_id: str) -> Credential | None:
        arn = "arn:aws:iam::123456789012:user/x"
        return Credential("key", "secret", None, "123456789012", arn, (allowing("*"),))

    async def used(self, credential: Credential, service: str) -> None:
        """Nobody asks."""


class Written:
    """Takes down what would be published."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.error: Exception | None = None

    async def announce_call(self, event: Event) -> None:
        if self.error is not None:
            raise self.error
        assert isinstance(event.data, Call)
        self.calls.append(event.data)


class NothingHosted:
    """No deployments."""

    def get(self, key: str) -> Deployment | None:
        return None

    def items(self) -> list[tuple[str, Deployment]]:
        return []


def door_of(detector: Any, written: Written, concurrency: int = 1) -> Door:
    log = CallLog(written, NothingHosted())  # type: ignore[arg-type]
    return Door(detector, Authenticator(OneKey()), None, log, concurrency)  # type: ignore[arg-type]


async def test_a_full_door_throttles_and_opens_again(kit: Any) -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def detector(request: Request, permit: Permit) -> Reply:
        entered.set()
        await release.wait()
        return Reply(Answer(0.1, False, 0.9, (), 1.0, None), None)

    written = Written()
    transport = httpx.ASGITransport(create(door_of(detector, written), "test"))
    image = kit.picture(defect=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:

        async def ask() -> httpx.Response:
            return await client.post(PATH, content=image, headers={"content-type": "image/jpeg"})

        first = asyncio.create_task(ask())
        await entered.wait()
        refused = await ask()
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (429, "ThrottlingException")
        assert refused.headers["retry-after"]
        assert [call.outcome for call in written.calls] == [CallOutcome.THROTTLED]
        release.set()
        assert (await first).status_code == 200
        assert (await ask()).status_code == 200


async def test_a_bug_is_an_internal_error_without_its_text(kit: Any) -> None:
    async def detector(request: Request, permit: Permit) -> Reply:
        raise ZeroDivisionError("a secret detail")

    written = Written()
    transport = httpx.ASGITransport(create(door_of(detector, written), "test"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:
        answer = await client.post(PATH, content=kit.picture(defect=False), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "InternalServerException")
    assert "secret" not in answer.text
    [call] = written.calls
    assert (call.outcome, call.record.errorCode) == (CallOutcome.SERVER_ERROR, "InternalServerException")
    assert (call.project, call.model_version) == (None, None)
    assert "secret detail" not in call.model_dump_json()


async def test_a_caller_gets_its_error_though_it_cannot_be_written_down(kit: Any) -> None:
    async def detector(request: Request, permit: Permit) -> Reply:
        raise Transient("the broker is away")

    def unrecorded() -> float:
        return REGISTRY.get_sample_value("vigia_calls_unrecorded_total", {"service": "detection"}) or 0.0

    written, before = Written(), unrecorded()
    written.error = Transient("the broker is away")
    transport = httpx.ASGITransport(create(door_of(detector, written), "test"))
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:
        answer = await client.post(PATH, content=kit.picture(defect=False), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "InternalServerException")
    assert unrecorded() == before + 1
