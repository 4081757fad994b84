"""CloudWatch and CloudTrail as their own clients see them: numbers are those of the stored calls, errors are clear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
import uvicorn
from aggregator_help import ACCOUNT, free_port, new_run, until
from api_help import OTHER, Keys, client_of, get
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from calls_help import REGION, make_call, make_label_units, make_units
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.calls import CallStore, UnitStore
from vigia_aggregator.adapters.listener import Listener
from vigia_aggregator.adapters.partitions import CALLS, Partitions
from vigia_aggregator.domain.metrics import LOOKOUT_METRICS, Resolution, resolution_for, rounded
from vigia_aggregator.entrypoints.aws import requests
from vigia_aggregator.entrypoints.aws.operations import _fingerprint, _token
from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.entrypoints.http import make_app
from vigia_aggregator.settings import QuerySettings
from vigia_contracts.audit import CUSTOM_LABELS, VIGIA, Call, CallOutcome
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import ObjectSettings, PostgresSettings
from vigia_runtime.signin import Authenticator

NAMESPACE = "AWS/LookoutVision"
ONE = [{"Name": "ProjectName", "Value": "cookies"}, {"Name": "ModelVersion", "Value": "1"}]
PROJECT = ONE[:1]
#: The whole hour before this one: every metric's rows of it are complete.
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")

Client = Callable[..., Any]


@pytest.fixture
async def context(engine: AsyncEngine, postgres_url: str) -> Context:
    objects = ObjectSettings(endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key=SecretStr("b"))
    return Context(
        engine=engine,
        objects=ObjectStore(objects),
        authenticator=Authenticator(Keys()),
        listener=Listener(PostgresSettings(url=SecretStr(postgres_url))),
        query=QuerySettings(),
        followers=asyncio.Semaphore(1),
    )


@pytest.fixture
async def door(context: Context) -> AsyncIterator[str]:
    """The address of the running app."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_app(context), host="127.0.0.1", port=port, log_level="warning"))
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started, 20, "the door")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.fixture
def client(door: str, tmp_path: Path) -> Client:
    """Makes clients of the newest boto3; with ``protocol`` of one that knows no other."""

    def make(service: str, key: str = "AKIAEXAMPLE", secret: str = "secret", protocol: str | None = None) -> Any:
        core = botocore.session.Session()
        if protocol is not None:
            model = Loader().load_service_model("cloudwatch", "service-2")
            model["metadata"] |= {"protocol": protocol, "protocols": [protocol]}
            place = tmp_path / protocol / "cloudwatch" / "2010-08-01"
            place.mkdir(parents=True, exist_ok=True)
            (place / "service-2.json").write_text(json.dumps(model))
            core.get_component("data_loader").search_paths.insert(0, str(tmp_path / protocol))
        return boto3.Session(key, secret, region_name=REGION, botocore_session=core).client(
            service, endpoint_url=door, config=Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        )

    return make


async def ask(operation: Callable[..., Any], **given: Any) -> Any:
    return await asyncio.to_thread(partial(operation, **given))


async def refusal(operation: Callable[..., Any], **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        await ask(operation, **given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def at(minute: float, **more: Any) -> dict[str, Any]:
    return {"called_at": HOUR + timedelta(minutes=minute), **more}


@pytest.fixture
async def filled(engine: AsyncEngine) -> list[Call]:
    """An hour of calls of two versions, and units for ten minutes of it."""
    run = new_run()
    judged = {"images_processed": 1}
    made = [
        *(make_call(n, run, **at(n), **judged, anomalies=n % 3 == 0, duration_ms=10.0 + n) for n in range(30)),
        *(make_call(100 + n, run, **at(n), **judged, model_version="2") for n in range(5)),
        *(make_call(200 + n, run, **at(n), outcome=CallOutcome.CLIENT_ERROR, images_invalid=1) for n in range(4)),
        *(make_call(300 + n, run, **at(40), outcome=CallOutcome.THROTTLED) for n in range(3)),
        make_call(400, run, **at(50), name="DescribeProject", model_version=None),
        make_call(401, run, **at(50), name="ListProjects", project=None, model_version=None),
        make_call(402, run, **at(50), source=VIGIA, name="PutCamera", project=None, model_version=None),
        make_call(403, run, **at(50), account_id="999999999999"),
        make_call(404, run, **at(50), region="eu-west-1"),
    ]
    await CallStore(engine, Partitions(engine, CALLS)).write(made)
    minutes = [HOUR + timedelta(minutes=n) for n in range(10)]
    await UnitStore(engine).write(
        [*(make_units(m) for m in minutes), *(make_units(m, "2", in_service_units=2) for m in minutes[:5])]
    )
    return made


async def statistics(cloudwatch: Any, metric: str, dimensions: Any, period: int = 3600, **more: Any) -> Any:
    given = {
        "Namespace": NAMESPACE,
        "MetricName": metric,
        "Dimensions": dimensions,
        "StartTime": HOUR,
        "EndTime": HOUR + timedelta(hours=1),
        "Period": period,
        "Statistics": ["Sum", "Average", "SampleCount", "Minimum", "Maximum"],
    }
    return await ask(cloudwatch.get_metric_statistics, **given | more)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_statistics_are_those_of_the_calls(client: Client, filled: list[Call], protocol: str) -> None:
    cloudwatch = client("cloudwatch", protocol=protocol)
    expected: dict[str, tuple[float, int, float]] = {
        "SuccessfulRequestCount": (30, 37, 1),
        "ErrorCount": (7, 37, 1),
        "ThrottledCount": (3, 37, 1),
        "ProcessedImageCount": (30, 34, 1),
        "InvalidImageCount": (4, 34, 1),
        "DetectedAnomalyCount": (10, 30, 1),
        "Time": (sum(10.0 + n for n in range(30)), 30, 39),
        "MinInferenceUnits": (10, 10, 1),
        "MaxInferenceUnits": (40, 10, 4),
        "DesiredInferenceUnits": (20, 10, 2),
        "InServiceInferenceUnits": (10, 10, 1),
    }
    assert set(expected) == LOOKOUT_METRICS.metrics
    for metric, (total, count, largest) in expected.items():
        answer = await statistics(cloudwatch, metric, ONE)
        assert answer["Label"] == metric
        [point] = answer["Datapoints"]
        assert point["Timestamp"] == HOUR
        assert (point["Sum"], point["SampleCount"], point["Maximum"]) == (total, count, largest), metric
        assert point["Average"] == pytest.approx(total / count)
        assert point["Unit"] == ("Milliseconds" if metric == "Time" else "Count")


async def test_a_project_is_the_sum_of_its_versions(client: Client, filled: list[Call]) -> None:
    cloudwatch = client("cloudwatch")
    assert (await statistics(cloudwatch, "ProcessedImageCount", PROJECT))["Datapoints"][0]["Sum"] == 35
    # Calls that name no version count for the project, those that name no project for the account.
    assert (await statistics(cloudwatch, "SuccessfulRequestCount", PROJECT))["Datapoints"][0]["Sum"] == 36
    assert (await statistics(cloudwatch, "SuccessfulRequestCount", []))["Datapoints"][0]["Sum"] == 37
    # Units add up at every moment: 3 for five minutes, then 1 for five minutes.
    by_minute = (await statistics(cloudwatch, "InServiceInferenceUnits", PROJECT, 60))["Datapoints"]
    assert [point["Average"] for point in by_minute] == [3] * 5 + [1] * 5
    assert [
        (p["Average"], p["SampleCount"])
        for p in (await statistics(cloudwatch, "InServiceInferenceUnits", PROJECT, 300))["Datapoints"]
    ] == [(3, 5), (1, 5)]


async def test_periods_begin_where_the_range_does(client: Client, filled: list[Call]) -> None:
    cloudwatch = client("cloudwatch")
    answer = await statistics(
        cloudwatch, "ProcessedImageCount", ONE, 600, StartTime=HOUR + timedelta(minutes=7, seconds=30)
    )
    found = [((p["Timestamp"] - HOUR).total_seconds() / 60, p["Sum"]) for p in answer["Datapoints"]]
    assert found == [(7, 10), (17, 10), (27, 3)]
    cut = await statistics(cloudwatch, "ProcessedImageCount", ONE, 60, EndTime=HOUR + timedelta(minutes=3))
    assert len(cut["Datapoints"]) == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_metric_data_of_several_metrics_in_pages(client: Client, filled: list[Call], protocol: str) -> None:
    cloudwatch = client("cloudwatch", protocol=protocol)

    def query(name: str, metric: str, stat: str, period: int, dimensions: Any = ONE, **more: Any) -> Any:
        wanted = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": wanted, "Period": period, "Stat": stat}, **more}

    given = {
        "MetricDataQueries": [
            query("images", "ProcessedImageCount", "Sum", 60),
            query("anomalies", "DetectedAnomalyCount", "Sum", 3600, Label="found"),
            query("hidden", "Time", "Sum", 60, ReturnData=False),
            query("time", "Time", "Average", 3600),
            query("nothing", "CPUUtilization", "Average", 300),
            query("elsewhere", "ErrorCount", "Sum", 300, [{"Name": "InstanceId", "Value": "i-1"}]),
        ],
        "StartTime": HOUR,
        "EndTime": HOUR + timedelta(hours=1),
    }
    whole = await ask(cloudwatch.get_metric_data, **given)
    by_id = {result["Id"]: result for result in whole["MetricDataResults"]}
    assert list(by_id) == ["images", "anomalies", "time", "nothing", "elsewhere"]
    assert by_id["images"]["Values"] == [1.0] * 29 + [1.0]
    assert by_id["images"]["Timestamps"] == [HOUR + timedelta(minutes=29 - n) for n in range(30)]
    assert (by_id["anomalies"]["Values"], by_id["anomalies"]["Label"]) == ([10], "found")
    assert by_id["time"]["Values"] == [24.5]
    assert by_id["nothing"]["Values"] == by_id["elsewhere"]["Values"] == []
    assert {result["StatusCode"] for result in whole["MetricDataResults"]} == {"Complete"}

    for order in ("TimestampAscending", "TimestampDescending"):
        pages = []
        token: dict[str, str] = {}
        while True:
            page = await ask(cloudwatch.get_metric_data, **given, ScanBy=order, MaxDatapoints=8, **token)
            assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 8
            pages.append(page)
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert len(pages) == 5  # four full of points, and the queries that have none
        moments = [
            t for page in pages for r in page["MetricDataResults"] if r["Id"] == "images" for t in r["Timestamps"]
        ]
        assert moments == sorted(by_id["images"]["Timestamps"], reverse=order == "TimestampDescending")
        assert pages[-1]["MetricDataResults"][-1]["Id"] == "elsewhere"
    # A token goes on with its own request only.
    code, _ = await refusal(cloudwatch.get_metric_data, **given | {"StartTime": HOUR - timedelta(hours=1)}, **token)
    assert code == "InvalidNextToken"
    assert (await refusal(cloudwatch.get_metric_data, **given, NextToken="nonsense"))[0] == "InvalidNextToken"


async def test_metrics_are_listed(client: Client, filled: list[Call]) -> None:
    cloudwatch = client("cloudwatch")
    found = (await ask(cloudwatch.list_metrics, Namespace=NAMESPACE))["Metrics"]
    named = {(m["MetricName"], *(d["Value"] for d in m["Dimensions"])) for m in found}
    assert {("ErrorCount", "cookies", "1"), ("ErrorCount", "cookies"), ("ErrorCount",)} <= named
    assert {name for name, *_ in named} == LOOKOUT_METRICS.metrics
    assert len(named) == len(found)
    wanted = {"MetricName": "Time", "Dimensions": [{"Name": "ModelVersion", "Value": "2"}]}
    [only] = (await ask(cloudwatch.list_metrics, **wanted))["Metrics"]
    assert only["Dimensions"] == [{"Name": "ProjectName", "Value": "cookies"}, {"Name": "ModelVersion", "Value": "2"}]
    assert (await ask(cloudwatch.list_metrics, Namespace="AWS/EC2"))["Metrics"] == []
    assert (await ask(cloudwatch.list_metrics, RecentlyActive="PT3H"))["Metrics"]


async def test_a_list_of_many_metrics_comes_in_pages(client: Client, engine: AsyncEngine) -> None:
    run = new_run()
    calls = [make_call(n, run, project=f"p{n % 20}", model_version=str(n // 20 + 1)) for n in range(320)]
    await CallStore(engine, Partitions(engine, CALLS)).write(calls)
    pages = await asyncio.to_thread(lambda: list(client("cloudwatch").get_paginator("list_metrics").paginate()))
    assert [len(page["Metrics"]) for page in pages] == [500, 500, 3 * (320 + 20 + 1) - 1000]
    shown = [json.dumps(metric, sort_keys=True) for page in pages for metric in page["Metrics"]]
    assert len(set(shown)) == len(shown) == 3 * 341


async def test_what_is_not_there_is_empty_and_what_is_wrong_is_named(client: Client, filled: list[Call]) -> None:
    cloudwatch = client("cloudwatch")
    for changed in (
        {"Namespace": "AWS/EC2"},
        {"MetricName": "Nothing"},
        {"Dimensions": [{"Name": "ModelVersion", "Value": "1"}]},
        {"Unit": "Bytes"},
        {"StartTime": HOUR - timedelta(days=3), "EndTime": HOUR - timedelta(days=2)},
    ):
        assert (await statistics(cloudwatch, "ErrorCount", ONE, **changed))["Datapoints"] == []
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"Period": 90}, "InvalidParameterValue", "multiple of 60"),
        ({"Period": 0}, "InvalidParameterValue", "multiple of 60"),
        ({"EndTime": HOUR}, "InvalidParameterCombination", "StartTime must be less"),
        ({"Statistics": []}, "InvalidParameterCombination", "Statistics"),
        ({"Statistics": ["Median"]}, "InvalidParameterValue", "Statistics.1"),
        ({"ExtendedStatistics": ["p99"]}, "InvalidParameterValue", "percentiles"),
        ({"StartTime": HOUR - timedelta(days=10), "Period": 60}, "InvalidParameterCombination", "1440"),
        ({"Namespace": ""}, "InvalidParameterValue", "Namespace"),
    ]
    for protocol in PROTOCOLS:
        speaking = client("cloudwatch", protocol=protocol)
        for changed, code, says in wrong:
            with pytest.raises(ClientError) as caught:
                await statistics(speaking, "ErrorCount", ONE, **changed)
            error = caught.value.response["Error"]
            assert (error["Code"], says in error["Message"]) == (code, True), (protocol, changed, error)
        assert (await refusal(speaking.put_metric_data, Namespace="x", MetricData=[]))[0] == "InvalidAction"
    math = {"Id": "m", "Expression": "SUM(METRICS())"}
    window = {"StartTime": HOUR, "EndTime": HOUR + timedelta(hours=1)}
    code, message = await refusal(cloudwatch.get_metric_data, MetricDataQueries=[math], **window)
    assert (code, "METRICS is not known" in message) == ("ValidationError", True)


async def test_only_the_accounts_own_and_only_who_may(client: Client, filled: list[Call]) -> None:
    for protocol in PROTOCOLS:
        unknown = client("cloudwatch", "AKIANOBODY", protocol=protocol)
        assert (await refusal(unknown.list_metrics))[0] == "UnrecognizedClientException"
        wrong = client("cloudwatch", secret="wrong", protocol=protocol)
        assert (await refusal(wrong.list_metrics))[0] == "InvalidSignatureException"
        code, message = await refusal(client("cloudwatch", "AKIACAMERA", protocol=protocol).list_metrics)
        assert code in ("AccessDenied", "AccessDeniedException")
        assert "cloudwatch:ListMetrics" in message
    other = client("cloudwatch", "AKIAOTHER")
    assert (await statistics(other, "SuccessfulRequestCount", []))["Datapoints"][0]["Sum"] == 1
    trail = client("cloudtrail", "AKIACAMERA")
    assert (await refusal(trail.lookup_events))[0] == "AccessDeniedException"
    assert len((await ask(client("cloudtrail", "AKIAOTHER").lookup_events))["Events"]) == 1


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


def test_old_data_is_read_from_coarser_rows() -> None:
    now = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
    assert rounded(now - timedelta(days=1), now).second == 0
    assert rounded(now - timedelta(days=20), now).minute == 30
    assert rounded(now - timedelta(days=100), now).minute == 0
    whole = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert resolution_for(whole, 3600) is Resolution.HOUR
    assert resolution_for(whole + timedelta(minutes=5), 3600) is Resolution.FIVE_MINUTES
    assert resolution_for(whole + timedelta(minutes=7), 3600) is Resolution.MINUTE
    assert resolution_for(whole, 600) is Resolution.FIVE_MINUTES
    assert resolution_for(whole, 120) is Resolution.MINUTE


LABELS = "AWS/Rekognition"
VERSION = [{"Name": "ProjectName", "Value": "cookies"}, {"Name": "VersionName", "Value": "v.1"}]


@pytest.fixture
async def labelled(engine: AsyncEngine, filled: list[Call]) -> list[Call]:
    """Beside those of ``filled``: calls of Custom Labels, and a version of a project of the same name, whose units are
    measured for three of five hours before."""
    run = new_run()
    version = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/cookies/version/v.1/1700000000000"
    labels: dict[str, Any] = {
        "source": CUSTOM_LABELS,
        "name": "DetectCustomLabels",
        "model_version": "v.1",
        "parameters": {"projectVersionArn": version},
    }
    made = [
        *(make_call(n, run, **at(n), **labels, images_processed=1, duration_ms=20.0 + n) for n in range(10)),
        *(make_call(20 + n, run, **at(n), **labels, outcome=CallOutcome.CLIENT_ERROR) for n in range(3)),
        *(make_call(30 + n, run, **at(n), **labels, outcome=CallOutcome.SERVER_ERROR) for n in range(2)),
        make_call(40, run, **at(40), **labels, outcome=CallOutcome.THROTTLED),
        make_call(50, run, **at(50), **{**labels, "name": "StartProjectVersion"}, duration_ms=5.0),
        make_call(51, run, **at(51), source=CUSTOM_LABELS, name="CreateProject", parameters={"projectName": "cookies"}),
    ]
    await CallStore(engine, Partitions(engine, CALLS)).write(made)
    units = [
        make_label_units(HOUR - timedelta(hours=hour, minutes=-minute), in_service_units=hour)
        for hour in (1, 2, 4)
        for minute in range(60)
    ]
    await UnitStore(engine).write([*units, make_label_units(HOUR), make_label_units(HOUR, "v.2", in_service_units=7)])
    return made


async def test_rekognition_has_metrics_by_operation_and_by_version(client: Client, labelled: list[Call]) -> None:
    cloudwatch = client("cloudwatch")
    operation = [{"Name": "Operation", "Value": "DetectCustomLabels"}]
    for metric, dimensions, expected in (
        ("SuccessfulRequestCount", operation, (10, 16, 1)),
        ("UserErrorCount", operation, (3, 16, 1)),
        ("ServerErrorCount", operation, (2, 16, 1)),
        ("ThrottledCount", operation, (1, 16, 1)),
        ("ResponseTime", operation, (sum(20.0 + n for n in range(10)), 10, 29)),
        ("SuccessfulRequestCount", [], (12, 18, 1)),
        ("InServiceInferenceUnits", VERSION, (1, 1, 1)),
        ("DesiredInferenceUnits", VERSION, (2, 1, 2)),
    ):
        answer = await statistics(cloudwatch, metric, dimensions, Namespace=LABELS)
        [point] = answer["Datapoints"]
        assert (point["Sum"], point["SampleCount"], point["Maximum"]) == expected, metric
        assert point["Unit"] == ("Milliseconds" if metric == "ResponseTime" else "Count")
    for metric, dimensions in (
        ("InServiceInferenceUnits", ONE),
        ("InServiceInferenceUnits", PROJECT),
        ("SuccessfulRequestCount", [{"Name": "Operation", "Value": "DetectFaces"}]),
        ("ErrorCount", []),
    ):
        assert (await statistics(cloudwatch, metric, dimensions, Namespace=LABELS))["Datapoints"] == []


async def test_projects_of_one_name_are_two(client: Client, labelled: list[Call]) -> None:
    """What Lookout's metrics say of the project ``cookies`` is what they said without the other one."""
    cloudwatch = client("cloudwatch")
    assert (await statistics(cloudwatch, "SuccessfulRequestCount", PROJECT))["Datapoints"][0]["Sum"] == 36
    assert (await statistics(cloudwatch, "SuccessfulRequestCount", []))["Datapoints"][0]["Sum"] == 37
    by_minute = (await statistics(cloudwatch, "InServiceInferenceUnits", PROJECT, 60))["Datapoints"]
    assert [point["Average"] for point in by_minute] == [3] * 5 + [1] * 5
    before = {"StartTime": HOUR - timedelta(hours=5), "EndTime": HOUR}
    assert (await statistics(cloudwatch, "InServiceInferenceUnits", PROJECT, **before))["Datapoints"] == []

    found = (await ask(cloudwatch.list_metrics, Namespace=LABELS))["Metrics"]
    named = {(m["MetricName"], *((d["Name"], d["Value"]) for d in m["Dimensions"])) for m in found}
    versions = {("ProjectName", "cookies")}
    assert len(named) == len(found)
    assert {name for name in named if name[0] == "ResponseTime"} == {
        ("ResponseTime",),
        *(("ResponseTime", ("Operation", o)) for o in ("CreateProject", "DetectCustomLabels", "StartProjectVersion")),
    }
    assert {name for name in named if name[0] == "InServiceInferenceUnits"} == {
        ("InServiceInferenceUnits", *versions, ("VersionName", "v.1")),
        ("InServiceInferenceUnits", *versions, ("VersionName", "v.2")),
    }
    lookout = (await ask(cloudwatch.list_metrics, Namespace=NAMESPACE))["Metrics"]
    everything = (await ask(cloudwatch.list_metrics))["Metrics"]
    assert len(everything) == len(found) + len(lookout)
    assert not any("v.1" in json.dumps(metric) for metric in lookout)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_running_hours_as_the_guides_dashboard_asks_for_them(
    client: Client, labelled: list[Call], protocol: str
) -> None:
    cloudwatch = client("cloudwatch", protocol=protocol)
    units = {"Namespace": LABELS, "MetricName": "InServiceInferenceUnits", "Dimensions": VERSION}
    given = {
        "MetricDataQueries": [
            {"Id": "e1", "Expression": "SUM(m1)*m1", "Label": "Inference units used"},
            {"Id": "e2", "Expression": "DATAPOINT_COUNT(m1)*m1/m1"},
            {"Id": "m1", "MetricStat": {"Metric": units, "Period": 3600, "Stat": "Average"}, "ReturnData": False},
        ],
        "StartTime": HOUR - timedelta(hours=5),
        "EndTime": HOUR,
        "ScanBy": "TimestampAscending",
    }
    used, hours = (await ask(cloudwatch.get_metric_data, **given))["MetricDataResults"]
    # 4, 2 and 1 units, an hour each; while it did not run there is nothing.
    moments = [HOUR - timedelta(hours=hour) for hour in (4, 2, 1)]
    assert (used["Id"], used["Label"], used["Timestamps"], used["Values"]) == (
        "e1",
        "Inference units used",
        moments,
        [28, 14, 7],
    )
    assert (hours["Id"], hours["Label"], hours["Timestamps"], hours["Values"]) == ("e2", "e2", moments, [3, 3, 3])

    for order, expected in (
        ("TimestampAscending", [28, 14, 7, 3, 3, 3]),
        ("TimestampDescending", [7, 14, 28, 3, 3, 3]),
    ):
        values: list[float] = []
        token: dict[str, str] = {}
        while True:
            page = await ask(cloudwatch.get_metric_data, **{**given, "ScanBy": order}, MaxDatapoints=2, **token)
            values += [value for result in page["MetricDataResults"] for value in result["Values"]]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert values == expected
    both = [{**given["MetricDataQueries"][2], "Expression": "m1"}]  # type: ignore[index]
    for wrong, says in (
        ([{"Id": "e1", "Expression": "SUM(m1)"}, given["MetricDataQueries"][2]], "single number"),  # type: ignore[index]
        ([{"Id": "e1", "Expression": "m1"}], "there is no query m1"),
        (both, "not both"),
        ([{"Id": "e1"}], "must have"),
    ):
        code, message = await refusal(cloudwatch.get_metric_data, **{**given, "MetricDataQueries": wrong})
        assert (code, says in message) == ("ValidationError", True), message


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
