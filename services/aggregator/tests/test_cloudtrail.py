"""CloudTrail as its own clients see it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
from aggregator_help import ACCOUNT
from api_help import OTHER, client_of, get
from aws_help import HOUR, Client, ask, refusal
from calls_help import REGION

from vigia_aggregator.entrypoints.context import Context
from vigia_contracts.audit import Call


async def test_events_are_looked_up(client: Client, filled: list[Call]) -> None:
    trail = client("cloudtrail")

    async def look(key: str, value: str, **more: Any) -> list[Any]:
        given = [{"AttributeKey": key, "AttributeValue": value}]
        found: list[Any] = (await ask(trail.lookup_events, LookupAttributes=given, **more))["Events"]
        return found

    [event] = await look("EventName", "DescribeProject")
    call = next(one for one in filled if one.record.eventName == "DescribeProject")
    assert event["EventId"] == str(call.record.eventID)
    assert (event["ReadOnly"], event["Username"], event["AccessKeyId"]) == ("true", "admin", "AKIAEXAMPLE")
    assert event["EventSource"] == "lookoutvision.amazonaws.com"
    assert event["EventTime"] == call.record.eventTime
    assert {"ResourceType": "AWS::LookoutVision::Project", "ResourceName": "cookies"} in event["Resources"]
    record = json.loads(event["CloudTrailEvent"])
    assert record["eventVersion"] == "1.08"
    assert record["eventTime"] == f"{call.record.eventTime:%Y-%m-%dT%H:%M:%SZ}"
    assert record["userIdentity"]["type"] == "IAMUser"
    assert record["responseElements"] is None
    assert "errorCode" not in record
    assert record["requestID"] == call.record.requestID

    assert [one["EventId"] for one in await look("EventId", event["EventId"])] == [event["EventId"]]
    assert len(await look("EventSource", "vigia")) == 1
    assert [one["EventName"] for one in await look("ReadOnly", "false")] == ["PutCamera"]
    assert len(await look("Username", "admin")) == 45
    assert await look("Username", "nobody") == await look("EventId", "no-uuid") == await look("ReadOnly", "no") == []
    assert len(await look("AccessKeyId", "AKIAEXAMPLE", MaxResults=3)) == 3
    assert {
        json.loads(one["CloudTrailEvent"])["requestParameters"]["modelVersion"]
        for one in await look("ResourceName", "cookies/2")
    } == {"2"}
    assert len(await look("ResourceType", "AWS::LookoutVision::Project", MaxResults=50)) == 43
    moment = HOUR + timedelta(minutes=40)
    denied = await look("EventName", "DetectAnomalies", StartTime=moment, EndTime=moment)
    assert [json.loads(one["CloudTrailEvent"])["errorCode"] for one in denied] == ["ConflictException"] * 3

    pages = await asyncio.to_thread(
        lambda: list(trail.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 10}))
    )
    seen = [one for page in pages for one in page["Events"]]
    mine = [one for one in filled if one.account_id == ACCOUNT and one.region == REGION]
    assert [len(page["Events"]) for page in pages] == [10, 10, 10, 10, 5]
    assert {one["EventId"] for one in seen} == {str(one.record.eventID) for one in mine}
    assert [one["EventTime"] for one in seen] == sorted((one["EventTime"] for one in seen), reverse=True)


async def test_wrong_look_ups_are_named(client: Client, filled: list[Call]) -> None:
    trail = client("cloudtrail")
    one = {"AttributeKey": "EventName", "AttributeValue": "x"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"MaxResults": 51}, "InvalidMaxResultsException"),
        ({"MaxResults": 0}, "InvalidMaxResultsException"),
        ({"LookupAttributes": [one, one]}, "InvalidLookupAttributesException"),
        ({"LookupAttributes": [{"AttributeKey": "Colour", "AttributeValue": "x"}]}, "InvalidLookupAttributesException"),
        ({"StartTime": HOUR, "EndTime": HOUR - timedelta(days=1)}, "InvalidTimeRangeException"),
        ({"NextToken": "nonsense"}, "InvalidNextTokenException"),
        ({"EventCategory": "insight"}, "InvalidEventCategoryException"),
    ]
    for given, code in wrong:
        assert (await refusal(trail.lookup_events, **given))[0] == code
    assert (await refusal(trail.describe_trails))[0] == "UnsupportedOperationException"


async def test_the_audit_is_read_page_by_page(context: Context, filled: list[Call]) -> None:
    async with client_of(context) as client:
        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await get(client, "/api/v1/audit", limit=17, **cursor)
            seen += page["items"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        mine = [call for call in filled if call.account_id == ACCOUNT]
        assert len(seen) == len(mine)
        assert {item["event_id"] for item in seen} == {str(call.record.eventID) for call in mine}
        assert [item["called_at"] for item in seen] == sorted((item["called_at"] for item in seen), reverse=True)
        for filters, count in (
            ({"name": "ListProjects"}, 1),
            ({"source": "vigia"}, 1),
            ({"outcome": "throttled"}, 3),
            ({"read_only": "false"}, 1),
            ({"project": "cookies", "model_version": "2"}, 5),
            ({"resource": "cookies/2"}, 5),
            ({"user": "nobody"}, 0),
            ({"access_key": "AKIAEXAMPLE", "name": "DescribeProject"}, 1),
            ({"from": (HOUR + timedelta(minutes=40)).isoformat(), "to": (HOUR + timedelta(minutes=41)).isoformat()}, 3),
        ):
            assert len((await get(client, "/api/v1/audit", limit=200, **filters))["items"]) == count, filters
        [item] = (await get(client, "/api/v1/audit", name="ListProjects"))["items"]
        assert (item["username"], item["outcome"], item["record"]["eventName"]) == ("admin", "success", "ListProjects")
        assert (await client.get("/api/v1/audit", params={"cursor": "x"})).status_code == 400
        assert "/api/v1/audit" in (await client.get("/openapi.json")).json()["paths"]
    async with client_of(context, httpx.BasicAuth("AKIACAMERA", "secret")) as client:
        assert (await client.get("/api/v1/audit")).status_code == 403
    async with client_of(context, OTHER) as client:
        assert len((await get(client, "/api/v1/audit"))["items"]) == 1


async def test_calls_of_custom_labels_are_looked_up_by_what_they_name(client: Client, labelled: list[Call]) -> None:
    trail = client("cloudtrail")

    async def look(key: str, value: str) -> list[Any]:
        given = [{"AttributeKey": key, "AttributeValue": value}]
        found: list[Any] = (await ask(trail.lookup_events, LookupAttributes=given))["Events"]
        return found

    arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/cookies/version/v.1/1700000000000"
    assert len(await look("EventSource", "rekognition.amazonaws.com")) == len(labelled)
    named = await look("ResourceName", arn)
    assert len(named) == len(labelled) - 1
    assert named[0]["Resources"] == [{"ResourceType": "AWS::Rekognition::ProjectVersion", "ResourceName": arn}]
    [started] = await look("EventName", "StartProjectVersion")
    record = json.loads(started["CloudTrailEvent"])
    assert (record["eventSource"], record["requestParameters"]) == (
        "rekognition.amazonaws.com",
        {"projectVersionArn": arn},
    )
    [created] = await look("EventName", "CreateProject")
    assert created["Resources"] == [{"ResourceType": "AWS::Rekognition::Project", "ResourceName": "cookies"}]
    assert len(await look("ResourceType", "AWS::Rekognition::Project")) == 1
