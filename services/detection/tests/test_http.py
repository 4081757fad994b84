"""DetectAnomalies as boto3 sees it, on real Kafka, object store and Triton."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image

import vigia_client
from vigia_contracts.inspections import InvalidCause, Origin, Verdict
from vigia_runtime.policies import allowing, canonical

KEY, SECRET = "AKIATESTTESTTESTTEST", "a-secret-of-the-test"
TOKEN = "internal-token"
PRODUCTION = {"StringEquals": {"aws:ResourceTag/stage": "production"}}
ONE_MODEL = "arn:aws:lookoutvision:us-east-1:123456789012:model/plain/*"
POLICIES = {
    KEY: allowing("lookoutvision:*"),
    "AKIAREADONLY": allowing("lookoutvision:Describe*"),
    "AKIAPRODUCTION": canonical(
        {
            "Statement": {
                "Effect": "Allow",
                "Action": "LookoutVision:DetectAnomalies",
                "Resource": "*",
                "Condition": PRODUCTION,
            }
        }
    ),
    "AKIAONEMODEL": canonical(
        {"Statement": {"Effect": "Allow", "Action": ["lookoutvision:DetectAnomalies"], "Resource": ONE_MODEL}}
    ),
    "ASIASESSION": allowing("lookoutvision:*"),
    "ASIAEXPIRED": allowing("lookoutvision:*"),
    "ASIABOUNDED": allowing("lookoutvision:*"),
}
SESSIONS: dict[str, dict[str, Any]] = {
    "ASIASESSION": {"session_token": "the-token", "expires_at": "2999-01-01T00:00:00Z"},
    "ASIAEXPIRED": {"session_token": "the-token", "expires_at": "2020-01-01T00:00:00Z"},
    "ASIABOUNDED": {
        "session_token": "the-token",
        "expires_at": "2999-01-01T00:00:00Z",
        "session_policies": [POLICIES["AKIAPRODUCTION"]],
    },
}


def exists(name: str) -> bool:
    return name == "cookies/2" or name.startswith("stops")


@pytest.fixture(scope="module")
def registry(kit: Any) -> Iterator[str]:
    """The address of what detection asks registry for."""
    with kit.registry(POLICIES, SESSIONS, exists) as url:
        yield url


@dataclass(frozen=True)
class Running:
    """A running http process and its door's address."""

    url: str
    process: Any


@pytest.fixture(scope="module")
def door(running: Running) -> str:
    """The address of the running http process."""
    return running.url


@pytest.fixture(scope="module")
async def running(line: Any, tiny: str, registry: str, kit: Any) -> AsyncIterator[Running]:
    """A running http process. Hosted: ``cookies/1`` (segmentation) and ``plain/1`` (classification)."""
    await line.deploy("model", tiny)
    tags = {"stage": "production"}
    await line.deploy("model", tiny, project="plain", manifest=kit.manifest("anomaly-classification"), tags=tags)
    await line.deploy("model", tiny, project="broken", manifest=kit.manifest(side=24))
    await line.deploy("model", "not-in-triton", project="absent")
    port = kit.free_port()
    settings = {
        "HTTP__PORT": str(port),
        "REGISTRY__URL": registry,
        "REGISTRY__TOKEN": TOKEN,
        "DECIDING__REQUEST_SECONDS": "2",
        "DECIDING__ANNOUNCE_SECONDS": "0.2",
        "DECIDING__API_PASS_EVIDENCE_SHARE": "1",
    }
    with line.process("http", **settings) as process:
        yield Running(f"http://127.0.0.1:{port}", process)


def client(
    door: str,
    monkeypatch: pytest.MonkeyPatch,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    attempts: int = 1,
) -> Any:
    monkeypatch.setenv("AWS_DATA_PATH", str(Path(vigia_client.__file__).parent / "data"))
    return boto3.session.Session().client(
        "lookoutvision",
        endpoint_url=door,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


async def ask(aws: Any, image: bytes, project: str = "cookies", version: str = "1", form: str = "jpeg") -> Any:
    answer = await asyncio.to_thread(
        aws.detect_anomalies, ProjectName=project, ModelVersion=version, ContentType=f"image/{form}", Body=image
    )
    return answer["DetectAnomalyResult"]


async def refusal(aws: Any, image: bytes, **more: str) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        await ask(aws, image, **more)
    response = caught.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


async def test_segmentation_answers_with_areas_and_mask(
    line: Any, door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = client(door, monkeypatch)
    found = await ask(aws, kit.picture(defect=True))
    assert found["Source"] == {"Type": "direct"}
    assert found["IsAnomalous"] is True
    assert 0.9 < found["Confidence"] <= 1
    assert found["Confidence"] == float(np.float32(found["Confidence"]))
    assert [one["Name"] for one in found["Anomalies"]] == ["background", "bright"]
    assert [one["PixelAnomaly"]["Color"] for one in found["Anomalies"]] == ["#FFFFFF", "#23A436"]
    assert sum(one["PixelAnomaly"]["TotalPercentageArea"] for one in found["Anomalies"]) == pytest.approx(1)
    with Image.open(io.BytesIO(found["AnomalyMask"])) as mask:
        assert (mask.format, mask.mode, mask.size) == ("PNG", "RGB", (kit.width, kit.height))
        assert mask.getpixel((1, 1)) == (0x23, 0xA4, 0x36)
        assert mask.getpixel((kit.width - 1, kit.height - 1)) == (255, 255, 255)


async def test_a_normal_image_is_all_background(door: str, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await ask(client(door, monkeypatch), kit.picture(defect=False, form="PNG"), version="latest", form="png")
    assert found["IsAnomalous"] is False
    assert found["Anomalies"] == [
        {"Name": "background", "PixelAnomaly": {"TotalPercentageArea": 1.0, "Color": "#FFFFFF"}}
    ]
    assert found["AnomalyMask"]


async def test_classification_answers_without_areas_and_mask(
    door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await ask(client(door, monkeypatch), kit.picture(defect=True), project="plain")
    assert found.keys() == {"Source", "IsAnomalous", "Confidence"}


async def test_every_request_that_is_judged_leaves_an_inspection(
    line: Any, door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = client(door, monkeypatch)
    await line.caught_up()
    before = len(line.inspections)
    await ask(aws, kit.picture(defect=False))
    await refusal(aws, kit.picture(defect=False, width=100))
    made = await kit.eventually(lambda: line.inspections[before:] if len(line.inspections) >= before + 2 else None)
    by_verdict = {one.verdict: one for one in made}
    passed, invalid = by_verdict[Verdict.PASS], by_verdict[Verdict.INVALID]
    assert passed.origin is Origin.API
    assert passed.frame_source == "lookoutvision"
    assert passed.camera_id is None
    assert (passed.account_id, passed.project, passed.model_version) == (kit.account, "cookies", "1")
    assert passed.evidence.image.key.startswith(f"{kit.account}/api/")
    assert invalid.cause is InvalidCause.WRONG_SIZE
    assert (invalid.width, invalid.project) == (100, "cookies")


async def test_bad_images_are_validation_errors(door: str, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = client(door, monkeypatch)
    image = kit.picture(defect=False)
    for bad, says in (
        (b"this is not an image", "neither JPEG nor PNG"),
        (image[: len(image) // 2], "damaged"),
        (kit.picture(defect=False, width=100), "64x48"),
        (b"\xff\xd8\xff" + b"\0" * (8 * 1024 * 1024), "8388608 bytes"),
    ):
        code, status, message = await refusal(aws, bad)
        assert (code, status) == ("ValidationException", 400)
        assert says in message
    assert (await refusal(aws, image, form="png"))[0] == "ValidationException"
    assert (await refusal(aws, image, form="gif"))[0] == "ValidationException"
    assert (await refusal(aws, image, version="0"))[0] == "ValidationException"


async def test_models_that_do_not_serve(door: str, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = client(door, monkeypatch)
    image = kit.picture(defect=False)
    assert (await refusal(aws, image, version="2"))[:2] == ("ConflictException", 409)
    assert (await refusal(aws, image, version="3"))[:2] == ("ResourceNotFoundException", 404)
    assert (await refusal(aws, image, project="nothing"))[:2] == ("ResourceNotFoundException", 404)
    assert (await refusal(aws, image, project="broken"))[:2] == ("InternalServerException", 500)
    assert (await refusal(aws, image, project="absent"))[:2] == ("InternalServerException", 500)
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as caught:
        await ask(aws, image, version="3")
    assert caught.value.response["ResourceId"] == "cookies/3"
    assert caught.value.response["ResourceType"] == "MODEL"


async def test_more_images_than_the_queue_takes_are_throttled_and_counted(
    line: Any, running: Running, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One is judged, one waits: the first for a fuller batch, which the queue does not let happen.
    name = f"full-{uuid.uuid4().hex[:8]}"
    await kit.load(line.triton, name, max_queue_delay_microseconds=200_000, default_queue_policy={"max_queue_size": 1})
    await line.deploy("model", name, project="full")
    aws = client(running.url, monkeypatch)
    image = kit.picture(defect=False)
    await ask(aws, image, project="full")

    async def one() -> dict[str, Any] | None:
        try:
            await ask(aws, image, project="full")
        except ClientError as error:
            return error.response
        return None

    answers = await asyncio.gather(*(one() for _ in range(6)))
    refused = [answer for answer in answers if answer is not None]
    assert 0 < len(refused) < 6
    for response in refused:
        assert response["Error"]["Code"] == "ThrottlingException"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert running.process.metric("vigia_throttled_requests_total", operation="DetectAnomalies") == len(refused)
    assert running.process.metric("vigia_model_server_refusals_total", end="busy") >= len(refused)
    # A client with the SDK's own retries gets its answers.
    patient = client(running.url, monkeypatch, attempts=8)
    await asyncio.gather(*(ask(patient, image, project="full") for _ in range(3)))
    await kit.unload(line.triton, name)


@pytest.mark.parametrize("told", ["before it is unloaded", "after it is unloaded"])
async def test_a_version_that_is_stopped_answers_or_is_not_hosted_and_nothing_else(
    line: Any, door: str, kit: Any, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    name, project = f"stops-{uuid.uuid4().hex[:8]}", f"stops-{uuid.uuid4().hex[:8]}"
    await kit.load(line.triton, name)
    deployment = await line.deploy("model", name, project=project)
    aws = client(door, monkeypatch)
    image = kit.picture(defect=False)
    await ask(aws, image, project=project)
    codes: list[str] = []
    going = True

    async def caller() -> None:
        while going:
            try:
                await ask(aws, image, project=project)
                codes.append("answered")
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])

    callers = [asyncio.create_task(caller()) for _ in range(3)]
    answered = await kit.eventually(lambda: len(codes) if len(codes) >= 10 else None)
    if told == "before it is unloaded":
        await line.withdraw(deployment.model_arn)
        await kit.eventually(lambda: "ConflictException" in codes or None)
        await kit.unload(line.triton, name)
    else:
        # Its end is announced late: whoever asks meanwhile waits, and is not failed.
        await kit.unload(line.triton, name)
        await line.withdraw(deployment.model_arn)
        await kit.eventually(lambda: "ConflictException" in codes or None)
    going = False
    await asyncio.gather(*callers)
    assert codes[:answered] == ["answered"] * answered
    assert set(codes) == {"answered", "ConflictException"}


async def test_only_known_callers_with_the_permission_are_answered(
    door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = kit.picture(defect=False)
    wrong = client(door, monkeypatch, secret="wrong")
    assert (await refusal(wrong, image))[:2] == ("InvalidSignatureException", 403)
    unknown = client(door, monkeypatch, key="AKIANOBODY")
    assert (await refusal(unknown, image))[:2] == ("UnrecognizedClientException", 403)
    code, status, message = await refusal(client(door, monkeypatch, key="AKIAREADONLY"), image)
    assert (code, status) == ("AccessDeniedException", 403)
    assert message == (
        f"User: arn:aws:iam::{kit.account}:user/tester is not authorized to perform: lookoutvision:DetectAnomalies"
        f" on resource: arn:aws:lookoutvision:us-east-1:{kit.account}:model/cookies/1"
    )
    async with httpx.AsyncClient(trust_env=False) as plain:
        path = f"{door}/2020-11-20/projects/cookies/models/1/detect"
        answer = await plain.post(path, content=image, headers={"content-type": "image/jpeg"})
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationToken")
        answer = await plain.post(path, content=image, headers={"content-type": "image/jpeg"}, auth=(KEY, SECRET))
        assert answer.status_code == 200
        answer = await plain.get(path)
        assert answer.headers["x-amzn-errortype"] == "UnknownOperationException"


async def test_every_call_of_a_known_caller_is_written_down(
    line: Any, door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its inspection where there is one; anomalies, processed and invalid images are told; no image is."""
    aws = client(door, monkeypatch)
    image = kit.picture(defect=True)
    await line.caught_up()
    known = len(line.calls)
    asked: list[tuple[bytes, dict[str, str]]] = [
        (image, {"version": "latest"}),
        (kit.picture(defect=False), {}),
        (kit.picture(defect=False, width=100), {}),
        (image, {"form": "png"}),
        (image, {"version": "2"}),
        (image, {"project": "nothing"}),
        (image, {"project": "broken"}),
    ]
    for sent, more in asked:
        if more == {"version": "latest"} or sent is asked[1][0]:
            await ask(aws, sent, **more)
        else:
            await refusal(aws, sent, **more)
    await refusal(client(door, monkeypatch, key="AKIAREADONLY"), image)
    await refusal(client(door, monkeypatch, secret="wrong"), image)
    await refusal(client(door, monkeypatch, key="AKIANOBODY"), image)

    await kit.eventually(lambda: True if len(line.calls) >= known + 8 else None)
    made = sorted(line.calls[known:], key=lambda call: call.called_at)
    assert [(call.outcome.value, call.record.errorCode) for call in made] == [
        ("success", None),
        ("success", None),
        ("client_error", "ValidationException"),
        ("client_error", "ValidationException"),
        ("client_error", "ConflictException"),
        ("client_error", "ResourceNotFoundException"),
        ("server_error", "InternalServerException"),
        ("client_error", "AccessDeniedException"),
    ]
    assert [(call.project, call.model_version) for call in made] == [
        ("cookies", "1"),
        ("cookies", "1"),
        ("cookies", "1"),
        ("cookies", "1"),
        ("cookies", "2"),
        (None, None),
        ("broken", "1"),
        ("cookies", "1"),
    ]
    images = [(call.images_processed, call.anomalies, call.images_invalid) for call in made]
    assert images == [(1, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    first = made[0].record
    assert (first.eventName, first.eventSource, first.readOnly) == (
        "DetectAnomalies",
        "lookoutvision.amazonaws.com",
        True,
    )
    assert first.requestParameters == {"projectName": "cookies", "modelVersion": "latest", "contentType": "image/jpeg"}
    assert first.responseElements is None
    assert (first.userIdentity.userName, first.sourceIPAddress) == ("tester", "127.0.0.1")
    assert made[0].duration_ms > 0
    # The inspection and the record are of one request.
    assert any(one.frame_id == first.requestID for one in line.inspections)
    assert "secret-of-the-test" not in "".join(call.model_dump_json() for call in made)


async def test_policies_may_ask_for_the_model_and_its_tags(
    door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = kit.picture(defect=False)
    for key in ("AKIAPRODUCTION", "AKIAONEMODEL"):
        aws = client(door, monkeypatch, key=key)
        assert await ask(aws, image, project="plain")
        assert await ask(aws, image, project="plain", version="latest")
        for named in ({"version": "1"}, {"version": "latest"}, {"version": "2"}, {"project": "nothing"}):
            code, status, message = await refusal(aws, image, **named)
            assert (code, status) == ("AccessDeniedException", 403)
            assert "lookoutvision:DetectAnomalies on resource: arn:aws:lookoutvision:us-east-1:" in message
    assert (await refusal(client(door, monkeypatch, key="AKIAONEMODEL"), image, project="plain", version="7"))[1] == 404


async def test_sessions_are_verified_with_their_token_and_bounds(
    door: str, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = kit.picture(defect=False)
    assert await ask(client(door, monkeypatch, key="ASIASESSION", token="the-token"), image)
    for token in (None, "another", "the-tokem"):
        stolen = client(door, monkeypatch, key="ASIASESSION", token=token)
        assert (await refusal(stolen, image))[:2] == ("UnrecognizedClientException", 403)
    expired = client(door, monkeypatch, key="ASIAEXPIRED", token="the-token")
    assert (await refusal(expired, image))[:2] == ("ExpiredTokenException", 403)
    bounded = client(door, monkeypatch, key="ASIABOUNDED", token="the-token")
    assert await ask(bounded, image, project="plain")
    assert (await refusal(bounded, image))[:2] == ("AccessDeniedException", 403)
