"""Lines and cameras over HTTP, and what the stream is told of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from vigia_contracts.cameras import RtspSource
from vigia_contracts.topics import CAMERAS, DEPLOYMENTS
from vigia_contracts.training import TrainingProgress
from vigia_registry import schema
from vigia_registry.entrypoints.http import build
from vigia_registry.hosting import announcements, overview, repository, service
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.versions import Change
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Owner, Vault
from vigia_registry.models import trainings
from vigia_runtime.policies import allowing

from .conftest import OWNER, arn

KEY_ACCOUNT = "123456789012"
KEY = ("AKIAFLEETTESTS000001", "fleet-secret")
RTSP = {"kind": "rtsp", "url": "rtsp://user:pa55@10.0.0.7/stream?token=abc"}


@pytest.fixture
async def client(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(fleet.deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://registry/api/v1", auth=KEY) as client:
        yield client


async def put(client: httpx.AsyncClient, camera: str = "oven-1", **body: Any) -> httpx.Response:
    return await client.put(f"/cameras/{camera}", json={"source": RTSP, **body})


async def serve(fleet: Any, version: UUID, observed: Observed = Observed.SERVING) -> None:
    """What the hosting process does once a version is ready (or, otherwise, to be forgotten)."""
    async with fleet.deps.database.transaction() as session:
        if observed is Observed.SERVING:
            await service.request_start(session, version, 1)
        else:
            await service.request_stop(session, version)
        _, targets = await repository.targets(session, "vigia")
        [target] = [target for target in targets if target.hosting.id == version]
        assert await repository.record(session, target, Change(observed))
        await announcements.refresh_project(session, target.project_id)


def said(announced: list[Any]) -> list[tuple[str, str | None]]:
    return [(key, None if event is None else event.data.model_version) for key, event in announced]


async def test_a_line_is_put_and_put_again(client: httpx.AsyncClient) -> None:
    assert (await client.put("/lines/a", json={"description": "Bakery"})).status_code == 201
    again = await client.put("/lines/a", json={"description": "Bakery, hall 2"})
    assert (again.status_code, again.json()["description"]) == (200, "Bakery, hall 2")
    assert (await client.get("/lines/a")).json() == again.json()
    assert (await client.put("/lines/a", json={"descripton": "x"})).status_code == 400
    assert (await client.put("/lines/-a", json={})).status_code == 400


async def test_lines(client: httpx.AsyncClient) -> None:
    assert (await client.post("/lines", json={"line_id": "b", "description": "Bakery"})).status_code == 201
    assert (await client.post("/lines", json={"line_id": "a"})).json()["description"] == ""
    assert (await client.post("/lines", json={"line_id": "a"})).status_code == 409
    first = (await client.get("/lines", params={"limit": 1})).json()
    rest = (await client.get("/lines", params={"limit": 1, "cursor": first["next"]})).json()
    assert [page["items"][0]["line_id"] for page in (first, rest)] == ["a", "b"]
    assert rest["next"] is None
    await put(client, line_id="a")
    assert (await client.delete("/lines/a")).json()["code"] == "line_in_use"
    assert (await client.delete("/lines/b")).status_code == 204
    assert (await client.get("/lines/b")).json()["code"] == "line_not_found"


async def test_a_camera_is_announced_with_its_password_and_shown_without(client: httpx.AsyncClient, fleet: Any) -> None:
    created = await put(client)
    assert created.status_code == 201
    assert created.json()["source"]["url"] == "rtsp://***@10.0.0.7/stream?***"
    [(key, event)] = await fleet.take(CAMERAS)
    assert key == "oven-1"
    assert event.data.source == RtspSource(url=RTSP["url"])
    assert (event.data.account_id, event.data.region) == ("123456789012", "us-east-1")

    again = await put(client)
    assert (again.status_code, again.json()) == (200, created.json())
    assert await fleet.take(CAMERAS) == []

    # Read, changed, written back: the password is still known.
    shown = (await client.get("/cameras/oven-1")).json()
    edited = await put(client, source=shown["source"], station="exit")
    assert edited.json()["revision"] > shown["revision"]
    [(_, event)] = await fleet.take(CAMERAS)
    assert (event.data.source.url, event.data.station) == (RTSP["url"], "exit")
    assert event.data.revision == edited.json()["revision"]

    assert (await client.post("/cameras/oven-1/disable")).json()["enabled"] is False
    assert (await client.post("/cameras/oven-1/enable")).json()["enabled"] is True
    assert [event.data.enabled for _, event in await fleet.take(CAMERAS)] == [False, True]
    assert (await client.delete("/cameras/oven-1")).status_code == 204
    assert await fleet.take(CAMERAS) == [("oven-1", None)]
    assert (await client.get("/cameras/oven-1")).status_code == 404
    assert (await put(client)).json()["revision"] > edited.json()["revision"]


BAD = [
    ({"source": {"kind": "rtsp", "url": "http://wrong"}}, "body.source.rtsp.url"),
    ({"source": {"kind": "tape"}}, "body.source"),
    ({"source": {"kind": "push", "url": "x"}}, "body.source"),
    ({"source": {"kind": "rtsp", "url": "rtsp://***@10.0.0.7/stream"}}, "body.source.rtsp.url"),
    ({"policy": {"budget_seconds": -1}}, "body.policy.budget_seconds"),
    ({"policy": {"budget": 1}}, "body.policy"),
    ({"lineid": "a"}, "body.lineid"),
    ({"line_id": "nowhere"}, "body.line_id"),
    ({"project": "unheard-of"}, "body.project"),
    ({"project": "cookies", "model_version": "7"}, "body.model_version"),
    ({"model_version": "1"}, "body.model_version"),
    ({"model_version": "latest"}, "body.model_version"),
]


async def test_bad_cameras_name_the_field(client: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.project()
    for body, where in BAD:
        answer = await put(client, **body)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), body
        assert [problem["where"] for problem in answer.json()["details"]["problems"]] == [where]
        assert "pa55" not in answer.text
    assert await fleet.take(CAMERAS) == []


async def test_bad_ids_and_strangers_are_refused(client: httpx.AsyncClient, fleet: Any) -> None:
    assert (await put(client, "a b")).status_code == 400
    assert (await put(client, "oven-1")).status_code == 201
    async with fleet.deps.database.transaction() as session:
        vault = Vault(fleet.deps.settings.secret_key.get_secret_value())
        await identity.put_admin(session, vault, "210987654321", "AKIAOTHERACCOUNT0001", "other-secret")
        owner = Owner(KEY_ACCOUNT, "us-east-1")
        await identity.put_user(session, owner, "reader", [], {"reads": allowing("vigia:Read*")})
        key, secret = await identity.add_key(session, vault, owner, "reader")
    stranger = ("AKIAOTHERACCOUNT0001", "other-secret")
    assert (await client.get("/cameras/oven-1", auth=stranger)).status_code == 404
    assert (await client.put("/cameras/oven-1", json={"source": RTSP}, auth=stranger)).status_code == 409
    assert (await client.delete("/cameras/oven-1", auth=stranger)).status_code == 404
    assert (await client.get("/cameras", auth=stranger)).json() == {"items": [], "next": None}
    assert (await client.get("/cameras", auth=(KEY[0], "wrong"))).status_code == 401
    reading = (key.access_key_id, secret)
    assert (await client.get("/cameras/oven-1", auth=reading)).status_code == 200
    assert (await client.delete("/cameras/oven-1", auth=reading)).status_code == 403


async def test_what_judges_a_camera_is_announced_and_follows_hosting(client: httpx.AsyncClient, fleet: Any) -> None:
    one, two = await fleet.version(1), await fleet.version(2)
    await put(client, "free", project="cookies")
    await put(client, "pinned", project="cookies", model_version="1")
    assert await fleet.take(DEPLOYMENTS) == []
    arns = [f"arn:aws:lookoutvision:us-east-1:{KEY_ACCOUNT}:model/cookies/{number}" for number in (1, 2)]

    await serve(fleet, one)
    first = await fleet.take(DEPLOYMENTS)
    assert said(first) == [(arns[0], "1"), ("free", "1"), ("pinned", "1")]
    assert first[0][1].data.threshold.value == 0.5
    await serve(fleet, two)
    second = await fleet.take(DEPLOYMENTS)
    assert said(second) == [(arns[1], "2"), ("free", "2")]
    assert second[-1][1].data.revision > first[1][1].data.revision
    async with fleet.deps.database.transaction() as session:
        await announcements.refresh_project(session, await fleet.project())
    assert await fleet.take(DEPLOYMENTS) == []

    # A camera that comes later, one that changes its mind, one that goes.
    await put(client, "late", project="cookies")
    await put(client, "free", project="cookies", model_version="1")
    await put(client, "pinned")
    assert said(await fleet.take(DEPLOYMENTS)) == [("late", "2"), ("free", "1"), ("pinned", None)]
    await client.delete("/cameras/free")
    assert said(await fleet.take(DEPLOYMENTS)) == [("free", None)]

    await serve(fleet, two, Observed.DRAINING)
    assert said(await fleet.take(DEPLOYMENTS)) == [(arns[1], None), ("late", "1")]
    await serve(fleet, one, Observed.DRAINING)
    assert said(await fleet.take(DEPLOYMENTS)) == [(arns[0], None), ("late", None)]

    found = (await client.get("/hosting")).json()["items"]
    assert [(item["model_version"], item["desired"], item["observed"]) for item in found] == [
        ("1", "none", "draining"),
        ("2", "none", "draining"),
    ]
    listed = (await client.get("/models", params={"project": "cookies"})).json()
    assert [(item["model_version"], item["status"]) for item in listed["items"]] == [
        ("2", "STOPPING_HOSTING"),
        ("1", "STOPPING_HOSTING"),
    ]


async def test_a_training_shows_how_far_it_is_and_when_it_ends(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)
    models = schema.models.model_versions
    async with fleet.deps.database.transaction() as session:
        await session.execute(update(models).where(models.c.id == version).values(state="TRAINING"))
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    async def shown(left: float | None) -> tuple[Any, ...]:
        event = TrainingProgress(
            model_arn=arn(1), attempt=1, stage="training", fraction=0.25, remaining_seconds=left, at=at
        )
        await trainings.apply(fleet.deps.database, event)
        [model] = (await client.get("/models", params={"project": "cookies"})).json()["items"]
        return tuple(model["training"][name] for name in ("stage", "fraction", "expected_end", "attempt"))

    assert await shown(90.0) == ("training", 0.25, "2026-01-02T03:05:35Z", 1)
    # A worker of the release before does not say.
    assert await shown(None) == ("training", 0.25, None, 1)


async def test_units_are_shown_while_a_version_is_to_be_hosted(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)

    async def shown() -> tuple[Any, Any]:
        [model] = (await client.get("/models", params={"project": "cookies"})).json()["items"]
        hosted = (await client.get("/hosting")).json()["items"]
        names = ("min_units", "max_units", "desired_units", "in_service_units")
        return model["units"], [tuple(item[name] for name in names) for item in hosted]

    assert await shown() == (None, [])
    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, version, 1, 4)
        _, [target] = await repository.targets(session, "test")
        assert await repository.scale(session, target, 3)
        # Whoever read before writes nothing.
        assert not await repository.scale(session, target, 4)
        assert not await repository.record(session, target, Change(Observed.SERVING, in_service_units=1))
        _, [target] = await repository.targets(session, "test")
        assert await repository.record(session, target, Change(Observed.SERVING, in_service_units=2))
        [units] = await overview.units(session)
    assert await shown() == ({"min": 1, "max": 4, "desired": 3, "in_service": 2}, [(1, 4, 3, 2)])
    assert (units.account_id, units.region, units.arn) == (OWNER.account_id, OWNER.region, target.hosting.arn)
    assert (units.min_units, units.max_units, units.desired_units, units.in_service_units) == (1, 4, 3, 2)

    async with fleet.deps.database.transaction() as session:
        await service.request_stop(session, version)
        [units] = await overview.units(session)
    assert (units.desired_units, units.in_service_units) == (0, 2)  # it serves until it drains
    assert await shown() == (None, [(1, 4, 0, 2)])
    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, version, 2)
    assert await shown() == ({"min": 2, "max": None, "desired": 2, "in_service": 2}, [(2, None, 2, 2)])


@pytest.fixture
async def storing_client(hosting_fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(hosting_fleet.deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://registry/api/v1", auth=KEY) as client:
        yield client


async def test_a_report_is_read_from_beside_the_evaluation(
    storing_client: httpx.AsyncClient, hosting_fleet: Any
) -> None:
    client, fleet = storing_client, hosting_fleet
    version = await fleet.version(3)
    path = "/projects/cookies/models/3/report"
    assert (await client.get(path)).json()["code"] == "report_not_found"  # trained before there were reports
    place = {"bucket": fleet.bucket, "key": "out/of/EvaluationResult-cookies-3.json"}
    models = schema.models.model_versions
    async with fleet.deps.database.transaction() as session:
        await session.execute(update(models).where(models.c.id == version).values(evaluation_result=place))
    missing = await client.get(path)
    assert (missing.status_code, missing.json()["code"]) == (404, "report_not_found")
    page, numbers = b"<!DOCTYPE html><p>good</p>", b'{"format": "vigia-report/1"}'
    await fleet.deps.objects.put(fleet.bucket, "out/of/EvaluationReport-cookies-3.html", page)
    await fleet.deps.objects.put(fleet.bucket, "out/of/EvaluationReport-cookies-3.json", numbers)
    shown = await client.get(path.replace("3", "latest"))
    assert (shown.status_code, shown.content) == (200, page)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    policy = shown.headers["content-security-policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
    asked = await client.get(path, headers={"Accept": "application/json"})
    assert (asked.content, asked.headers["content-type"]) == (numbers, "application/json")
    await fleet.deps.objects.put(fleet.bucket, "out/of/EvaluationReport-cookies-3.html", bytes(4 * 1024 * 1024 + 1))
    assert "too large" in (await client.get(path)).text
    assert (await client.get(path.replace("3", "4"))).json()["code"] == "model_not_found"
    assert (await client.get(path.replace("3", "03"))).status_code == 400
    assert (await client.get(path.replace("cookies", "others"))).json()["code"] == "project_not_found"


@pytest.mark.filterwarnings("error")
async def test_the_document_shows_every_route_once(client: httpx.AsyncClient) -> None:
    paths = (await client.get("http://registry/openapi.json")).json()["paths"]
    assert {"/api/v1/lines", "/api/v1/cameras/{camera_id}", "/api/v1/hosting", "/api/v1/models"} <= set(paths)
    assert not any(path.startswith(("/internal", "/2020")) for path in paths)
