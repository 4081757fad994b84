"""What botocore signs is accepted; anything else is refused, with AWS's code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia_runtime.sigv4 import Credential, SignatureError, SignedRequest, verify

KEY = Credential(
    "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, "123456789012", "arn:aws:iam::1:u", ()
)
TEMPORARY = replace(KEY, access_key_id="ASIAEXAMPLE", session_token="FwoGZXIvYXdzE/token+x==")
KEYS = {key.access_key_id: key for key in (KEY, TEMPORARY)}

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/cookies/version/v 1/1"
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("rekognition", "DescribeProjects", {"MaxResults": 5}),
    ("rekognition", "DetectCustomLabels", {"ProjectVersionArn": ARN, "Image": {"Bytes": b"\xff\xd8jpeg"}}),
    ("rekognition", "ListTagsForResource", {"ResourceArn": ARN}),
    # REST-JSON with an ARN in the path, query parameters, blobs and an empty body: the shape of lookoutvision's calls.
    ("iot", "ListAttachedPolicies", {"target": ARN, "pageSize": 3, "recursive": True}),
    ("glacier", "ListTagsForVault", {"accountId": "-", "vaultName": "a b+c"}),
    ("apigateway", "GetTags", {"resourceArn": ARN, "limit": 7}),
    ("apigateway", "UntagResource", {"resourceArn": ARN, "tagKeys": ["line 1", "a&b=c", "ü"]}),
    ("polly", "SynthesizeSpeech", {"OutputFormat": "mp3", "Text": "hola", "VoiceId": "Lucia"}),
    ("lambda", "Invoke", {"FunctionName": "f", "Payload": b"\x00\xff binary", "Qualifier": "1"}),
]
SIGNING_NAMES = {"iot": "iot", "glacier": "glacier", "apigateway": "apigateway", "polly": "polly", "lambda": "lambda"}


@dataclass(frozen=True)
class Sent:
    request: SignedRequest
    service: str
    at: datetime


def sign(service: str, operation: str, parameters: dict[str, Any], key: Credential = KEY) -> Sent:
    """The bytes that botocore would have sent for a real operation."""
    session = botocore.session.get_session()
    client = session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=key.session_token,
        config=Config(retries={"max_attempts": 0}),
    )
    sent: list[Any] = []

    class StopError(Exception):
        pass

    def catch(request: Any, **_: Any) -> None:
        sent.append(request)
        raise StopError

    client.meta.events.register("before-send", catch)
    with pytest.raises(StopError):
        client._make_api_call(operation, parameters)
    request = sent[0]
    body = request.body if isinstance(request.body, bytes) else (request.body or b"")
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else body.read()
    target = request.url.split("127.0.0.1:4566", 1)[1] or "/"
    path, _, query = target.partition("?")
    headers = [(name, v.decode() if isinstance(v, bytes) else v) for name, v in request.headers.items()]
    headers.append(("Host", "127.0.0.1:4566"))
    return Sent(
        SignedRequest(request.method, path, query, tuple(headers), body), client.meta.service_model.signing_name, NOW()
    )


def NOW() -> datetime:
    return datetime.now(UTC)


async def known(access_key_id: str) -> Credential | None:
    return KEYS.get(access_key_id)


async def code(sent: Sent, **change: Any) -> str:
    at = change.pop("at", sent.at)
    service = change.pop("service", sent.service)
    with pytest.raises(SignatureError) as caught:
        await verify(replace(sent.request, **change), known, at, service=service)
    assert caught.value.status in (400, 403)
    return caught.value.code


def without(request: SignedRequest, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in request.headers if key.lower() != name)


def edited(request: SignedRequest, name: str, edit: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    assert request.header(name) is not None
    return tuple((key, edit(value) if key.lower() == name else value) for key, value in request.headers)


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["long-lived", "session"])
@pytest.mark.parametrize(("service", "operation", "parameters"), OPERATIONS, ids=[f"{a}.{b}" for a, b, _ in OPERATIONS])
async def test_what_botocore_signs_is_accepted(
    service: str, operation: str, parameters: dict[str, Any], key: Credential
) -> None:
    sent = sign(service, operation, parameters, key)
    assert await verify(sent.request, known, sent.at, service=sent.service) is key


@pytest.fixture(scope="module")
def sent() -> Sent:
    return sign("apigateway", "UntagResource", {"resourceArn": ARN, "tagKeys": ["line 1", "b"]}, TEMPORARY)


@pytest.fixture(scope="module")
def posted() -> Sent:
    return sign("rekognition", "DetectCustomLabels", {"ProjectVersionArn": ARN, "Image": {"Bytes": b"\xff\xd8"}})


def test_the_arn_in_the_path_is_still_encoded(sent: Sent) -> None:
    assert "%3A" in sent.request.path


def flip(text: str, index: int, by: int) -> str:
    index %= len(text)
    return text[:index] + chr(33 + (ord(text[index]) - 33 + 1 + by % 93) % 94) + text[index + 1 :]


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(["path", "query", "method", "x-amz-date", "x-amz-security-token", "host"]),
    index=st.integers(0, 500),
    by=st.integers(0, 92),
)
async def test_any_changed_character_is_refused(sent: Sent, where: str, index: int, by: int) -> None:
    request = sent.request
    if where == "query":
        change: dict[str, Any] = {"query": flip(request.query, index, by)}
    elif where == "path":
        change = {"path": "/" + flip(request.path[1:], index, by)}
    elif where == "method":
        change = {"method": flip(request.method, index, by)}
    else:
        change = {"headers": edited(request, where, lambda value: flip(value, index, by))}
    assert await code(sent, **change)


@settings(max_examples=100, deadline=None)
@given(index=st.integers(0, 500), by=st.integers(1, 255))
async def test_any_changed_byte_of_the_body_is_refused(posted: Sent, index: int, by: int) -> None:
    body = bytearray(posted.request.body)
    body[index % len(body)] ^= by
    assert await code(posted, body=bytes(body)) == "InvalidSignatureException"


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 63), by=st.integers(0, 14))
async def test_any_changed_digit_of_the_signature_is_refused(posted: Sent, index: int, by: int) -> None:
    head, _, signature = (posted.request.header("authorization") or "").rpartition("=")
    digits = "0123456789abcdef"
    other = digits[(digits.index(signature[index]) + 1 + by) % 16]
    changed = f"{head}={signature[:index]}{other}{signature[index + 1 :]}"
    headers = edited(posted.request, "authorization", lambda _: changed)
    assert await code(posted, headers=headers) == "InvalidSignatureException"


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(["path", "query", "method"]),
    index=st.integers(0, 500),
    text=st.sampled_from(
        ["#", "#x", "?x=1", "?", "&x=1", "%20", "/", "/..", "/./", "\t", "\n", " ", ";", "\\", "\x00"]
    ),
)
async def test_nothing_can_be_put_in(sent: Sent, where: str, index: int, text: str) -> None:
    before = getattr(sent.request, where)
    at = index % (len(before) + 1)
    assert await code(sent, **{where: before[:at] + text + before[at:]})


async def test_the_method_is_covered_in_its_case(posted: Sent) -> None:
    assert await code(posted, method="post") == "InvalidSignatureException"


async def test_no_signature(posted: Sent) -> None:
    headers = without(posted.request, "authorization")
    assert await code(posted, headers=headers) == "MissingAuthenticationToken"
    for junk in ("Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00"):
        broken = edited(posted.request, "authorization", lambda _, junk=junk: junk)
        assert await code(posted, headers=broken) == "IncompleteSignature"


async def test_an_unknown_key(posted: Sent) -> None:
    headers = edited(posted.request, "authorization", lambda value: value.replace("AKIDEXAMPLE", "AKIDOTHER"))
    assert await code(posted, headers=headers) == "UnrecognizedClientException"


async def test_clock_skew_is_five_minutes(posted: Sent) -> None:
    stamp = datetime.strptime(posted.request.header("x-amz-date") or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    for seconds in (-300, 300):
        await verify(posted.request, known, stamp + timedelta(seconds=seconds), service=posted.service)
    for seconds in (-301, 301):
        assert await code(posted, at=stamp + timedelta(seconds=seconds)) == "RequestExpired"


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 99999999999999 00:00:00 GMT", "x", ""]
)
async def test_a_date_that_is_none_is_refused(posted: Sent, date: str) -> None:
    dated = replace(posted.request, headers=(*without(posted.request, "x-amz-date"), ("Date", date)))
    headers = edited(dated, "authorization", lambda value: value.replace("x-amz-date", "date"))
    assert await code(posted, headers=headers) == "IncompleteSignature"


async def test_another_service_and_another_region(posted: Sent) -> None:
    assert await code(posted, service="lookoutvision") == "InvalidSignatureException"
    headers = edited(posted.request, "authorization", lambda value: value.replace("us-east-1", "eu-west-1"))
    assert await code(posted, headers=headers) == "InvalidSignatureException"


async def test_tokens(sent: Sent, posted: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = (*posted.request.headers, ("X-Amz-Security-Token", "stolen"))
    assert await code(posted, headers=unsigned) == "InvalidSignatureException"
    monkeypatch.setitem(KEYS, TEMPORARY.access_key_id, replace(TEMPORARY, session_token="renewed"))
    assert await code(sent) == "UnrecognizedClientException"
    monkeypatch.setitem(KEYS, TEMPORARY.access_key_id, replace(TEMPORARY, session_token=None))
    assert await code(sent) == "UnrecognizedClientException"
    expired = replace(TEMPORARY, expires_at=sent.at - timedelta(seconds=1))
    monkeypatch.setitem(KEYS, TEMPORARY.access_key_id, expired)
    assert await code(sent) == "ExpiredToken"
    monkeypatch.setitem(KEYS, KEY.access_key_id, replace(KEY, session_token="now needed"))
    assert await code(posted) == "UnrecognizedClientException"


async def test_headers_that_decide_must_be_signed(posted: Sent) -> None:
    target = (*posted.request.headers, ("x-amz-copy-source", "/other"))
    assert await code(posted, headers=target) == "InvalidSignatureException"
    assert await code(posted, headers=without(posted.request, "x-amz-target")) == "InvalidSignatureException"
    hidden = edited(posted.request, "authorization", lambda v: v.replace("host;", ""))
    assert await code(posted, headers=hidden) == "InvalidSignatureException"


async def test_a_payload_must_be_signed_and_be_the_one_signed(posted: Sent) -> None:
    for claimed in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", hashlib.sha256(b"x").hexdigest()):
        authorization = (posted.request.header("authorization") or "").replace(
            "SignedHeaders=", "SignedHeaders=x-amz-content-sha256;"
        )
        headers = (
            *without(posted.request, "authorization"),
            ("Authorization", authorization),
            ("X-Amz-Content-SHA256", claimed),
        )
        assert await code(posted, headers=headers) == "InvalidSignatureException"


@pytest.fixture(autouse=True)
def keys() -> Iterator[None]:
    before = dict(KEYS)
    yield
    assert before == KEYS or KEYS.update(before) is None


def test_a_credential_prints_no_secret() -> None:
    assert KEY.secret_access_key not in repr(KEY) + str(KEY)
    assert "token" not in repr(TEMPORARY)


async def test_a_body_that_was_dropped_is_known_by_its_digest(posted: Sent) -> None:
    body = posted.request.body
    assert body
    dropped = replace(posted.request, body=None, digest=hashlib.sha256(body).hexdigest())
    assert await verify(dropped, known, posted.at, service=posted.service) == KEY
    other = hashlib.sha256(body + b"x").hexdigest()
    assert await code(posted, body=None, digest=other) == "InvalidSignatureException"


async def test_half_a_body_proves_its_sender_by_the_header_alone(posted: Sent) -> None:
    assert await code(posted, body=None) == "IncompleteBody"
    body = posted.request.body
    assert body
    signed = AWSRequest("POST", "http://127.0.0.1/x", {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, body)
    signed.headers["Host"] = "127.0.0.1"
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key), "vigia", "us-east-1").add_auth(signed)
    half = SignedRequest("POST", "/x", "", tuple(signed.headers.items()), None)
    assert await verify(half, known, NOW(), service="vigia") == KEY
    claimed = [
        ("x-amz-content-sha256", "0" * 64) if name.startswith("x-amz-content") else (name, value)
        for name, value in half.headers
    ]
    with pytest.raises(SignatureError) as caught:
        await verify(replace(half, headers=tuple(claimed)), known, NOW(), service="vigia")
    assert caught.value.code == "InvalidSignatureException"
