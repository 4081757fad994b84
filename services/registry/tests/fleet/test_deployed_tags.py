"""What serves says which tags it has, so that whoever asks it can be judged by them."""

from __future__ import annotations

from typing import Any

from vigia_contracts.cameras import PushSource
from vigia_contracts.topics import DEPLOYMENTS
from vigia_registry.cameras import service as cameras
from vigia_registry.cameras.domain import CameraSpec
from vigia_registry.hosting import announcements, repository, service
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.versions import Change
from vigia_registry.identity.domain import Owner
from vigia_registry.models import service as models

OWNER = Owner("123456789012", "us-east-1")
ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/1"


async def said(fleet: Any) -> dict[str, dict[str, str]]:
    """The tags of every record that was announced since the last time, by key."""
    return {key: event.data.tags for key, event in await fleet.take(DEPLOYMENTS)}


async def test_a_deployment_follows_the_tags_of_its_version(fleet: Any) -> None:
    limits = fleet.deps.settings.limits
    version = await fleet.version(1)
    async with fleet.deps.database.transaction() as session:
        await cameras.put(session, OWNER, "oven", CameraSpec(source=PushSource(), project="cookies"))
    async with fleet.deps.database.transaction() as session:
        await models.tag(session, limits, OWNER, ARN, {"stage": "test"})
    assert await said(fleet) == {}

    async with fleet.deps.database.transaction() as session:
        await service.request_start(session, version, 1)
        _, [target] = await repository.targets(session, "vigia")
        assert await repository.record(session, target, Change(Observed.SERVING))
        await announcements.refresh_project(session, target.project_id)
    assert await said(fleet) == {ARN: {"stage": "test"}, "oven": {"stage": "test"}}

    async with fleet.deps.database.transaction() as session:
        await models.tag(session, limits, OWNER, ARN, {"stage": "production", "line": "1"})
    expected = {"stage": "production", "line": "1"}
    assert await said(fleet) == {ARN: expected, "oven": expected}

    # The same again says nothing new.
    async with fleet.deps.database.transaction() as session:
        await models.tag(session, limits, OWNER, ARN, {"line": "1"})
        await models.untag(session, OWNER, ARN, ["nothing"])
    assert await said(fleet) == {}

    async with fleet.deps.database.transaction() as session:
        await models.untag(session, OWNER, ARN, ["stage", "line"])
    assert await said(fleet) == {ARN: {}, "oven": {}}
