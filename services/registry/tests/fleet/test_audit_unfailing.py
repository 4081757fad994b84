"""No call without its record, whatever else fails; no record that says what was not asked."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
from prometheus_client import REGISTRY
from sqlalchemy import text

from vigia_contracts.audit import CallOutcome
from vigia_contracts.topics import TRAINING_JOBS
from vigia_registry.bootstrap import Deps
from vigia_registry.entrypoints.http import build
from vigia_registry.settings import AuditSettings, RateSettings
from vigia_runtime.settings import HttpSettings

from .calls import BASE, KEY, Aws, calls, sts, unrecorded


async def test_nothing_is_changed_and_nothing_told_without_a_record(aws: httpx.AsyncClient, fleet: Any) -> None:
    """The record cannot be kept: a change is undone and a read is not answered, both may be tried again."""
    before = unrecorded()
    engine = fleet.deps.database.engine
    async with engine.begin() as connection:
        await connection.execute(text("alter table registry.outbox rename to elsewhere"))
    asked = [
        await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"}),
        await aws.get("/2020-11-20/projects"),
        await aws.get("/2020-11-20/projects/nothing"),
    ]
    async with engine.begin() as connection:
        await connection.execute(text("alter table registry.elsewhere rename to outbox"))
    # The last one failed anyway, and says why.
    assert [answer.headers["x-amzn-errortype"] for answer in asked] == [
        "InternalServerException",
        "InternalServerException",
        "ResourceNotFoundException",
    ]
    assert unrecorded() == before + 3
    assert (await aws.get("/2020-11-20/projects")).json()["Projects"] == []
    assert (await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"})).status_code == 200
    assert [one.record.eventName for one in await calls(fleet)] == ["ListProjects", "CreateProject"]


async def test_while_postgres_is_away_calls_fail_and_are_repeated(
    aws: httpx.AsyncClient, fleet: Any, postgres_server: str
) -> None:
    """Without the database no caller is known, so there is nobody to write down: the call fails as a fault of ours."""
    name = fleet.deps.database.engine.url.database
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"alter database {name} with allow_connections false")
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        answer = await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"})
        server.execute(f"alter database {name} with allow_connections true")
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "InternalServerException")
    assert answer.headers["retry-after"]
    assert (await aws.post("/2020-11-20/projects", json={"ProjectName": "lids"})).status_code == 200
    assert [one.outcome for one in await calls(fleet)] == [CallOutcome.SUCCESS]


async def test_a_training_and_its_record_are_committed_together(aws: httpx.AsyncClient, fleet: Any) -> None:
    """A call that fails after its change leaves one record, of the failure, and nothing of the change."""
    await fleet.project("lids")
    body = {"OutputConfig": {"S3Location": {"Bucket": "bucket", "Prefix": "p"}}}
    answer = await aws.post("/2020-11-20/projects/lids/models", json=body)
    assert answer.status_code >= 400
    [call] = await calls(fleet)
    assert call.record.errorCode == answer.headers["x-amzn-errortype"]
    assert await fleet.take(TRAINING_JOBS) == []


def door_with(fleet: Any, **settings: Any) -> httpx.AsyncClient:
    """A client of the registry with other settings."""
    deps = Deps(fleet.deps.settings.model_copy(update=settings), fleet.deps.database, fleet.deps.objects)
    transport = httpx.ASGITransport(build(deps), raise_app_exceptions=False, client=("10.1.2.3", 5))
    return httpx.AsyncClient(transport=transport, base_url=BASE, auth=Aws())


async def waiting(fleet: Any) -> int:
    async with fleet.deps.database.transaction() as session:
        return int((await session.execute(text("select count(*) from registry.outbox"))).scalar_one())


async def test_no_more_waits_for_kafka_than_may_and_nothing_is_answered_unrecorded(
    fleet: Any, eventually: Callable[..., Awaitable[Any]]
) -> None:
    before = unrecorded()
    async with door_with(fleet, audit=AuditSettings(max_waiting=3)) as client:
        for _ in range(3):
            assert (await client.get("/2020-11-20/projects")).status_code == 200
        asked = [
            await client.post("/2020-11-20/projects", json={"ProjectName": "lids"}),
            await client.get("/2020-11-20/projects"),
            await client.get("/2020-11-20/projects/nothing"),
            await client.post("/api/v1/lines", json={"line_id": "oven"}, auth=KEY),
            await sts(client, "GetCallerIdentity"),
            await sts(client, "GetSessionToken"),
        ]
        # The third failed anyway, and says why.
        assert [answer.status_code for answer in asked] == [500, 500, 404, 503, 503, 503]
        assert all(answer.headers["retry-after"] for answer in (*asked[:2], asked[3]))
        assert "records wait" in asked[0].json()["Message"]
        assert unrecorded() == before + len(asked)
        assert await waiting(fleet) == 3
        assert len(await calls(fleet)) == 3

        # Kafka is back.
        async def answered() -> bool:
            return (await client.post("/api/v1/lines", json={"line_id": "oven"}, auth=KEY)).status_code == 201

        await eventually(answered)
        assert (await client.get("/2020-11-20/projects")).json()["Projects"] == []
        assert (await client.post("/2020-11-20/projects", json={"ProjectName": "lids"})).status_code == 200
    assert [one.record.eventName for one in await calls(fleet)] == ["CreateLine", "ListProjects", "CreateProject"]
    async with fleet.deps.database.transaction() as session:
        assert (await session.execute(text("select count(*) from registry.sessions"))).scalar_one() == 0


async def test_what_the_other_doors_change_is_undone_without_a_record(aws: httpx.AsyncClient, fleet: Any) -> None:
    engine = fleet.deps.database.engine
    async with engine.begin() as connection:
        await connection.execute(text("alter table registry.outbox rename to elsewhere"))
    async with door_with(fleet) as client:
        asked = [
            await client.post("/api/v1/lines", json={"line_id": "oven"}, auth=KEY),
            await client.put("/api/v1/iam/users/ana", json={}, auth=KEY),
            await sts(client, "GetSessionToken"),
        ]
    async with engine.begin() as connection:
        await connection.execute(text("alter table registry.elsewhere rename to outbox"))
        kept = "select (select count(*) from registry.lines), (select count(*) from registry.sessions)"
        assert (await connection.execute(text(kept))).one() == (0, 0)
    assert [answer.status_code for answer in asked] == [500, 500, 500]
    assert (await aws.get("/api/v1/iam/users/ana", auth=KEY)).status_code == 404


async def test_nobody_writes_over_what_was_really_asked(aws: httpx.AsyncClient, fleet: Any) -> None:
    other = b'{"projectName": "other", "ProjectName": "another"}'
    gone = await aws.request("DELETE", "/2020-11-20/projects/nothing?projectName=third", content=other)
    assert gone.status_code == 404
    made = b'{"projectName": "other", "ProjectName": "boxes"}'
    assert (await aws.post("/2020-11-20/projects?ProjectName=third", content=made)).is_success
    await aws.put("/api/v1/cameras/oven-1", json={"camera_id": "oven-2", "source": {}}, auth=KEY)
    deleted, created, put = await calls(fleet)
    assert deleted.record.requestParameters["projectName"] == "nothing"
    assert created.record.requestParameters["projectName"] == "boxes"
    assert put.record.requestParameters["camera_id"] == "oven-1"


async def test_a_body_that_is_too_large_is_written_down(fleet: Any) -> None:
    """Whoever proves to have sent it: the digest of what was dropped is known, and HTTP Basic needs none."""
    large = b'{"ProjectName": "' + b"x" * 20_000 + b'"}'
    async with door_with(fleet, http=HttpSettings(max_body_bytes=10_000)) as client:
        asked = [
            await client.post("/2020-11-20/projects", content=large),
            await client.post("/api/v1/lines", content=large, auth=KEY),
            await client.post("/2020-11-20/projects", content=large, auth=Aws(KEY[0], "wrong")),
        ]
    assert [answer.status_code for answer in asked] == [413, 413, 413]
    assert [(one.record.eventName, one.record.errorCode, one.outcome) for one in await calls(fleet)] == [
        ("CreateProject", "RequestEntityTooLargeException", CallOutcome.CLIENT_ERROR),
        ("CreateLine", "body_too_large", CallOutcome.CLIENT_ERROR),
    ]


async def test_a_request_that_breaks_off_is_written_down_where_its_sender_is_proven(fleet: Any) -> None:
    def incomplete() -> float:
        labels = {"service": "lookoutvision", "code": "IncompleteBody"}
        return REGISTRY.get_sample_value("vigia_signature_failures_total", labels) or 0.0

    body, before = b'{"ProjectName": "lids"}', incomplete()
    hashed = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    await break_off(fleet, "/2020-11-20/projects", body, Aws(), {})
    assert await calls(fleet) == []
    assert incomplete() == before + 1
    await break_off(fleet, "/2020-11-20/projects", body, Aws(), hashed)
    await break_off(fleet, "/api/v1/lines", body, httpx.BasicAuth(*KEY), {})
    assert [(one.record.eventName, one.record.errorCode) for one in await calls(fleet)] == [
        ("CreateProject", "ValidationException"),
        ("CreateLine", "disconnected"),
    ]


async def break_off(fleet: Any, path: str, body: bytes, auth: httpx.Auth, headers: dict[str, str]) -> None:
    """Send half of a request's body and go away."""
    request = next(auth.auth_flow(httpx.Request("POST", BASE + path, content=body, headers=headers)))
    messages = [
        {"type": "http.request", "body": body[: len(body) // 2], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_: Any) -> None:
        """Nobody hears it."""

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("10.1.2.3", 5),
    }
    await build(fleet.deps)(scope, receive, send)


async def test_sts_may_be_asked_as_often_as_any_operation(fleet: Any) -> None:
    rates = RateSettings(per_second=0.2, burst=1, operations="GetCallerIdentity=0.2/2")
    async with door_with(fleet, rates=rates) as client:
        answers = [await sts(client, "GetCallerIdentity") for _ in range(3)]
        answers += [await sts(client, "GetSessionToken") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 200, 400]
    assert "<Type>Sender</Type><Code>Throttling</Code>" in answers[2].text
    assert 1 <= int(answers[2].headers["retry-after"]) <= 5
    outcomes = [one.outcome for one in await calls(fleet)]
    assert outcomes == [
        CallOutcome.SUCCESS,
        CallOutcome.SUCCESS,
        CallOutcome.THROTTLED,
        CallOutcome.SUCCESS,
        CallOutcome.THROTTLED,
    ]
