"""Whatever comes to the door of DetectCustomLabels is answered in its protocol, and what is told keeps its rules."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia_contracts.audit import Call, CallOutcome
from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_contracts.inspections import InvalidCause
from vigia_detection.app.errors import ImageGone, ImageTooLarge, NotHosted, NotJudged
from vigia_detection.app.labels import LabelRequest, Permit
from vigia_detection.domain.labels import Label, Wish, told
from vigia_detection.domain.versions import Version, version_of
from vigia_detection.entrypoints.calls import CallLog
from vigia_detection.entrypoints.customlabels.door import Door, Rules
from vigia_detection.entrypoints.http import create
from vigia_detection.entrypoints.places import Places
from vigia_runtime.errors import Transient
from vigia_runtime.policies import allowing
from vigia_runtime.settings import BucketSettings
from vigia_runtime.signin import Authenticator, Credential
from vigia_vision.find import Box, Finding

MOST = 1000
ARN = "arn:aws:rekognition:us-east-1:123456789012:project/colours/version/v.1/1700000000000"
TARGET = "RekognitionService.DetectCustomLabels"
#: What a client may be told of a request that is wrong in some way, whatever it is.
CLIENT_ERRORS = {
    "InvalidParameterException",
    "InvalidS3ObjectException",
    "ImageTooLargeException",
    "ResourceNotFoundException",
}


class OneKey:
    """A source with one credential."""

    async def credential(self, access_key_id: str) -> Credential | None:
        arn = "arn:aws:iam::123456789012:user/x"
        return Credential("key", "secret", None, "123456789012", arn, (allowing("*"),))

    async def used(self, credential: Credential, service: str) -> None:
        """Nobody asks."""


class NoVersions:
    """A registry that has none."""

    async def lacks_arn(self, arn: str) -> bool:
        return True


class Written:
    """Takes down what would be published."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def announce_call(self, event: Event) -> None:
        assert isinstance(event.data, Call)
        self.calls.append(event.data)


class Detector:
    """Answers any version of the account's project ``colours`` with what ``answer`` gives, and knows no other."""

    def __init__(self, answer: Callable[[LabelRequest], Any] = lambda request: ()) -> None:
        self.answer = answer

    async def __call__(self, request: LabelRequest, permit: Permit) -> tuple[Label, ...]:
        if request.version.arn != ARN:
            raise NotHosted
        permit(Deployment.model_construct(model_arn=ARN, tags={}))
        found = self.answer(request)
        labels: tuple[Label, ...] = await found if asyncio.iscoroutine(found) else found
        return labels

    def hosted(self, version: Version) -> Deployment | None:
        return Deployment.model_construct() if version.arn == ARN else None


class Signed(httpx.Auth):
    """Signs as AWS clients do."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        kind = {"Host": "door", "content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET}
        signed = AWSRequest(request.method, str(request.url), headers=kind, data=request.content)
        SigV4Auth(Credentials("key", "secret"), "rekognition", "us-east-1").add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


def client_of(detector: Detector, written: Written, places: int = 1) -> httpx.AsyncClient:
    rules = Rules(MOST, BucketSettings(), s3_policies=False)
    log = CallLog(written, 5.0)  # type: ignore[arg-type]
    door = Door(
        detector,  # type: ignore[arg-type]
        Authenticator(OneKey()),
        NoVersions(),  # type: ignore[arg-type]
        log,
        Places(places),
        rules,
    )
    transport = httpx.ASGITransport(create([door], "test"), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://door", auth=Signed())


def request(**changes: Any) -> bytes:
    content = base64.b64encode(b"an image").decode()
    return json.dumps({"ProjectVersionArn": ARN, "Image": {"Bytes": content}, **changes}).encode()


async def ask(client: httpx.AsyncClient, body: bytes) -> tuple[int, str | None, Any]:
    """Status, the error's name where there is one, and the body, which always has the protocol's shape."""
    answer = await client.post("/", content=body)
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-requestid"]
    told = json.loads(answer.content)
    if answer.status_code == 200:
        assert told.keys() == {"CustomLabels"}
        return 200, None, told
    assert told.keys() == {"__type", "message"}
    assert told["__type"] == answer.headers["x-amzn-errortype"]
    return answer.status_code, told["__type"], told


_TEXTS = st.one_of(st.text(max_size=30), st.sampled_from([ARN, "", "\0", "aGVsbG8=", "vigia-evidence", "a" * 2000]))
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=8,
)
_PLACE = st.fixed_dictionaries({}, optional=dict.fromkeys(("Bucket", "Name", "Version"), _TEXTS | _VALUES))
_IMAGE = st.fixed_dictionaries({}, optional={"Bytes": _TEXTS | _VALUES, "S3Object": _PLACE | _VALUES})
_BODY = st.fixed_dictionaries(
    {},
    optional={
        "ProjectVersionArn": st.just(ARN) | _VALUES,
        "Image": _IMAGE | _VALUES,
        "MinConfidence": st.floats(0, 100) | _VALUES,
        "MaxResults": st.integers(0, 10) | _VALUES,
        "Other": _VALUES,
    },
)


@settings(max_examples=300, deadline=None)
@given(body=st.one_of(_BODY, _VALUES).map(json.dumps).map(str.encode) | st.binary(max_size=200))
async def test_any_body_is_answered_in_the_protocol(body: bytes) -> None:
    written = Written()
    async with client_of(Detector(), written) as client:
        status, code, _ = await ask(client, body)
    assert (status, code) == (200, None) or (status == 400 and code in CLIENT_ERRORS), (status, code)
    [call] = written.calls
    assert call.record.errorCode == code
    assert call.outcome is (CallOutcome.SUCCESS if code is None else CallOutcome.CLIENT_ERROR)
    assert len(call.model_dump_json()) < 40_000


@pytest.mark.parametrize(
    ("error", "status", "code", "outcome", "invalid"),
    [
        (NotJudged(InvalidCause.UNDECODABLE, "x"), 400, "InvalidImageFormatException", "client_error", 1),
        (NotJudged(InvalidCause.TOO_LARGE, "x"), 400, "InvalidParameterException", "client_error", 1),
        (NotJudged(InvalidCause.WRONG_SIZE, "x"), 400, "InvalidParameterException", "client_error", 1),
        (NotJudged(InvalidCause.NO_MODEL, "x"), 400, "ResourceNotReadyException", "client_error", 0),
        (NotJudged(InvalidCause.OVERLOADED, "x"), 400, "ProvisionedThroughputExceededException", "throttled", 0),
        (NotJudged(InvalidCause.LATE, "x"), 500, "InternalServerError", "server_error", 0),
        (NotJudged(InvalidCause.MODEL_ERROR, "secret"), 500, "InternalServerError", "server_error", 0),
        (ImageGone("x"), 400, "InvalidS3ObjectException", "client_error", 0),
        (ImageTooLarge("x"), 400, "ImageTooLargeException", "client_error", 1),
        (Transient("the store is away: secret"), 500, "InternalServerError", "server_error", 0),
        (ZeroDivisionError("a secret detail"), 500, "InternalServerError", "server_error", 0),
    ],
)
async def test_each_failure_has_its_error(error: Exception, status: int, code: str, outcome: str, invalid: int) -> None:
    def fail(request: LabelRequest) -> Any:
        raise error

    written = Written()
    async with client_of(Detector(fail), written) as client:
        assert (found := await ask(client, request()))[:2] == (status, code)
    assert "secret" not in json.dumps(found[2])
    [call] = written.calls
    assert (call.outcome.value, call.record.errorCode, call.images_invalid) == (outcome, code, invalid)
    assert (call.project, call.model_version) == ("colours", "v.1")
    assert "secret detail" not in call.model_dump_json()


async def test_a_full_door_throttles_and_opens_again() -> None:
    release, entered = asyncio.Event(), asyncio.Event()

    async def wait(request: LabelRequest) -> tuple[Label, ...]:
        entered.set()
        await release.wait()
        return ()

    written = Written()
    async with client_of(Detector(wait), written) as client:
        first = asyncio.create_task(ask(client, request()))
        await entered.wait()
        assert (await ask(client, request()))[:2] == (500, "ThrottlingException")
        assert [call.outcome for call in written.calls] == [CallOutcome.THROTTLED]
        release.set()
        assert (await first)[0] == 200
        assert (await ask(client, request()))[0] == 200


async def test_an_image_that_is_too_large_is_refused_and_written_down() -> None:
    written = Written()
    async with client_of(Detector(), written) as client:
        for size in (MOST, MOST + 1, 10 * MOST, 200 * MOST):
            status, code, _ = await ask(client, request(Image={"Bytes": base64.b64encode(bytes(size)).decode()}))
            assert (status, code) == ((200, None) if size == MOST else (400, "ImageTooLargeException"))
    assert [call.images_invalid for call in written.calls] == [0, 1, 1, 1]


async def test_bytes_reach_the_model_as_they_were_sent() -> None:
    seen: list[Any] = []
    written = Written()
    async with client_of(Detector(lambda request: seen.append(request) or ()), written) as client:
        for size in range(1, 40):
            content = bytes(range(200, 200 + size))
            await ask(client, request(Image={"Bytes": base64.b64encode(content).decode()}, MinConfidence=7))
            assert (seen[-1].image, seen[-1].wish) == (content, Wish(7.0, None))


_FOUND = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1, width=32), st.booleans()), max_size=8).map(
    lambda rows: tuple(
        Finding(name, share, Box(0.1, 0.2, 0.3, 0.4) if box else None)
        for name, share, box in sorted(rows, key=lambda row: -row[1])
    )
)


@given(found=_FOUND, least=st.none() | st.floats(0, 100), most=st.none() | st.integers(0, 10))
def test_what_is_told_keeps_the_callers_bounds(
    found: tuple[Finding, ...], least: float | None, most: int | None
) -> None:
    labels = told(found, Wish(least, most))
    everything = told(found, Wish(0.0))
    assert len(everything) == len(found)
    assert labels == tuple(label for label in everything if least is None or label.confidence >= least)[:most]
    assert all(0 <= label.confidence <= 100 for label in labels)
    assert [label.confidence for label in labels] == sorted((label.confidence for label in labels), reverse=True)
    for label in everything:
        assert label in told(found, Wish(label.confidence))


def test_versions_are_read_from_their_arns() -> None:
    assert version_of(ARN) == Version(ARN, "us-east-1", "123456789012", "colours", "v.1")
    for wrong in (ARN + "\n", ARN + "/1", ARN.replace("rekognition", "s3"), ARN.replace("12345", "١٢٣٤٥"), ""):
        assert version_of(wrong) is None
