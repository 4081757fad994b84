"""Threshold records: who changed what and why, what it will do, and that what serves decides by it at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from vigia_contracts.base import ObjectRef, derived_id
from vigia_contracts.cameras import PushSource
from vigia_contracts.topics import AUDIT, DEPLOYMENTS
from vigia_registry import schema
from vigia_registry.cameras import service as cameras
from vigia_registry.cameras.domain import CameraSpec
from vigia_registry.entrypoints.http import build
from vigia_registry.hosting import announcements, repository, service
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.versions import Change
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Vault
from vigia_runtime.policies import allowing
from vigia_vision.interpret import confidence

from .conftest import KEY_ID, OWNER, SECRET, arn

PATH = "/projects/cookies/models/1/thresholds"
ADMIN = f"arn:aws:iam::{OWNER.account_id}:user/admin"
#: Scores of test images, normal and anomalous, of a model with the threshold 0.5.
NORMAL = (0.05, 0.1, 0.3, 0.45, 0.55)
ANOMALOUS = (0.35, 0.6, 0.8, 0.95)


async def client_of(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(fleet.deps))
    base = "http://registry/api/v1"
    async with httpx.AsyncClient(transport=transport, base_url=base, auth=(KEY_ID, SECRET)) as client:
        yield client


@pytest.fixture
async def client(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of(fleet):
        yield client


@pytest.fixture
async def storing_client(hosting_fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of(hosting_fleet):
        yield client


def body(value: float = 0.7, replaces: int = 1, **fields: Any) -> dict[str, Any]:
    return {"value": value, "replaces": replaces, "reason": "Too many good parts were rejected.", **fields}


async def serve(fleet: Any, version: UUID) -> None:
    """What the hosting process does once a version is ready."""
    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, version, 1)
        _, [target] = await repository.targets(session, "vigia")
        assert await repository.record(session, target, Change(Observed.SERVING))
        await announcements.refresh_project(session, target.project_id)


def evaluation(normal: Sequence[float] = NORMAL, anomalous: Sequence[float] = ANOMALOUS) -> bytes:
    """An evaluation manifest as training writes it, of what counts here."""
    lines = []
    for true, scores in enumerate((normal, anomalous)):
        for score in scores:
            said = {"confidence": confidence(score, 0.5), "class-name": "anomaly" if score >= 0.5 else "normal"}
            lines.append(
                {
                    "source-ref": "s3://b/é.jpg",
                    "anomaly-label": true,
                    "anomaly-label-detected": int(score >= 0.5),
                    "anomaly-label-detected-metadata": said,
                }
            )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def evaluated(fleet: Any, version: UUID, content: bytes) -> ObjectRef:
    """The version's evaluation, in the store."""
    ref: ObjectRef = await fleet.deps.objects.put(fleet.bucket, f"results/{uuid4()}.json", content)
    table = schema.models.model_versions
    async with fleet.deps.database.transaction() as session:
        row = update(table).where(table.c.id == version).values(evaluation_manifest=ref.model_dump(mode="json"))
        await session.execute(row)
    return ref


async def test_the_first_record_is_what_training_reported(client: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(1)
    page = (await client.get(PATH)).json()
    [first] = page["items"]
    assert (page["project"], page["model_version"], page["next"]) == ("cookies", "1", None)
    assert (first["number"], first["value"], first["review_low"], first["review_high"]) == (1, 0.5, None, None)
    assert (first["source"], first["author"], first["predicted"]) == ("training", "training", None)
    assert first["threshold_id"] == str(derived_id("threshold", arn(1), "training"))


async def test_what_serves_decides_by_the_new_record_at_once(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)
    async with fleet.deps.database.transaction() as session:
        await cameras.put(session, OWNER, "oven", CameraSpec(source=PushSource(), project="cookies"))
    await serve(fleet, version)
    before = dict(await fleet.take(DEPLOYMENTS))
    assert {event.data.threshold.value for event in before.values()} == {0.5}
    await fleet.take(AUDIT)

    answer = await client.post(PATH, json=body(0.7, review_low=0.6, review_high=0.8))
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert (record["number"], record["source"], record["author"]) == (2, "person", ADMIN)
    announced = dict(await fleet.take(DEPLOYMENTS))
    assert set(announced) == {arn(1), "oven"}
    for key, event in announced.items():
        said = event.data.threshold
        assert (said.value, said.review_low, said.review_high) == (0.7, 0.6, 0.8)
        assert (said.threshold_id, said.author, said.reason) == (record["threshold_id"], ADMIN, body()["reason"])
        assert event.data.revision > before[key].data.revision
        assert event.data.manifest == before[key].data.manifest
    [(_, call)] = await fleet.take(AUDIT)
    assert (call.data.record.eventName, call.data.project) == ("ChangeThreshold", "cookies")
    assert call.data.record.requestParameters["reason"] == body()["reason"]

    listed = (await client.get(PATH)).json()["items"]
    assert [row["number"] for row in listed] == [2, 1]
    assert listed[0] == record


async def test_record_announcement_and_audit_commit_together_or_not_at_all(
    client: httpx.AsyncClient, fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve(fleet, await fleet.version(1))
    await fleet.take(DEPLOYMENTS)

    async def full(*_: object) -> None:
        raise RuntimeError("no room for the audit record")

    with monkeypatch.context() as patched:
        patched.setattr(type(fleet.deps.waiting), "admit", full)
        with pytest.raises(RuntimeError):
            await client.post(PATH, json=body())
    assert await fleet.take(DEPLOYMENTS) == []
    assert [row["number"] for row in (await client.get(PATH)).json()["items"]] == [1]


async def test_what_does_not_serve_is_announced_when_it_does(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)
    assert (await client.post(PATH, json=body(0.8))).status_code == 201
    assert await fleet.take(DEPLOYMENTS) == []
    await serve(fleet, version)
    assert [event.data.threshold.value for _, event in await fleet.take(DEPLOYMENTS)] == [0.8]


async def test_of_two_who_saw_the_same_record_one_is_told(client: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(1)
    answers = await asyncio.gather(*(client.post(PATH, json=body(value)) for value in (0.6, 0.7, 0.8)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    [lost, _] = [answer.json() for answer in answers if answer.status_code == 409]
    assert (lost["code"], lost["details"]["newest"]) == ("threshold_replaced", 2)
    assert (await client.post(PATH, json=body(0.9, replaces=5))).status_code == 409
    assert (await client.post(PATH, json=body(0.9, replaces=2))).json()["number"] == 3


BAD = [
    (body(0.0), "value"),
    (body(1.0), "value"),
    (body(0.5, review_low=0.6, review_high=0.7), "review_low"),
    (body(0.5, review_low=0.4), "review_high"),
    (body(0.5, reason=""), "body.reason"),
    (body(0.5, reason=" \n"), "body.reason"),
    (body(0.5, reason="a\x00b"), "body.reason"),
    (body(0.5, reason="x" * 1001), "body.reason"),
    (body(0.5, replaces=0), "body.replaces"),
    ({"value": 0.5, "reason": "why"}, "body.replaces"),
    (body(0.5, review="0.4"), "body.review"),
]


async def test_bad_records_name_the_field_and_change_nothing(client: httpx.AsyncClient, fleet: Any) -> None:
    await serve(fleet, await fleet.version(1))
    await fleet.take(DEPLOYMENTS)
    for bad, where in BAD:
        answer = await client.post(PATH, json=bad)
        assert answer.status_code == 400, bad
        assert [problem["where"] for problem in answer.json()["details"]["problems"]] == [where]
    assert (await client.get(f"{PATH}/preview", params={"value": 1})).status_code == 400
    assert (await client.get(f"{PATH}/preview", params={"value": "nan"})).status_code == 400
    assert await fleet.take(DEPLOYMENTS) == []
    assert len((await client.get(PATH)).json()["items"]) == 1


async def test_only_what_is_there_and_trained_has_records(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)
    for path in (PATH.replace("cookies", "lids"), PATH.replace("/1/", "/2/")):
        assert (await client.get(path)).status_code == 404
        assert (await client.get(f"{path}/preview", params={"value": 0.5})).status_code == 404
        assert (await client.post(path, json=body())).status_code == 404
    for path in (PATH.replace("/1/", "/latest/"), PATH.replace("/1/", "/01/"), PATH.replace("cookies", "a%00")):
        assert (await client.get(path)).status_code == 400
    table = schema.models.model_versions
    for state, manifest in (("TRAINING", None), ("TRAINING_FAILED", None), ("DELETING", {})):
        async with fleet.deps.database.transaction() as session:
            changed = {"state": state} if manifest is not None else {"state": state, "manifest": None}
            await session.execute(update(table).where(table.c.id == version).values(changed))
        for answer in (await client.get(PATH), await client.post(PATH, json=body())):
            assert (answer.status_code, answer.json()["code"]) == (409, "model_not_trained"), state


async def test_records_go_page_by_page_and_with_their_version(client: httpx.AsyncClient, fleet: Any) -> None:
    version = await fleet.version(1)
    for number, value in enumerate((0.6, 0.7, 0.8), 1):
        assert (await client.post(PATH, json=body(value, number))).status_code == 201
    first = (await client.get(PATH, params={"limit": 3})).json()
    last = (await client.get(PATH, params={"limit": 3, "cursor": first["next"]})).json()
    assert [row["number"] for page in (first, last) for row in page["items"]] == [4, 3, 2, 1]
    assert last["next"] is None
    table = schema.models.model_versions
    async with fleet.deps.database.transaction() as session:
        await session.execute(table.delete().where(table.c.id == version))
        assert await session.scalar(schema.thresholds.thresholds.select()) is None


async def test_changing_needs_its_own_permission(client: httpx.AsyncClient, fleet: Any) -> None:
    await fleet.version(1)
    vault = Vault(fleet.deps.settings.secret_key.get_secret_value())
    changing = {
        project: {
            "Effect": "Allow",
            "Action": "vigia:ChangeThresholds",
            "Resource": f"arn:aws:vigia::{OWNER.account_id}:model/{project}/*",
        }
        for project in ("cookies", "lids")
    }
    rights = {
        "reader": allowing("vigia:Read*"),
        **{name: json.dumps({"Statement": statement}) for name, statement in changing.items()},
    }
    said = {}
    for name, document in rights.items():
        async with fleet.deps.database.transaction() as session:
            await identity.put_user(session, OWNER, name, [], {"inline": document})
            key, secret = await identity.add_key(session, vault, OWNER, name)
        auth = (key.access_key_id, secret)
        changed = await client.post(PATH, json=body(0.6), auth=auth)
        said[name] = ((await client.get(PATH, auth=auth)).status_code, changed.status_code)
    assert said == {"reader": (200, 403), "cookies": (403, 201), "lids": (403, 403)}


async def test_rates_are_predicted_from_the_evaluation(storing_client: httpx.AsyncClient, hosting_fleet: Any) -> None:
    version = await hosting_fleet.version(1)
    ref = await evaluated(hosting_fleet, version, evaluation())
    asked = {"value": 0.5, "review_low": 0.4, "review_high": 0.58}
    seen = (await storing_client.get(f"{PATH}/preview", params=asked)).json()
    counts = {
        name: (seen["predicted"][name]["count"], seen["predicted"][name]["of"])
        for name in ("false_rejects", "misses", "reviewed_normal", "reviewed_anomalous")
    }
    assert counts == {
        "false_rejects": (0, 5),
        "misses": (1, 4),
        "reviewed_normal": (2, 5),
        "reviewed_anomalous": (0, 4),
    }
    assert seen["predicted"]["evaluation"]["sha256"] == ref.sha256
    assert seen["unpredicted"] is None
    [untouched] = (await storing_client.get(PATH)).json()["items"]

    made = (await storing_client.post(PATH, json=body(0.7))).json()
    assert (made["predicted"]["false_rejects"]["count"], made["predicted"]["misses"]["count"]) == (0, 2)
    assert made["predicted"]["misses"]["rate"] == 0.5
    assert made["predicted"]["misses"]["low"] < 0.5 < made["predicted"]["misses"]["high"]
    # Training's record is stored with what it does to the same images.
    first = (await storing_client.get(PATH)).json()["items"][1]
    assert (first["predicted"]["false_rejects"]["count"], first["predicted"]["misses"]["count"]) == (1, 1)
    assert untouched == first


async def test_a_large_evaluation_is_read_in_pieces(storing_client: httpx.AsyncClient, hosting_fleet: Any) -> None:
    version = await hosting_fleet.version(1)
    content = evaluation([number / 20_000 for number in range(10_000)], [0.9])
    assert len(content) > 1024 * 1024  # a piece has that much
    await evaluated(hosting_fleet, version, content)
    seen = (await storing_client.get(f"{PATH}/preview", params={"value": 0.25})).json()["predicted"]
    assert (seen["false_rejects"]["count"], seen["false_rejects"]["of"], seen["misses"]["of"]) == (5000, 10_000, 1)


@pytest.mark.parametrize("fate", ["deleted", "changed", "longer", "garbage"])
async def test_no_rates_are_made_up(storing_client: httpx.AsyncClient, hosting_fleet: Any, fate: str) -> None:
    version = await hosting_fleet.version(1)
    ref = await evaluated(hosting_fleet, version, evaluation())
    objects = hosting_fleet.deps.objects
    if fate == "deleted":
        await objects.delete(ref.bucket, ref.key)
    else:
        content = {
            "changed": evaluation(anomalous=(0.95, 0.8, 0.6, 0.35)),
            "longer": evaluation() * 2,
            "garbage": b"{}\n" * 10,
        }[fate]
        await objects.put(ref.bucket, ref.key, content)
    seen = (await storing_client.get(f"{PATH}/preview", params={"value": 0.7})).json()
    assert seen["predicted"] is None
    assert f"s3://{ref.bucket}/{ref.key}" in seen["unpredicted"]
    made = await storing_client.post(PATH, json=body(0.7))
    assert (made.status_code, made.json()["predicted"]) == (201, None)
