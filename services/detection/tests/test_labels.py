"""DetectCustomLabels as boto3 sees it, on real Kafka, object store and Triton."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from vigia_runtime.policies import allowing, canonical

KEY = "AKIATESTTESTTESTTEST"
OWN = "arn:aws:rekognition:us-east-1:123456789012:project/"
COLOURS = f"{OWN}colours/version/v.1/1700000000000"
PLACES = f"{OWN}places/version/v.1/1700000000001"
STOPPED = f"{OWN}colours/version/v.0/1600000000000"
POLICIES = {
    KEY: allowing("rekognition:*"),
    "AKIAREADER": allowing("rekognition:*", "s3:GetObject"),
    "AKIADESCRIBES": allowing("rekognition:Describe*", "s3:*"),
    "AKIAONEMODEL": canonical(
        {"Statement": {"Effect": "Allow", "Action": "rekognition:DetectCustomLabels", "Resource": COLOURS}}
    ),
    "AKIATAGGED": canonical(
        {
            "Statement": {
                "Effect": "Allow",
                "Action": "rekognition:*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/stage": "production"}},
            }
        }
    ),
}
#: Of a picture of this colour a model of colours says 80, 40 and 20 percent.
COLOR = (204, 102, 51)


@dataclass(frozen=True)
class Running:
    """A running http process and its door's address."""

    url: str
    process: Any


def settings(registry: str, kit: Any, port: int, **more: str) -> dict[str, str]:
    return {
        "HTTP__PORT": str(port),
        "REGISTRY__URL": registry,
        "REGISTRY__TOKEN": kit.token,
        "DECIDING__REQUEST_SECONDS": "2",
        "DECIDING__ANNOUNCE_SECONDS": "0.2",
        "LABELS__MAX_IMAGE_BYTES": "100000",
        "LABELS__MAX_STORED_BYTES": "200000",
        "LABELS__MIN_SIDE": "16",
        **more,
    }


@pytest.fixture(scope="module")
def registry(kit: Any) -> Iterator[str]:
    with kit.registry(POLICIES, exists=lambda name: name == STOPPED) as url:
        yield url


@pytest.fixture(scope="module")
async def running(line: Any, registry: str, kit: Any) -> AsyncIterator[Running]:
    """A running http process. Hosted: ``colours/v.1``, which classifies, and ``places/v.1``, which finds boxes."""
    for kind, arn, tags in (
        ("multilabel-classification", COLOURS, {"stage": "production"}),
        ("object-detection", PLACES, {}),
    ):
        name = f"labels-{uuid.uuid4().hex[:8]}"
        await kit.load_labels(line.triton, name, kind)
        project = arn.split("/")[1]
        manifest = kit.label_manifest(kind)
        await line.deploy(
            "model", name, project=project, model_arn=arn, model_version="v.1", manifest=manifest, tags=tags
        )
    port = kit.free_port()
    with line.process("http", **settings(registry, kit, port)) as process:
        yield Running(f"http://127.0.0.1:{port}", process)


def client(running: Running, kit: Any, key: str = KEY, region: str = "us-east-1", attempts: int = 1) -> Any:
    return boto3.session.Session().client(
        "rekognition",
        endpoint_url=running.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=kit.secret,
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, parameter_validation=False),
    )


async def ask(aws: Any, image: Any, arn: str = COLOURS, **more: Any) -> list[dict[str, Any]]:
    given = {"Bytes": image} if isinstance(image, bytes) else image
    answer = await asyncio.to_thread(aws.detect_custom_labels, ProjectVersionArn=arn, Image=given, **more)
    labels: list[dict[str, Any]] = answer["CustomLabels"]
    return labels


async def refusal(aws: Any, image: Any, arn: str = COLOURS, **more: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        await ask(aws, image, arn, **more)
    response = caught.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


async def test_labels_of_an_image(running: Running, kit: Any) -> None:
    """Each label's own threshold decides, or with MinConfidence that alone; surest first, as many as are wanted."""
    aws, image = client(running, kit), kit.painted(COLOR)
    found = await ask(aws, image)
    assert [(one["Name"], round(one["Confidence"], 2)) for one in found] == [("red", 80.0), ("green", 40.0)]
    assert all(one.keys() == {"Name", "Confidence"} for one in found), "an image's label lies nowhere in it"
    assert all(one["Confidence"] == float(np.float32(one["Confidence"])) for one in found)

    everything = await ask(aws, image, MinConfidence=0)
    assert [one["Name"] for one in everything] == ["red", "green", "blue"]
    assert await ask(aws, image, MinConfidence=50) == found[:1]
    assert await ask(aws, image, MinConfidence=20.1) == found
    # What is told as a confidence is one from which on the label is found.
    assert await ask(aws, image, MinConfidence=everything[2]["Confidence"]) == everything
    assert await ask(aws, image, MinConfidence=81) == []
    assert await ask(aws, image, MinConfidence=0, MaxResults=2) == everything[:2]
    assert await ask(aws, image, MaxResults=0) == []
    assert await ask(aws, kit.painted((0, 0, 0))) == []
    assert await ask(aws, kit.painted(COLOR, width=320, height=16)) == found


async def test_boxes_in_an_image(running: Running, kit: Any) -> None:
    aws = client(running, kit)
    image = kit.painted(COLOR, width=640, height=400, form="JPEG")
    found = await ask(aws, image, PLACES, MinConfidence=0)
    assert [one["Name"] for one in found] == ["red", "green", "blue"]
    boxes = [one["Geometry"]["BoundingBox"] for one in found]
    expected = [
        {"Left": 0.1, "Top": 0.2, "Width": 0.4, "Height": 0.4},
        {"Left": 0.0, "Top": 0.0, "Width": 1.0, "Height": 1.0},
        {"Left": 0.5, "Top": 0.5, "Width": 0.25, "Height": 0.5},
    ]
    for box, wanted in zip(boxes, expected, strict=True):
        assert box == pytest.approx(wanted, abs=1e-6)
    assert [one["Name"] for one in await ask(aws, image, PLACES)] == ["red", "green"]


async def test_images_in_the_object_store(line: Any, running: Running, kit: Any, registry: str) -> None:
    s3, bucket = line.objects.client(), f"plant-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    image = kit.painted(COLOR)
    objects = {"part.png": image, "text.png": b"no image", "large.png": b"x" * 200_001}
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def at(key: str, bucket: str = bucket, **more: str) -> dict[str, Any]:
        return {"S3Object": {"Bucket": bucket, "Name": key, **more}}

    aws = client(running, kit)
    assert [one["Name"] for one in await ask(aws, at("part.png"))] == ["red", "green"]
    missing = ("nothing.png", "a/../b.png", "\0", "x" * 1024)
    for given in (*map(at, missing), at("part.png", "no-such-bucket"), at("part.png", Version="nonsense")):
        assert (await refusal(aws, given))[:2] == ("InvalidS3ObjectException", 400), given
    code, _, message = await refusal(aws, at("large.png"))
    assert (code, "200001 bytes" in message) == ("ImageTooLargeException", True)
    assert (await refusal(aws, at("text.png")))[0] == "InvalidImageFormatException"

    # Of Vigia's own buckets an account may name what is its own.
    for owner, works in ((kit.account, True), ("999999999999", False)):
        s3.put_object(Bucket=line.evidence, Key=f"{owner}/part.png", Body=image)
        given = at(f"{owner}/part.png", line.evidence)
        if works:
            assert await ask(aws, given)
        else:
            code, _, message = await refusal(aws, given)
            assert (code, "is yours" in message) == ("InvalidS3ObjectException", True)

    # Where callers' own S3 rights are asked for, they are needed; who may not use the model learns nothing of S3.
    port = kit.free_port()
    with line.process("http", **settings(registry, kit, port, IDENTITY__S3_POLICIES="true")) as process:
        strict = Running(f"http://127.0.0.1:{port}", process)
        assert await ask(client(strict, kit, "AKIAREADER"), at("part.png"))
        assert await ask(client(strict, kit), image)
        code, _, message = await refusal(client(strict, kit), at("part.png"))
        assert (code, "s3:GetObject" in message) == ("InvalidS3ObjectException", True)
        versioned = await refusal(client(strict, kit, "AKIAREADER"), at("part.png", Version="1"))
        assert (versioned[0], "s3:GetObjectVersion" in versioned[2]) == ("InvalidS3ObjectException", True)
        assert (await refusal(client(strict, kit, "AKIADESCRIBES"), at("nothing.png")))[0] == "AccessDeniedException"


async def test_wrong_members_are_named(running: Running, kit: Any) -> None:
    aws, image = client(running, kit), kit.painted(COLOR)
    stored = {"Bucket": "plant", "Name": "part.png"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"arn": "arn:aws:rekognition:us-east-1:123456789012:project/colours/1700000000000"}, "projectVersionArn"),
        ({"arn": "short"}, "projectVersionArn"),
        ({"image": {}}, "image"),
        ({"image": {"Bytes": image, "S3Object": stored}}, "image"),
        ({"image": {"Bytes": b""}}, "image.bytes"),
        ({"image": {"S3Object": {**stored, "Bucket": "x"}}}, "image.s3Object.bucket"),
        ({"image": {"S3Object": {**stored, "Bucket": "a b c"}}}, "image.s3Object.bucket"),
        ({"image": {"S3Object": {"Bucket": "plant"}}}, "image.s3Object.name"),
        ({"image": {"S3Object": {**stored, "Name": "x" * 1025}}}, "image.s3Object.name"),
        ({"image": {"S3Object": {**stored, "Version": ""}}}, "image.s3Object.version"),
        ({"MinConfidence": -1}, "minConfidence"),
        ({"MinConfidence": 100.01}, "minConfidence"),
        ({"MaxResults": -1}, "maxResults"),
    ]
    for given, member in wrong:
        more = dict(given)
        code, status, message = await refusal(aws, more.pop("image", image), more.pop("arn", COLOURS), **more)
        assert (code, status) == ("InvalidParameterException", 400), given
        assert f"'{member}'" in message, message


async def test_images_that_cannot_be_analysed(running: Running, kit: Any) -> None:
    aws, image = client(running, kit), kit.painted(COLOR, form="JPEG")
    for bad, expected, says in (
        (b"this is not an image", "InvalidImageFormatException", "neither JPEG nor PNG"),
        (image[: len(image) // 2], "InvalidImageFormatException", "damaged"),
        (b"GIF89a" + bytes(100), "InvalidImageFormatException", "neither"),
        (bytes(100_001), "ImageTooLargeException", "100001 bytes"),
        (bytes(5 * 1024 * 1024), "ImageTooLargeException", "100000 bytes"),
        (kit.painted(COLOR, 15, 40), "InvalidParameterException", "15x40"),
        (kit.painted(COLOR, 340, 16), "InvalidParameterException", "20 times"),
        (kit.painted(COLOR, 4097, 300), "InvalidParameterException", "4097x300"),
    ):
        code, status, message = await refusal(aws, bad)
        assert (code, status) == (expected, 400)
        assert says in message, message


async def test_versions_that_do_not_run(running: Running, kit: Any) -> None:
    aws, image = client(running, kit), kit.painted(COLOR)
    code, status, message = await refusal(aws, image, STOPPED)
    assert (code, status, STOPPED in message) == ("ResourceNotReadyException", 400, True)
    for arn in (
        f"{OWN}colours/version/v.9/1700000000000",
        f"{OWN}colours/version/v.1/1700000000099",
        COLOURS.replace("123456789012", "999999999999"),
        COLOURS.replace("us-east-1", "eu-west-1"),
    ):
        assert (await refusal(aws, image, arn))[:2] == ("ResourceNotFoundException", 400), arn
    abroad = client(running, kit, region="eu-west-1")
    assert (await refusal(abroad, image))[0] == "ResourceNotFoundException"
    with pytest.raises(aws.exceptions.ResourceNotReadyException):
        await ask(aws, image, STOPPED)


async def test_only_callers_with_the_permission_are_answered(running: Running, kit: Any) -> None:
    image = kit.painted(COLOR)
    code, status, message = await refusal(client(running, kit, "AKIADESCRIBES"), image)
    assert (code, status) == ("AccessDeniedException", 400)
    assert f"rekognition:DetectCustomLabels on resource: {COLOURS}" in message
    for key in ("AKIAONEMODEL", "AKIATAGGED"):
        aws = client(running, kit, key)
        assert await ask(aws, image)
        for arn in (PLACES, STOPPED, f"{OWN}nothing/version/x/1"):
            assert (await refusal(aws, image, arn))[0] == "AccessDeniedException"
    assert (await refusal(client(running, kit, "AKIANOBODY"), image))[:2] == ("UnrecognizedClientException", 400)


async def test_more_images_than_its_units_take_are_refused_and_counted(line: Any, running: Running, kit: Any) -> None:
    # One is analysed, one waits: the first for a fuller batch, which the queue does not let happen.
    name, arn = f"full-{uuid.uuid4().hex[:8]}", f"{OWN}full/version/1/1700000000002"
    slow = {"max_queue_delay_microseconds": 200_000, "default_queue_policy": {"max_queue_size": 1}}
    await kit.load_labels(line.triton, name, "classification", **slow)
    manifest = kit.label_manifest("classification")
    await line.deploy("model", name, project="full", model_arn=arn, manifest=manifest)
    aws, image = client(running, kit), kit.painted(COLOR)
    await ask(aws, image, arn)

    async def one() -> tuple[str, int] | None:
        try:
            await ask(aws, image, arn)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        return None

    answers = await asyncio.gather(*(one() for _ in range(6)))
    refused = [answer for answer in answers if answer is not None]
    assert 0 < len(refused) < 6
    assert set(refused) == {("ProvisionedThroughputExceededException", 400)}
    assert running.process.metric("vigia_throttled_requests_total", operation="DetectCustomLabels") == len(refused)
    assert running.process.metric("vigia_label_images_total", outcome="overloaded") == len(refused)
    # A client with the SDK's own retries gets its answers.
    patient = client(running, kit, attempts=8)
    await asyncio.gather(*(ask(patient, image, arn) for _ in range(3)))


async def test_every_call_of_a_known_caller_is_written_down(line: Any, running: Running, kit: Any) -> None:
    """As a read-only event of Rekognition, without the image; and as no inspection: labels are no verdict."""
    aws, image = client(running, kit), kit.painted(COLOR)
    await line.caught_up()
    known, judged = len(line.calls), len(line.inspections)
    await ask(aws, image, MinConfidence=50)
    await refusal(aws, b"no image")
    await refusal(aws, image, MaxResults=-1)
    await refusal(aws, image, STOPPED)
    await refusal(aws, image, f"{OWN}nothing/version/x/1")
    await refusal(aws, image, COLOURS.replace("123456789012", "999999999999"))
    await refusal(client(running, kit, "AKIADESCRIBES"), image)
    await refusal(client(running, kit, "AKIANOBODY"), image)

    await kit.eventually(lambda: True if len(line.calls) >= known + 7 else None)
    made = sorted(line.calls[known:], key=lambda call: call.called_at)
    assert [(call.outcome.value, call.record.errorCode) for call in made] == [
        ("success", None),
        ("client_error", "InvalidImageFormatException"),
        ("client_error", "InvalidParameterException"),
        ("client_error", "ResourceNotReadyException"),
        ("client_error", "ResourceNotFoundException"),
        ("client_error", "ResourceNotFoundException"),
        ("client_error", "AccessDeniedException"),
    ]
    assert [(call.project, call.model_version) for call in made] == [
        ("colours", "v.1"),
        ("colours", "v.1"),
        (None, None),
        ("colours", "v.0"),
        (None, None),
        (None, None),
        ("colours", "v.1"),
    ]
    assert [(call.images_processed, call.images_invalid) for call in made] == [
        (1, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0),
    ]  # fmt: skip
    first = made[0].record
    assert (first.eventName, first.eventSource, first.readOnly) == (
        "DetectCustomLabels",
        "rekognition.amazonaws.com",
        True,
    )
    assert first.requestParameters == {
        "projectVersionArn": COLOURS,
        "image": {"bytes": f"({len(image)} bytes)"},
        "minConfidence": 50.0,
    }
    assert made[2].record.requestParameters == {
        "projectVersionArn": COLOURS,
        "image": {"bytes": f"({len(image)} bytes)"},
        "maxResults": -1,
    }
    assert len(line.inspections) == judged
    assert running.process.metric("vigia_label_images_total", outcome="found") > 0
    assert running.process.metric("vigia_label_images_total", outcome="undecodable") > 0


async def test_other_operations_and_bodies_are_answered_in_the_protocol(running: Running, kit: Any) -> None:
    def signed(body: bytes, target: str, service: str = "rekognition") -> dict[str, str]:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        request = AWSRequest("POST", f"{running.url}/", headers=headers, data=body)
        SigV4Auth(Credentials(KEY, kit.secret), service, "us-east-1").add_auth(request)
        return dict(request.headers.items())

    target = "RekognitionService.DetectCustomLabels"
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as plain:
        for body, headers, code in (
            (b"{}", signed(b"{}", "RekognitionService.DetectFaces"), "UnknownOperationException"),
            (b"{}", signed(b"{}", ""), "UnknownOperationException"),
            (b"{}", signed(b"{}", target), "InvalidParameterException"),
            (b"", signed(b"", target), "InvalidParameterException"),
            (b"[]", signed(b"[]", target), "InvalidParameterException"),
            (b"\xff", signed(b"\xff", target), "InvalidParameterException"),
            (b"[" * 100_000, signed(b"[" * 100_000, target), "InvalidParameterException"),
            (b"{}", signed(b"x", target), "InvalidSignatureException"),
            (b"{}", signed(b"{}", target, "lookoutvision"), "InvalidSignatureException"),
            (b"{}", {"x-amz-target": target}, "MissingAuthenticationToken"),
        ):
            answer = await plain.post("/", content=body, headers=headers)
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "application/x-amz-json-1.1"
            told = json.loads(answer.content)
            assert (told["__type"], answer.headers["x-amzn-errortype"]) == (code, code), body[:20]
            assert told["message"]
