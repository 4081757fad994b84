"""Every call of a known caller is written down, once, with what it changed; nothing secret is."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from prometheus_client import REGISTRY

from vigia_contracts.audit import LOOKOUT, STS, VIGIA, CallOutcome
from vigia_contracts.topics import USAGE
from vigia_contracts.usage import UnitsMeasured
from vigia_registry.entrypoints.http import build
from vigia_registry.hosting import repository, service, usage
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.versions import Change
from vigia_registry.http.rest import cameras, iam, lines, models, thresholds, trials
from vigia_registry.http.rest.audited import AuditedRoute, event_name
from vigia_registry.http.rest.caller import Door
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Owner, Vault
from vigia_registry.pagination import Pages
from vigia_runtime.policies import allowing
from vigia_runtime.signin import INTERNAL_HEADER, Authenticator

from .calls import ACCOUNT, BASE, KEY, REGION, Aws, calls, unrecorded


async def add_key(fleet: Any, name: str, *actions: str) -> tuple[str, str]:
    """A user who may do these things, and its key."""
    owner = Owner(ACCOUNT, REGION)
    inline = {"may": allowing(*actions)} if actions else {}
    async with fleet.deps.database.transaction() as session:
        vault = Vault(fleet.deps.settings.secret_key.get_secret_value())
        await identity.put_user(session, owner, name, [], inline)
        key, secret = await identity.add_key(session, vault, owner, name)
        return key.access_key_id, secret


async def test_a_change_is_written_down_as_cloudtrail_does(aws: httpx.AsyncClient, fleet: Any) -> None:
    before = datetime.now(UTC)
    token = {"X-Amzn-Client-Token": "token-1"}
    answer = await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"}, headers=token)
    assert answer.status_code == 200
    [call] = await calls(fleet)
    record = call.record
    assert (record.eventName, record.eventSource, record.readOnly) == ("CreateProject", LOOKOUT, False)
    assert record.requestParameters == {"projectName": "lids", "clientToken": "token-1"}
    made = answer.json()["ProjectMetadata"]
    assert record.responseElements == {
        "projectMetadata": {
            "projectArn": made["ProjectArn"],
            "projectName": "lids",
            "creationTimestamp": made["CreationTimestamp"],
        }
    }
    assert (record.userIdentity.type, record.userIdentity.userName) == ("IAMUser", "admin")
    assert record.userIdentity.accessKeyId == KEY[0]
    assert (record.sourceIPAddress, record.userAgent, record.awsRegion) == ("10.1.2.3", "Boto3/test", REGION)
    assert record.requestID == answer.headers["x-amzn-requestid"]
    assert record.recipientAccountId == ACCOUNT
    assert record.errorCode is None
    assert before <= call.called_at <= datetime.now(UTC)
    assert before - timedelta(seconds=1) < record.eventTime <= call.called_at
    assert (call.outcome, call.project, call.model_version) == (CallOutcome.SUCCESS, "lids", None)
    assert call.duration_ms > 0

    again = await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"}, headers=token)
    assert again.json() == answer.json()
    assert [one.record.eventName for one in await calls(fleet)] == ["CreateProject"]


async def test_datasets_are_written_down_by_their_status(aws: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.project("lids")
    answer = await aws.post("/2020-11-20/projects/lids/datasets", json={"DatasetType": "train"})
    assert answer.status_code == 202
    [call] = await calls(fleet)
    assert call.record.requestParameters == {"projectName": "lids", "datasetType": "train"}
    assert call.record.responseElements == {"status": answer.json()["DatasetMetadata"]["Status"]}


async def test_reads_are_written_down_too(aws: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(3, project="lids")
    assert (await aws.get("/2020-11-20/projects?maxResults=7")).status_code == 200
    assert (await aws.get("/2020-11-20/projects/lids")).status_code == 200
    assert (await aws.get("/2020-11-20/projects/lids/models/latest")).status_code == 200
    listed, described, latest = await calls(fleet)
    assert (listed.record.eventName, listed.record.readOnly, listed.project) == ("ListProjects", True, None)
    assert listed.record.requestParameters == {"maxResults": "7"}
    assert (described.record.responseElements, described.project) == (None, "lids")
    assert (latest.project, latest.model_version) == ("lids", "3")
    assert latest.record.requestParameters == {"projectName": "lids", "modelVersion": "latest"}


async def test_a_call_about_an_arn_counts_for_what_it_names(aws: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(1, project="lids")
    arn = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/lids/1"
    for named in (arn, arn.replace("lids/1", "lids/9"), arn.replace(ACCOUNT, "999999999999"), "nonsense"):
        await aws.get(f"/2020-11-20/tags/{quote(named, safe='')}")
    found = await calls(fleet)
    assert {one.record.eventName for one in found} == {"ListTagsForResource"}
    assert found[0].record.requestParameters == {"resourceArn": arn}
    assert [(one.project, one.model_version) for one in found] == [
        ("lids", "1"),
        ("lids", None),
        (None, None),
        (None, None),
    ]


async def test_who_asks_too_often_is_written_down_as_throttled(fleet: Any) -> None:
    transport = httpx.ASGITransport(build(fleet.deps))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, auth=Aws()) as client:
        for _ in range(200):
            if (await client.get("/2020-11-20/projects")).status_code == 429:
                break
    *_, last = await calls(fleet)
    assert (last.outcome, last.record.errorCode) == (CallOutcome.THROTTLED, "ThrottlingException")


async def test_refused_and_failed_calls_are_written_down(aws: httpx.AsyncClient, fleet: Any) -> None:
    """Denied, invalid, not there, in conflict, not offered, no JSON; names that do not exist become no metric."""
    await fleet.version(1, project="lids")
    nobody = await add_key(fleet, "nobody")
    denied = Aws(*nobody)
    model = "/2020-11-20/projects/lids/models/1"
    asked = [
        await aws.get("/2020-11-20/projects/lids", auth=denied),
        await aws.post("/2020-11-20/projects", json={"ProjectName": "bad name"}),
        await aws.get("/2020-11-20/projects/nothing/models/7"),
        await aws.get("/2020-11-20/projects/lids/models/7"),
        await aws.post(f"{model}/stop"),
        await aws.post("/2020-11-20/projects", content=b"{"),
        await aws.post(f"{model}/detect", content=b"image"),
    ]
    found = await calls(fleet)
    assert [(one.record.eventName, one.record.errorCode) for one in found] == [
        ("DescribeProject", "AccessDeniedException"),
        ("CreateProject", "ValidationException"),
        ("DescribeModel", "ResourceNotFoundException"),
        ("DescribeModel", "ResourceNotFoundException"),
        ("StopModel", "ConflictException"),
        ("CreateProject", "ValidationException"),
        ("DetectAnomalies", "UnknownOperationException"),
    ]
    assert {one.outcome for one in found} == {CallOutcome.CLIENT_ERROR}
    assert [one.record.errorMessage for one in found] == [answer.json()["Message"] for answer in asked]
    assert [one.record.requestID for one in found] == [answer.headers["x-amzn-requestid"] for answer in asked]
    assert [(one.project, one.model_version) for one in found] == [
        ("lids", None),
        (None, None),
        (None, None),
        ("lids", None),
        ("lids", "1"),
        (None, None),
        ("lids", "1"),
    ]
    assert found[0].record.userIdentity.accessKeyId == nobody[0]
    assert "image" not in found[-1].model_dump_json().replace("images_", "")


_ODD = [
    ("GET", "/2020-11-20/projects/a%00b", None),
    ("GET", "/2020-11-20/projects/%ED%A0%80", None),
    ("GET", f"/2020-11-20/projects/{'a' * 5000}", None),
    ("GET", f"/2020-11-20/projects/lids/models/{quote('٣')}", None),
    ("GET", "/2020-11-20/projects/lids/models/1%00", None),
    ("GET", f"/2020-11-20/projects/lids/models/{'9' * 400}", None),
    ("GET", f"/2020-11-20/tags/{quote(f'arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/a', safe='')}%00b%2F1", None),
    ("POST", "/2020-11-20/projects", b'{"ProjectName": "\\ud800"}'),
    ("POST", "/2020-11-20/projects", b'{"ProjectName": "a\\u0000"}'),
    ("POST", "/2020-11-20/projects", b'{"ProjectName": "' + b"a" * 100_000 + b'"}'),
    ("POST", "/2020-11-20/projects", b'{"ProjectName": ' + b"[" * 40 + b"]" * 40 + b"}"),
]


@pytest.mark.parametrize(("method", "path", "body"), _ODD, ids=range(len(_ODD)))
async def test_whatever_a_call_names_it_is_written_down(
    aws: httpx.AsyncClient, fleet: Any, method: str, path: str, body: bytes | None
) -> None:
    await fleet.version(1, project="lids")
    before = unrecorded()
    answer = await aws.request(method, path, content=body)
    assert answer.status_code in (400, 404)
    [call] = await calls(fleet)
    assert call.record.errorCode == answer.headers["x-amzn-errortype"]
    assert (call.project in (None, "lids"), call.model_version) == (True, None)
    assert unrecorded() == before


async def test_a_call_signed_for_what_is_no_region_is_written_down(aws: httpx.AsyncClient, fleet: Any) -> None:
    answer = await aws.get("/2020-11-20/projects", auth=Aws(region="Us_" + "e" * 300))
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    [call] = await calls(fleet)
    assert call.record.errorCode == "ValidationException"
    assert len(call.region) <= 64


async def test_a_manifest_is_told_by_its_size(aws: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.project("lids")
    await aws.patch("/2020-11-20/projects/lids/datasets/train/entries", json={"Changes": "c2VjcmV0LWxpbmU="})
    [call] = await calls(fleet)
    assert call.record.requestParameters is not None
    assert call.record.requestParameters["changes"] == "(12 bytes)"
    assert "c2VjcmV0" not in call.model_dump_json()


async def test_without_a_known_caller_there_is_a_number_and_no_record(aws: httpx.AsyncClient, fleet: Any) -> None:
    def failures(code: str) -> float:
        labels = {"service": "lookoutvision", "code": code}
        return REGISTRY.get_sample_value("vigia_signature_failures_total", labels) or 0.0

    before = failures("InvalidSignatureException"), failures("UnrecognizedClientException")
    assert (await aws.get("/2020-11-20/projects", auth=Aws(KEY[0], "wrong"))).status_code == 403
    assert (await aws.get("/2020-11-20/projects", auth=Aws("AKIANOBODY"))).status_code == 403
    for odd in ("a\0b", "\u00e9", "a b", "x" * 10_000):
        assert (await aws.get("/api/v1/cameras", auth=(odd, "secret"))).status_code == 401
    assert await calls(fleet) == []
    assert failures("InvalidSignatureException") == before[0] + 1
    assert failures("UnrecognizedClientException") == before[1] + 1


async def test_what_a_service_asks_in_a_callers_name_is_no_call_of_theirs(aws: httpx.AsyncClient, fleet: Any) -> None:
    token = fleet.deps.settings.internal_token.get_secret_value()
    assert (await aws.get("/2020-11-20/projects", headers={INTERNAL_HEADER: token})).status_code == 200
    assert await calls(fleet) == []
    assert (await aws.get("/2020-11-20/projects", headers={INTERNAL_HEADER: "guessed"})).status_code == 200
    assert len(await calls(fleet)) == 1


async def test_changes_by_the_rest_api_are_written_down(aws: httpx.AsyncClient, fleet: Any) -> None:
    reader = await add_key(fleet, "reader", "vigia:Read*")
    source = {"kind": "rtsp", "url": "rtsp://user:pa55@10.0.0.7/stream?token=abc"}
    asked = [
        await aws.post("/api/v1/lines", json={"line_id": "oven"}, auth=KEY),
        await aws.put("/api/v1/cameras/oven-1", json={"source": source, "line_id": "oven"}, auth=KEY),
        await aws.post("/api/v1/cameras/oven-1/disable", auth=KEY),
        await aws.delete("/api/v1/lines/oven", auth=KEY),
        await aws.put("/api/v1/cameras/oven-1", json={"source": {"kind": "tape"}}, auth=KEY),
        await aws.delete("/api/v1/cameras/oven-1", auth=reader),
        await aws.get("/api/v1/cameras", auth=KEY),
        await aws.delete("/api/v1/cameras/oven-1", auth=(reader[0], "wrong")),
    ]
    assert [answer.status_code for answer in asked] == [201, 201, 200, 409, 400, 403, 200, 401]
    found = await calls(fleet)
    assert [(one.record.eventName, one.record.errorCode) for one in found] == [
        ("CreateLine", None),
        ("PutCamera", None),
        ("DisableCamera", None),
        ("DeleteLine", "line_in_use"),
        ("PutCamera", "invalid_input"),
        ("DeleteCamera", "access_denied"),
    ]
    assert {one.record.eventSource for one in found} == {VIGIA}
    assert found[1].record.requestParameters == {
        "camera_id": "oven-1",
        "source": {"kind": "rtsp", "url": "***@10.0.0.7/stream?***"},
        "line_id": "oven",
    }
    assert "pa55" not in json.dumps([one.model_dump(mode="json") for one in found])
    assert "abc" not in found[1].model_dump_json()
    assert {one.project for one in found} == {None}


async def test_who_took_which_role_is_written_down_and_no_credentials_are(aws: httpx.AsyncClient, fleet: Any) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/inspection"
    body = {"policies": ["AmazonLookoutVisionReadOnlyAccess"], "trust": [ACCOUNT]}
    assert (await aws.put("/api/v1/iam/roles/inspection", json=body, auth=KEY)).status_code == 201
    key = await aws.post("/api/v1/iam/users/admin/access-keys", auth=KEY)
    secret = key.json()["secret_access_key"]

    async def sts(auth: httpx.Auth, **fields: str) -> httpx.Response:
        return await aws.post("/", data={"Version": "2011-06-15", **fields}, auth=auth)

    asked = {"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": "shift-1"}
    taken = await sts(Aws(service="sts"), **asked)
    assert taken.status_code == 200
    stranger = Aws(*await add_key(fleet, "stranger"), service="sts")
    assert (await sts(stranger, **asked)).status_code == 403
    credentials = ElementTree.fromstring(taken.text)[0].find("{*}Credentials")
    assert credentials is not None
    given = [member.text or "" for member in credentials][:3]
    assert (await aws.get("/2020-11-20/projects", auth=Aws(*given))).status_code == 200

    found = await calls(fleet)
    assert [(one.record.eventSource, one.record.eventName, one.record.errorCode) for one in found] == [
        (VIGIA, "PutRole", None),
        (VIGIA, "CreateAccessKey", None),
        (STS, "AssumeRole", None),
        (STS, "AssumeRole", "AccessDenied"),
        (LOOKOUT, "ListProjects", None),
    ]
    assert found[2].record.requestParameters == {"roleArn": role, "roleSessionName": "shift-1"}
    # The session is known as CloudTrail knows one: by the ids of the role.
    who = found[4].record.userIdentity
    assert (who.type, who.arn) == ("AssumedRole", f"arn:aws:sts::{ACCOUNT}:assumed-role/inspection/shift-1")
    assert who.principalId.startswith("AROA")
    assert who.principalId.endswith(":shift-1")
    assert who.sessionContext is not None
    assert who.sessionContext.sessionIssuer.principalId == who.principalId.partition(":")[0]
    written = json.dumps([one.model_dump(mode="json") for one in found])
    for hidden in (secret, *given[1:]):
        assert hidden not in written


async def test_trials_are_the_services_own_calls(aws: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(1, project="lids")
    upload = {"project": "lids", "name": "night", "source": {"kind": "upload"}}
    made = await aws.post("/api/v1/trials", json=upload, auth=KEY)
    assert made.status_code == 201
    place = f"/api/v1/trials/{made.json()['trial_id']}"
    assert (await aws.get("/api/v1/trials", params={"project": "lids"}, auth=KEY)).status_code == 200
    assert (await aws.get(place, auth=KEY)).status_code == 200
    assert (await aws.get(f"{place}/images", auth=KEY)).status_code == 200
    assert (await aws.post(f"{place}/start", auth=KEY)).status_code == 409
    found = await calls(fleet)
    assert [(one.record.eventName, one.record.readOnly, one.record.eventSource) for one in found] == [
        ("StartTrialDetection", False, LOOKOUT),
        ("ListTrialDetection", True, LOOKOUT),
        ("DescribeTrialDetection", True, LOOKOUT),
        ("StartTrialDetection", False, LOOKOUT),
    ]
    assert [one.project for one in found] == ["lids", "lids", None, None]
    assert found[0].record.requestParameters == upload
    assert found[3].outcome is CallOutcome.CLIENT_ERROR


def test_every_route_that_changes_something_is_audited_under_a_name(fleet: Any) -> None:
    door = Door(fleet.deps, Authenticator(None), Pages("k" * 32))  # type: ignore[arg-type]
    routes = [
        route for part in (lines, cameras, models, thresholds, trials, iam) for route in part.create_router(door).routes
    ]
    changing = [route for route in routes if isinstance(route, APIRoute) and route.methods - {"GET"}]
    assert len(changing) >= 12
    for route in changing:
        assert isinstance(route, AuditedRoute), route.path
        assert sum(letter.isupper() for letter in event_name(route)) >= 2, route.path


async def test_units_are_measured_once_a_minute(fleet: Any) -> None:
    await fleet.version(2)
    hosted = await fleet.version(1)
    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, hosted, 2, 4)
        _, [target] = await repository.targets(session, "vigia")
        assert await repository.record(session, target, Change(Observed.SERVING, in_service_units=1))
    minute = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    ids = []
    for _ in range(2):
        async with fleet.deps.database.transaction() as session:
            assert await usage.measure(session, minute) == 1
        [(key, event)] = await fleet.take(USAGE)
        ids.append(event.id)
        assert key == f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/cookies/1"
        assert event.data == UnitsMeasured(
            account_id=ACCOUNT,
            region=REGION,
            project="cookies",
            model_arn=key,
            model_version="1",
            minute=minute,
            min_units=2,
            max_units=4,
            desired_units=2,
            in_service_units=1,
        )
    assert ids[0] == ids[1]
    # What waits for Kafka is bounded.
    async with fleet.deps.database.transaction() as session:
        assert await usage.measure(session, minute, 2) == 1
        assert await usage.measure(session, minute, 1) == 0
    assert len(await fleet.take(USAGE)) == 1
    async with fleet.deps.database.transaction() as session:
        await service.request_stop(session, hosted)
        assert await usage.measure(session, minute) == 1  # it still serves
    assert (await fleet.take(USAGE))[0][1].data.desired_units == 0
