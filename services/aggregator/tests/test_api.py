"""The history and trends API over a real database: nothing twice, nothing missed, nobody else's."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from aggregator_help import ACCOUNT, make_inspection, new_run, until
from api_help import CAMERA_ONLY, NOBODY, OTHER, Keys, client_of, get
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from vigia_aggregator.adapters.faults import FaultStore
from vigia_aggregator.adapters.listener import Listener
from vigia_aggregator.adapters.partitions import Partitions
from vigia_aggregator.adapters.store import InspectionStore
from vigia_aggregator.entrypoints.context import Context
from vigia_aggregator.settings import QuerySettings
from vigia_contracts.base import derived_id
from vigia_contracts.faults import Fault, FaultKind
from vigia_contracts.inspections import Evidence, Inspection
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import ObjectSettings, PostgresSettings
from vigia_runtime.signin import Authenticator
from vigia_stack.parts.objects import ObjectStoreAddress


@pytest.fixture
def store(engine: AsyncEngine) -> InspectionStore:
    return InspectionStore(engine, Partitions(engine))


@pytest.fixture
async def context(engine: AsyncEngine, postgres_url: str) -> AsyncIterator[Context]:
    settings = PostgresSettings(url=SecretStr(postgres_url))
    listener = Listener(settings)
    stopping = asyncio.Event()
    running = asyncio.create_task(listener.run(stopping))
    objects = ObjectSettings(endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key=SecretStr("b"))
    yield Context(
        engine=engine,
        objects=ObjectStore(objects),
        authenticator=Authenticator(Keys()),
        listener=listener,
        query=QuerySettings(followers=2),
        followers=asyncio.Semaphore(2),
    )
    stopping.set()
    await running


def spread(count: int, run: str, seconds: float = 3600) -> list[Inspection]:
    """Inspections over the last hour; several share their time exactly."""
    now = datetime.now(UTC).replace(microsecond=0)
    dice = random.Random(run)
    return [
        make_inspection(number, run, captured_at=now - timedelta(seconds=dice.randrange(int(seconds / 3)) * 3))
        for number in range(count)
    ]


@pytest.mark.parametrize("path", ["", f"/{NOBODY}", f"/{NOBODY}/image"])
async def test_closed_without_a_credential(context: Context, path: str) -> None:
    for url in (f"/api/v1/inspections{path}", "/api/v1/trends", "/api/v1/faults"):
        async with client_of(context, None) as client:
            assert (await client.get(url)).status_code in (401, 403)
        async with client_of(context, httpx.BasicAuth("AKIAEXAMPLE", "wrong")) as client:
            assert (await client.get(url)).status_code in (401, 403)
        async with client_of(context, CAMERA_ONLY) as client:
            assert (await client.get(url)).status_code == 403


async def test_signature_v4_is_accepted(context: Context) -> None:
    request = AWSRequest("GET", "http://vigia.test/api/v1/inspections", headers={"Host": "vigia.test"})
    SigV4Auth(Credentials("AKIAEXAMPLE", "secret"), "vigia", "us-east-1").add_auth(request)
    async with client_of(context, None) as client:
        answer = await client.get("/api/v1/inspections", headers=dict(request.headers.items()))
    assert answer.status_code == 200, answer.text


async def test_accounts_see_only_their_own(context: Context, store: InspectionStore) -> None:
    mine = make_inspection(0, new_run())
    await store.write([mine])
    async with client_of(context, OTHER) as client:
        assert (await get(client, "/api/v1/inspections"))["items"] == []
        assert (await get(client, "/api/v1/trends", bucket="minute"))["points"] == []
        assert (await client.get(f"/api/v1/inspections/{mine.inspection_id}")).status_code == 404
        assert (await get(client, "/api/v1/inspections", after="now"))["items"] == []
    async with client_of(context) as client:
        one = await get(client, f"/api/v1/inspections/{mine.inspection_id}")
    assert one.pop("stored_at")
    assert Inspection.model_validate(one) == mine


async def test_paging_has_no_double_and_no_gap_while_rows_come(context: Context, store: InspectionStore) -> None:
    run = new_run()
    before = spread(400, run)
    await store.write(before)
    inserting = True

    async def insert() -> None:
        number = 1000
        while inserting:
            late = [make_inspection(number + n, run, captured_at=before[n].captured_at) for n in range(5)]
            await store.write([*late, make_inspection(number + 5, run, captured_at=datetime.now(UTC))])
            number += 6

    writer = asyncio.create_task(insert())
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    async with client_of(context) as client:
        while True:
            page = await get(client, "/api/v1/inspections", limit=17, **({"cursor": cursor} if cursor else {}))
            seen += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
    inserting = False
    await writer
    ids = Counter(item["inspection_id"] for item in seen)
    assert max(ids.values()) == 1
    assert {str(one.inspection_id) for one in before} <= set(ids)
    keys = [(item["captured_at"], item["inspection_id"]) for item in seen]
    assert keys == sorted(keys, key=lambda key: (datetime.fromisoformat(key[0]), key[1]), reverse=True)


async def test_filters_agree_with_the_rows(context: Context, store: InspectionStore) -> None:
    run = new_run()
    rows = spread(120, run)
    await store.write(rows)
    middle = sorted(one.captured_at for one in rows)[60]
    cases: list[tuple[dict[str, str], Any]] = [
        ({"camera": "cam-1"}, lambda i: i.camera_id == "cam-1"),
        ({"line": "line-0"}, lambda i: i.line_id == "line-0"),
        ({"verdict": "REJECT"}, lambda i: i.verdict == "REJECT"),
        ({"project": "cookies", "model_version": "2"}, lambda i: i.model_version == "2"),
        ({"project": "other"}, lambda i: False),
        ({"origin": "camera"}, lambda i: True),
        ({"origin": "api"}, lambda i: False),
        ({"from": middle.isoformat()}, lambda i: i.captured_at >= middle),
        ({"to": middle.isoformat()}, lambda i: i.captured_at < middle),
    ]
    async with client_of(context) as client:
        for params, matches in cases:
            found = await get(client, "/api/v1/inspections", limit=200, **params)
            expected = {str(one.inspection_id) for one in rows if matches(one)}
            assert {item["inspection_id"] for item in found["items"]} == expected, params


@pytest.mark.parametrize("bucket", ["minute", "hour", "day"])
@pytest.mark.parametrize("group_by", [None, "line", "camera", "product", "model_version"])
async def test_trends_are_the_raw_counts(
    context: Context, store: InspectionStore, bucket: str, group_by: str | None
) -> None:
    run = new_run()
    rows = spread(300, run)
    for part in (rows[:100], rows[50:200], rows[150:]):  # repeats count once
        await store.write(part)
    await store.write([make_inspection(5000, run, shadow=True)])  # shadow models decide nothing
    field = {"line": "line_id", "camera": "camera_id", None: None}.get(group_by, group_by)
    start = min(one.captured_at for one in rows)
    params = {"bucket": bucket, "from": start.isoformat(), **({"group_by": group_by} if group_by else {})}
    async with client_of(context) as client:
        trend = await get(client, "/api/v1/trends", **params)
    found = {
        (datetime.fromisoformat(point["start"]), point["group"], verdict): count
        for point in trend["points"]
        for verdict, count in point["counts"].items()
        if count
    }
    cut = {"minute": {"second": 0}, "hour": {"second": 0, "minute": 0}, "day": {"second": 0, "minute": 0, "hour": 0}}
    expected = Counter(
        (
            one.captured_at.replace(microsecond=0, **cut[bucket]),
            getattr(one, field) if field else None,
            one.verdict.value,
        )
        for one in rows
    )
    assert found == dict(expected)
    for point in trend["points"]:
        counts = point["counts"]
        judged = counts["PASS"] + counts["REJECT"] + counts["REVIEW"]
        assert point["defect_rate"] == (pytest.approx(counts["REJECT"] / judged) if judged else None)
        assert point["mean_latency_seconds"] == pytest.approx(0.04)


async def test_a_follower_sees_every_row_once_whatever_the_order_of_commits(
    context: Context, store: InspectionStore, engine: AsyncEngine
) -> None:
    """Four writers with transactions of different lengths; rows captured long ago are stored late."""
    run = new_run()
    rows = spread(600, run)
    seen: list[str] = []

    async with client_of(context) as client:
        place = (await get(client, "/api/v1/inspections", after="now"))["next"]

        async def follow() -> None:
            nonlocal place
            while len(seen) < len(rows):
                page = await get(client, "/api/v1/inspections", after=place, wait=5, limit=50)
                seen.extend(item["inspection_id"] for item in page["items"])
                place = page["next"]

        async def write(part: list[Inspection]) -> None:
            size = random.randrange(1, 40)
            while part:
                await store.write(part[:size])
                part = part[size:]

        async with asyncio.timeout(60):
            await asyncio.gather(follow(), *(write(rows[n::4]) for n in range(4)))
        assert (await get(client, "/api/v1/inspections", after=place))["items"] == []
    assert Counter(seen) == Counter(str(one.inspection_id) for one in rows)


async def test_following_is_quick(context: Context, store: InspectionStore) -> None:
    run = new_run()
    delays = []
    async with client_of(context) as client:
        place = (await get(client, "/api/v1/inspections", after="now"))["next"]
        for number in range(10):
            waiting = asyncio.create_task(get(client, "/api/v1/inspections", after=place, wait=10))
            await asyncio.sleep(0.05)  # it waits by now; were it not, it would only be answered sooner
            await store.write([make_inspection(number, run)])
            committed = time.monotonic()
            page = await waiting
            delays.append(time.monotonic() - committed)
            place = page["next"]
            assert len(page["items"]) == 1
    assert sorted(delays)[5] < 0.25, "notified, not polled once a second"


async def test_followers_are_bounded(context: Context) -> None:
    async with client_of(context) as client:
        waiting = [
            asyncio.create_task(client.get("/api/v1/inspections", params={"after": "now", "wait": 2})) for _ in range(2)
        ]

        async def full() -> bool:
            return context.followers.locked()

        await until(full, 5, "both wait")
        assert (await client.get("/api/v1/inspections", params={"after": "now", "wait": 1})).status_code == 429
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_bad_requests_are_told(context: Context) -> None:
    async with client_of(context) as client:
        for path, params in (
            ("/api/v1/inspections", {"cursor": "nonsense"}),
            ("/api/v1/inspections", {"after": "nonsense"}),
            ("/api/v1/inspections", {"limit": "201"}),
            ("/api/v1/inspections", {"from": "2026-01-01T00:00:00"}),
            ("/api/v1/inspections", {"verdict": "MAYBE"}),
            ("/api/v1/trends", {"bucket": "minute", "from": "2020-01-01T00:00:00Z"}),
            ("/api/v1/trends", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}),
        ):
            answer = await client.get(path, params=params)
            assert answer.status_code == 400, (path, params, answer.text)
            assert answer.json()["code"]


async def test_evidence(context: Context, store: InspectionStore, object_store: ObjectStoreAddress) -> None:
    bucket = f"evidence-{new_run()[:12]}"
    boto3.client(
        "s3",
        endpoint_url=object_store.endpoint,
        aws_access_key_id=object_store.access_key_id,
        aws_secret_access_key=object_store.secret_access_key,
        region_name=object_store.region,
    ).create_bucket(Bucket=bucket)
    objects = ObjectStore(
        ObjectSettings(
            endpoint=object_store.endpoint,
            region=object_store.region,
            access_key_id=object_store.access_key_id,
            secret_access_key=SecretStr(object_store.secret_access_key),
        )
    )
    image = await objects.put(bucket, "a.jpg", b"\xff\xd8\xff jpeg")
    mask = await objects.put(bucket, "a.png", b"\x89PNG png")
    gone = image.model_copy(update={"key": "gone.jpg"})
    run = new_run()
    kept = make_inspection(0, run, evidence=Evidence(image=image, mask=mask))
    lost = make_inspection(1, run, evidence=Evidence(image=gone))
    await store.write([kept, lost])
    context_with = Context(
        context.engine, objects, context.authenticator, context.listener, context.query, context.followers
    )
    async with client_of(context_with) as client:
        answer = await client.get(f"/api/v1/inspections/{kept.inspection_id}/image")
        assert (answer.content, answer.headers["content-type"]) == (b"\xff\xd8\xff jpeg", "image/jpeg")
        assert answer.headers["etag"] == f'"{image.sha256}"'
        answer = await client.get(f"/api/v1/inspections/{kept.inspection_id}/mask")
        assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG png", "image/png")
        assert (await client.get(f"/api/v1/inspections/{lost.inspection_id}/image")).json()["code"] == "evidence_gone"
        assert (await client.get(f"/api/v1/inspections/{lost.inspection_id}/mask")).json()["code"] == "no_evidence"
    async with client_of(context_with, OTHER) as client:
        assert (await client.get(f"/api/v1/inspections/{kept.inspection_id}/image")).status_code == 404


async def test_faults_page_and_filter(context: Context, engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    faults = [
        Fault(
            fault_id=derived_id("fault", str(number)),
            kind=FaultKind.BLIND if number % 2 else FaultKind.DROPPED,
            cause="timeout",
            account_id=ACCOUNT,
            camera_id=f"cam-{number % 3}",
            line_id="line",
            started_at=now - timedelta(minutes=number // 2),
            ended_at=None if number % 5 == 0 else now,
        )
        for number in range(40)
    ]
    await FaultStore(engine).write(faults)
    async with client_of(context) as client:
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await get(client, "/api/v1/faults", limit=7, **cursor)
            seen += [item["fault_id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert Counter(seen) == Counter(str(fault.fault_id) for fault in faults)
        found = await get(client, "/api/v1/faults", open=True, camera="cam-0", kind="DROPPED".lower())
        expected = [f for f in faults if f.ended_at is None and f.camera_id == "cam-0" and f.kind == "dropped"]
        assert {item["fault_id"] for item in found["items"]} == {str(fault.fault_id) for fault in expected}


async def test_a_query_that_takes_too_long_is_cut(context: Context, engine: AsyncEngine) -> None:
    short = Context(
        engine,
        context.objects,
        context.authenticator,
        context.listener,
        QuerySettings(timeout_seconds=0.2),
        context.followers,
    )
    async with engine.connect() as blocker, client_of(short) as client:
        transaction = await blocker.begin()
        await blocker.execute(text("lock table inspection.inspections in access exclusive mode"))
        answer = await client.get("/api/v1/inspections")
        await transaction.rollback()
    assert answer.status_code == 400
    assert answer.json()["code"] == "query_too_long"


async def test_openapi_describes_every_route(context: Context) -> None:
    async with client_of(context, None) as client:
        document = (await client.get("/openapi.json")).json()
    for path in (
        "/api/v1/inspections",
        "/api/v1/inspections/{inspection_id}",
        "/api/v1/inspections/{inspection_id}/{kind}",
        "/api/v1/trends",
        "/api/v1/faults",
    ):
        operation = document["paths"][path]["get"]
        assert operation["summary"]
        assert operation["security"]
