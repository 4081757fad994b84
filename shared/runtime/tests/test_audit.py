"""What is written down of a call: the caller, the parameters as CloudTrail spells them, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from vigia_contracts.audit import LOOKOUT, Call, CallOutcome
from vigia_contracts.events import encode
from vigia_contracts.topics import AUDIT
from vigia_runtime.audit import address_of, draft, identity_of, shown
from vigia_runtime.sigv4 import Credential

ACCOUNT = "123456789012"


def credential(arn: str) -> Credential:
    return Credential("AKIAEXAMPLE", "the-very-secret", None, ACCOUNT, arn, ())


def request(peer: str = "10.0.0.2", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": (peer, 1), "vigia.request_id": "r-1"})


def call(parameters: dict[str, Any], status: int = 200, **more: Any) -> Call:
    event = draft(
        request(),
        credential(f"arn:aws:iam::{ACCOUNT}:user/admin"),
        region="us-east-1",
        source=LOOKOUT,
        name="CreateDataset",
        read_only=False,
        parameters=parameters,
    ).ended("test", status, **more)
    assert event.key == ACCOUNT
    assert isinstance(event.data, Call)
    assert event.id == str(event.data.record.eventID)
    return Call.model_validate_json(encode(AUDIT, event).value or b"")


def test_parameters_are_spelled_as_cloudtrail_spells_them() -> None:
    made = call(
        {
            "projectName": "cookies",
            "DatasetType": "train",
            "DatasetSource": {"GroundTruthManifest": {"S3Object": {"Bucket": "b", "Key": "k"}}},
            "clientToken": "1-2",
            "Tags": [{"Key": "a", "Value": "b"}],
        },
        202,
        response={"Status": "CREATE_IN_PROGRESS"},
    )
    record = made.record
    assert record.requestParameters == {
        "projectName": "cookies",
        "datasetType": "train",
        "datasetSource": {"groundTruthManifest": {"s3Object": {"bucket": "b", "key": "k"}}},
        "clientToken": "1-2",
        "tags": [{"key": "a", "value": "b"}],
    }
    assert record.responseElements == {"status": "CREATE_IN_PROGRESS"}
    assert (record.eventVersion, record.eventType, record.eventCategory) == ("1.08", "AwsApiCall", "Management")
    assert (record.managementEvent, record.readOnly, record.recipientAccountId) == (True, False, ACCOUNT)
    assert (record.requestID, record.sourceIPAddress) == ("r-1", "10.0.0.2")
    assert record.eventTime.microsecond == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, CallOutcome.SUCCESS),
        (202, CallOutcome.SUCCESS),
        (403, CallOutcome.CLIENT_ERROR),
        (413, CallOutcome.CLIENT_ERROR),
        (429, CallOutcome.CLIENT_ERROR),  # a limit of how much there may be
        (500, CallOutcome.SERVER_ERROR),
        (503, CallOutcome.SERVER_ERROR),
    ],
)
def test_the_status_says_what_became_of_it(status: int, outcome: CallOutcome) -> None:
    assert call({}, status, error=None if status < 400 else ("Code", "message")).outcome is outcome


@pytest.mark.parametrize(("status", "code"), [(429, "ThrottlingException"), (400, "Throttling")])
def test_who_asks_too_often_is_throttled_whatever_the_protocol_calls_it(status: int, code: str) -> None:
    assert call({}, status, error=(code, "message")).outcome is CallOutcome.THROTTLED


SECRETS = [
    {"Source": {"url": "rtsp://admin:pa55word@10.0.0.7/stream"}},
    {"source": {"url": "x" * 3000 + "rtsp://admin:pa55word@10.0.0.7/stream"}},
    {"source": {"url": "rtsp://admin:pa55word" + "x" * 2000 + "@10.0.0.7/stream"}},
    {"secretAccessKey": "pa55word"},
    {"SecretAccessKey": ["pa55word"]},
    {"text": "password=pa55word"},
    {"list": [{"deep": [{"sessionToken": "pa55word"}]}]},
    {"image": b"pa55word"},
    {"Changes": "pa55word" * 1000},
    {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": "pa55word"}}}}}}}}}},
]


@pytest.mark.parametrize("parameters", SECRETS, ids=lambda value: next(iter(value)))
def test_no_secret_and_no_blob_is_written_down(parameters: dict[str, Any]) -> None:
    text = call(parameters, 400, error=("ValidationException", "rtsp://u:pa55word@h is bad")).model_dump_json()
    assert "pa55word" not in text
    assert "the-very-secret" not in text


def test_another_spelling_does_not_write_over_what_came_first() -> None:
    asked = {"projectName": "lids", "ProjectName": "other", "a": {"Key": 1, "key": 2}}
    assert shown(asked) == {"projectName": "lids", "ProjectName": "other", "a": {"key": 1}}


def test_what_is_long_is_cut_and_says_so() -> None:
    made = shown({"Description": "x" * 2000, "Tags": list(range(300)), "Huge": "x" * 100_000, "N": 10**400})
    assert made["description"].startswith("x" * 1024 + "...(cut) 2000 characters")
    assert made["tags"][-1] == "...(cut) 250 members"
    assert made["huge"] == "(100000 characters)"
    assert made["n"] == "(a number out of range)"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=200)
    | st.sampled_from(["x" * 3000, "y" * 5000]),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=200), inner, max_size=60),
    max_leaves=80,
)


@given(st.dictionaries(st.text(max_size=50), _JSON, max_size=60))
def test_whatever_is_asked_fits_and_is_json(parameters: dict[str, Any]) -> None:
    text = json.dumps(shown(parameters), allow_nan=False, ensure_ascii=False)
    assert len(text) < 40_000
    assert "\\u0000" not in text
    text.encode()


def test_a_structure_of_many_large_parts_stays_small() -> None:
    wide = {f"k{n}": {f"m{m}": ["y" * 1000] * 50 for m in range(50)} for n in range(50)}
    assert len(json.dumps(shown(wide))) < 40_000


def test_callers_are_named_by_kind() -> None:
    user = identity_of(credential(f"arn:aws:iam::{ACCOUNT}:user/plant/admin"))
    assert (user.type, user.userName, user.principalId) == ("IAMUser", "admin", "admin")
    root = identity_of(credential(f"arn:aws:iam::{ACCOUNT}:root"))
    assert (root.type, root.userName, root.principalId) == ("Root", None, ACCOUNT)
    role = identity_of(credential(f"arn:aws:sts::{ACCOUNT}:assumed-role/inspector/shift-1"))
    assert (role.type, role.principalId) == ("AssumedRole", "inspector:shift-1")
    assert role.sessionContext is not None
    assert role.sessionContext.sessionIssuer.arn == f"arn:aws:iam::{ACCOUNT}:role/inspector"


def test_the_gateway_says_where_a_call_came_from() -> None:
    assert address_of(request()) == "10.0.0.2"
    assert address_of(request(x_forwarded_for="1.2.3.4, 192.168.0.9")) == "192.168.0.9"
    assert address_of(request(x_forwarded_for="nonsense")) == "10.0.0.2"
    assert address_of(request("testclient")) == "unknown"
