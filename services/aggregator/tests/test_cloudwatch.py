"""CloudWatch as its own clients see it: numbers are those of the stored calls, errors are clear."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aggregator_help import new_run
from aws_help import HOUR, NAMESPACE, Client, ask, refusal
from botocore.exceptions import ClientError
from calls_help import make_call
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.calls import CallStore
from vigia_aggregator.adapters.partitions import CALLS, Partitions
from vigia_aggregator.domain.metrics import LOOKOUT_METRICS, Resolution, resolution_for, rounded
from vigia_contracts.audit import Call

ONE = [{"Name": "ProjectName", "Value": "cookies"}, {"Name": "ModelVersion", "Value": "1"}]
PROJECT = ONE[:1]
PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")


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
