"""What is called through the gateway is found again: in CloudTrail, in CloudWatch, by `vigia audit`, in Prometheus."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from tests.conftest import PROJECT
from tests.e2e import tiny
from tests.line import Line, until
from vigia_stack.parts.objects import ObjectsPart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ADMIN_MODEL = [{"Name": "ProjectName", "Value": PROJECT}, {"Name": "ModelVersion", "Value": "1"}]


def client(line: Line, service: str, data_path: Path | None = None) -> Any:
    """A client of the newest boto3 on the gateway; service models in ``data_path`` come first."""
    store = line.stack.part(ObjectsPart).store
    core = botocore.session.Session()
    if data_path is not None:
        core.get_component("data_loader").search_paths.insert(0, str(data_path))
    keys = (store.access_key_id, store.secret_access_key)
    session = boto3.Session(*keys, region_name=store.region, botocore_session=core)
    return session.client(service, endpoint_url=line.url)


@pytest.fixture
def query_models(tmp_path: Path) -> Path:
    """CloudWatch as clients knew it that speak AWS Query and nothing else."""
    model = Loader().load_service_model("cloudwatch", "service-2")
    model["metadata"] |= {"protocol": "query", "protocols": ["query"]}
    folder = tmp_path / "cloudwatch" / "2010-08-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    return tmp_path


def total(cloudwatch: Any, metric: str, dimensions: Any) -> float:
    """The metric's Sum over the last hours."""
    wanted = {"Namespace": "AWS/LookoutVision", "MetricName": metric, "Dimensions": dimensions}
    now = datetime.now(UTC)
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": wanted, "Period": 60, "Stat": "Sum"}}],
        StartTime=now - timedelta(hours=3),
        EndTime=now + timedelta(minutes=1),
    )
    return float(sum(sum(result["Values"]) for page in pages for result in page["MetricDataResults"]))


def test_calls_are_found_in_cloudtrail_and_counted_in_cloudwatch(line: Line, query_models: Path) -> None:
    trail, watch = client(line, "cloudtrail"), client(line, "cloudwatch")
    older = client(line, "cloudwatch", query_models)
    name = f"watched-{uuid.uuid4().hex[:8]}"
    line.lookout.create_project(ProjectName=name)
    line.lookout.describe_project(ProjectName=name)
    with pytest.raises(ClientError):
        line.lookout.describe_model(ProjectName=name, ModelVersion="7")
    made = line.lookout.delete_project(ProjectName=name)

    def calls() -> list[Any]:
        look = [{"AttributeKey": "ResourceName", "AttributeValue": name}]
        found: list[Any] = trail.lookup_events(LookupAttributes=look)["Events"]
        return found

    found = until("all calls are in CloudTrail", lambda: len(calls()) == 4 and calls())
    assert [event["EventName"] for event in found] == [
        "DeleteProject",
        "DescribeModel",
        "DescribeProject",
        "CreateProject",
    ]
    assert [event["ReadOnly"] for event in found] == ["false", "true", "true", "false"]
    records = [json.loads(event["CloudTrailEvent"]) for event in found]
    assert [record.get("errorCode") for record in records] == [None, "ResourceNotFoundException", None, None]
    assert records[0]["requestID"] == made["ResponseMetadata"]["RequestId"]
    assert records[0]["sourceIPAddress"] == "127.0.0.1"
    assert records[3]["requestParameters"]["projectName"] == name
    assert records[3]["requestParameters"]["clientToken"]
    assert "Boto3" in records[3]["userAgent"]
    assert [row["event_id"] for row in line.api.audit(resource=name)] == [event["EventId"] for event in found]

    here = [{"Name": "ProjectName", "Value": name}]
    for cloudwatch in (watch, older):
        # The failed one names a version that does not exist; the project it names did.
        assert total(cloudwatch, "SuccessfulRequestCount", here) == 3
        assert total(cloudwatch, "ErrorCount", here) == 1
        assert total(cloudwatch, "ProcessedImageCount", here) == 0

    def counted() -> bool:
        query = {"query": f'sum by (outcome) (vigia_lookout_requests_total{{project="{name}"}})'}
        result = httpx.get(f"{line.prometheus}/api/v1/query", params=query).json()["data"]["result"]
        values = {one["metric"]["outcome"]: float(one["value"][1]) for one in result}
        return values == {"success": 3, "error": 1, "throttled": 0}

    until("Prometheus says the same", counted)


def test_images_anomalies_and_units_are_counted(line: Line) -> None:
    watch = client(line, "cloudwatch")
    names = ("ProcessedImageCount", "DetectedAnomalyCount", "InvalidImageCount", "ErrorCount")

    def totals() -> dict[str, float]:
        return {name: total(watch, name, ADMIN_MODEL) for name in names}

    before = totals()
    for body in (tiny.image(60), tiny.image(200), tiny.image(200, 1), tiny.png(tiny.WIDTH, tiny.HEIGHT + 1)):
        kind = "image/png" if body.startswith(b"\x89PNG") else "image/jpeg"
        given = {"ProjectName": PROJECT, "ModelVersion": "latest", "ContentType": kind, "Body": body}
        if kind == "image/png":
            with pytest.raises(ClientError):
                line.lookout.detect_anomalies(**given)
        else:
            line.lookout.detect_anomalies(**given)
    expected = dict(zip(names, (3, 2, 1, 1), strict=True))
    until("they are counted", lambda: {n: totals()[n] - before[n] for n in names} == expected)

    def units() -> list[float]:
        now = datetime.now(UTC)
        points = watch.get_metric_statistics(
            Namespace="AWS/LookoutVision",
            MetricName="InServiceInferenceUnits",
            Dimensions=ADMIN_MODEL,
            StartTime=now - timedelta(minutes=30),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        return [point["Average"] for point in points if point["Average"]]

    assert set(until("a minute is measured", units, within=90)) == {1.0}
