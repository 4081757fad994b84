"""The HTTP door holds a bounded number of images and says so."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from prometheus_client import REGISTRY

from vigia_contracts.audit import Call, CallOutcome
from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_detection.app.detect import Permit, Reply, Request
from vigia_detection.entrypoints.calls import CallLog
from vigia_detection.entrypoints.http import create
from vigia_detection.entrypoints.lookoutvision.door import Door
from vigia_detection.entrypoints.places import Places
from vigia_runtime.errors import Transient
from vigia_runtime.policies import allowing
from vigia_runtime.signin import Authenticator, Credential
from vigia_vision.decode import DEFAULT_LIMITS
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
    log = CallLog(written, 5.0)  # type: ignore[arg-type]
    return Door(detector, NothingHosted(), Authenticator(OneKey()), None, log, Places(concurrency))  # type: ignore[arg-type]


async def nobody(request: Request, permit: Permit) -> Reply:
    raise AssertionError("there is no image to judge")


async def test_a_full_door_throttles_and_opens_again(kit: Any) -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def detector(request: Request, permit: Permit) -> Reply:
        entered.set()
        await release.wait()
        return Reply(Answer(0.1, False, 0.9, (), 1.0, None), None)

    written = Written()
    transport = httpx.ASGITransport(create([door_of(detector, written)], "test"))
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
    transport = httpx.ASGITransport(create([door_of(detector, written)], "test"), raise_app_exceptions=False)
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
    transport = httpx.ASGITransport(create([door_of(detector, written)], "test"))
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:
        answer = await client.post(PATH, content=kit.picture(defect=False), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "InternalServerException")
    assert unrecorded() == before + 1


class Signed(httpx.Auth):
    """Signs as AWS clients do: without a header for the body's digest."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        kind = {"Host": "door", "content-type": request.headers["content-type"]}
        signed = AWSRequest(request.method, str(request.url), headers=kind, data=request.content)
        SigV4Auth(Credentials("key", "secret"), "lookoutvision", "us-east-1").add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


@pytest.mark.parametrize("auth", [httpx.BasicAuth("key", "secret"), Signed()], ids=["basic", "signed"])
@pytest.mark.parametrize("size", [DEFAULT_LIMITS.max_bytes + 1, 20 * 1024 * 1024])
async def test_an_image_that_is_too_large_is_written_down_as_invalid(auth: httpx.Auth, size: int) -> None:
    written = Written()
    transport = httpx.ASGITransport(create([door_of(nobody, written)], "test"))
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=auth) as client:
        answer = await client.post(PATH, content=bytes(size), headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer.json()["Message"] == f"The image has {size} bytes. The maximum is {DEFAULT_LIMITS.max_bytes} bytes."
    [call] = written.calls
    assert (call.outcome, call.images_invalid, call.images_processed) == (CallOutcome.CLIENT_ERROR, 1, 0)
    assert call.record.errorMessage == answer.json()["Message"]


async def test_an_image_beyond_all_bounds_is_refused_unread(kit: Any) -> None:
    written = Written()
    transport = httpx.ASGITransport(create([door_of(nobody, written)], "test"))
    headers = {"content-type": "image/jpeg", "content-length": str(10**12)}
    async with httpx.AsyncClient(transport=transport, base_url="http://door", auth=("key", "secret")) as client:
        answer = await client.post(PATH, content=b"x", headers=headers)
        unknown = await client.post(PATH, content=b"x", headers=headers, auth=("key", "wrong"))
    for refused in (answer, unknown):
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (400, "ValidationException")
    [call] = written.calls
    assert call.images_invalid == 1


async def test_a_request_that_breaks_off_is_written_down_and_is_no_image() -> None:
    written = Written()
    messages = [{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_: Any) -> None:
        """Nobody hears it."""

    basic = base64.b64encode(b"key:secret")
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"authorization", b"Basic " + basic), (b"content-type", b"image/jpeg")],
        "client": ("10.1.2.3", 5),
    }
    await create([door_of(nobody, written)], "test")(scope, receive, send)
    [call] = written.calls
    assert (call.record.errorCode, call.images_invalid) == ("ValidationException", 0)
    assert call.record.errorMessage == "The request ended before its image did."
