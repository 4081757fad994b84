"""Nonsense, texts that nothing can be like and tokens that nobody gave, at both of the protocols' doors."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from api_help import client_of
from aws_help import NAMESPACE

from vigia_aggregator.entrypoints.aws import requests
from vigia_aggregator.entrypoints.aws.operations import _fingerprint, _token
from vigia_aggregator.entrypoints.context import Context
from vigia_contracts.audit import Call


async def test_nonsense_is_answered_in_the_protocol(door: str) -> None:
    """Bodies that are no CBOR, JSON or form never do worse than a client error, and say nothing before the sign-in."""
    async with httpx.AsyncClient(base_url=door, trust_env=False, auth=("AKIAEXAMPLE", "secret")) as client:
        cbor = {"smithy-protocol": "rpc-v2-cbor"}
        path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
        for body in (b"\xff\xff", b"\x9f" * 5000, b"\xbb" + b"\xff" * 8, b"\x01", b"\xa1\x01\x02"):
            answer = await client.post(path, content=body, headers=cbor)
            assert (answer.status_code, answer.headers["smithy-protocol"]) == (400, "rpc-v2-cbor"), body
        target = {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics"}
        for body in (b"{", b"[]", b"[" * 100_000):
            assert (await client.post("/", content=body, headers=target)).status_code == 400
        forms = (
            "",
            "Version=1",
            "Action=",
            "a.b=1&a=2&Action=x",
            "Action=ListMetrics&Dimensions.member.x=1",
            "Action=ListMetrics&" + "a." * 20 + "b=1",
        )
        for form in forms:
            answer = await client.post("/", content=form)
            assert (answer.status_code, b"<ErrorResponse" in answer.content) == (400, True), form
        assert (await client.post("/", content=b"x" * (2 * 1024 * 1024))).status_code == 400
    async with httpx.AsyncClient(base_url=door, trust_env=False) as stranger:
        assert b"MissingAuthenticationToken" in (await stranger.post("/", content="Action=ListMetrics")).content


_HALF = json.loads('"\\ud800"')


def _point(**changes: Any) -> dict[str, Any]:
    asked = {
        "Namespace": NAMESPACE,
        "MetricName": "ErrorCount",
        "StartTime": "2026-01-01T00:00:00Z",
        "EndTime": "2026-01-01T01:00:00Z",
        "Period": 3600,
        "Statistics": ["Sum"],
    }
    return {**asked, **changes}


def _data(start: str, end: str, period: int = 3600, **more: Any) -> dict[str, Any]:
    metric = {"Namespace": NAMESPACE, "MetricName": "ErrorCount"}
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}
    return {"MetricDataQueries": [query], "StartTime": start, "EndTime": end, **more}


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("GetMetricStatistics", _point(Dimensions=[{"Name": "ProjectName", "Value": "a\0b"}])),
        ("GetMetricStatistics", _point(Dimensions=[{"Name": "ProjectName", "Value": _HALF}])),
        ("GetMetricStatistics", _point(StartTime="0001-01-01T00:00:00+23:59", EndTime="0001-01-01T00:59:00Z")),
        ("GetMetricStatistics", _point(EndTime="9999-12-31T23:59:59-23:59")),
        ("GetMetricStatistics", _point(StartTime=-1e300)),
        ("GetMetricStatistics", _point(Period=10**30)),
        ("GetMetricData", _data("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 61_200)),
        ("GetMetricData", _data("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 86_400)),
        ("ListMetrics", {"MetricName": _HALF}),
        ("LookupEvents", {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": _HALF}]}),
        ("LookupEvents", {"StartTime": "0001-01-01T00:00:00+23:59"}),
        ("LookupEvents", {"EndTime": "9999-12-31T23:59:59Z"}),
        ("LookupEvents", {"StartTime": -62135596800, "EndTime": 253402300799}),
    ],
)
async def test_what_nothing_can_be_like_is_no_fault_of_ours(
    context: Context, filled: list[Call], operation: str, given: dict[str, Any]
) -> None:
    service = "CloudTrail_20131101" if operation == "LookupEvents" else "GraniteServiceVersion20100801"
    async with client_of(context) as client:
        headers = {"x-amz-target": f"{service}.{operation}"}
        answer = await client.post("/", content=json.dumps(given), headers=headers)
    assert answer.status_code in (200, 400), answer.text


async def test_texts_that_postgres_does_not_take_are_named(context: Context, filled: list[Call]) -> None:
    async with client_of(context) as client:
        for path in ("/api/v1/audit?user=%00", "/api/v1/audit?resource=a%00b", "/api/v1/audit?cursor=%00"):
            assert (await client.get(path)).status_code == 400, path
        early = "/api/v1/audit?from=0001-01-01T00:00:00%2B23:59&to=9999-12-31T23:59:59-23:59"
        assert (await client.get(early)).status_code == 200


async def test_tokens_that_were_not_given_are_refused(context: Context, filled: list[Call]) -> None:
    """Their positions are the caller's words, whatever they say."""
    asked = _data("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    listing = {"Namespace": NAMESPACE}
    marked = requests.GetMetricData.model_validate(asked), requests.ListMetrics.model_validate(listing)
    prints = [_fingerprint(wanted) for wanted in marked]
    tries = [
        ("GetMetricData", asked, _token(prints[0], 0, "9999-12-31T23:59:59+00:00")),
        ("GetMetricData", asked, _token(prints[0], 0, "0001-01-01T00:00:00+00:00")),
        ("GetMetricData", asked, _token(prints[0], True, None)),
        ("ListMetrics", listing, _token(prints[1], "a\0", "", "", "", "")),
        ("ListMetrics", listing, _token(prints[1], _HALF, "", "", "", "")),
    ]
    async with client_of(context) as client:
        for operation, given, token in tries:
            headers = {"x-amz-target": f"GraniteServiceVersion20100801.{operation}"}
            answer = await client.post("/", json={**given, "NextToken": token}, headers=headers)
            assert answer.status_code in (200, 400), answer.text
