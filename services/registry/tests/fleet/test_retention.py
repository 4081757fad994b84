"""What the buckets of evidence and frames keep, and for how long. A store's clock cannot be set; ours can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from procrastinate import App, PsycopgConnector
from pydantic import ValidationError

from vigia_registry import retention
from vigia_registry.bootstrap import Deps
from vigia_registry.jobs.queue import EXPIRE_OBJECTS, JOBS_SCHEMA
from vigia_registry.jobs.schema import apply
from vigia_registry.jobs.tasks import DEPS, register
from vigia_registry.settings import RetentionSettings, Settings
from vigia_runtime import metrics
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import BucketSettings

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
async def deps(hosting_fleet: Any) -> Deps:
    """A registry with buckets of its own."""
    suffix = uuid4().hex[:8]
    buckets = BucketSettings(evidence=f"evidence-{suffix}", frames=f"frames-{suffix}")
    deps: Deps = replace(
        hosting_fleet.deps, settings=hosting_fleet.deps.settings.model_copy(update={"buckets": buckets})
    )
    for bucket in (buckets.evidence, buckets.frames):
        await deps.objects.create_bucket(bucket)
    return deps


async def fill(deps: Deps, number: int) -> None:
    buckets = deps.settings.buckets
    await asyncio.gather(
        *(
            deps.objects.put(bucket, f"1/oven 1/2026/{n}.jpg", b"x")
            for bucket in (buckets.evidence, buckets.frames)
            for n in range(number)
        )
    )


async def left(deps: Deps) -> tuple[int, int]:
    buckets = deps.settings.buckets
    return len(await deps.objects.list(buckets.evidence)), len(await deps.objects.list(buckets.frames))


def counted(bucket: str) -> float:
    return float(metrics.OBJECTS_EXPIRED.labels(bucket)._value.get())


async def test_each_bucket_keeps_as_long_as_it_should(deps: Deps) -> None:
    await fill(deps, 30)
    now = datetime.now(UTC)
    await retention.run(deps, now + 23 * HOUR)
    assert await left(deps) == (30, 30)
    await retention.run(deps, now + 25 * HOUR)
    assert await left(deps) == (30, 0)
    assert counted(deps.settings.buckets.frames) == 30
    await retention.run(deps, now + 89 * DAY)
    assert await left(deps) == (30, 0)
    await retention.run(deps, now + 91 * DAY)
    await retention.run(deps, now + 91 * DAY)
    assert await left(deps) == (0, 0)
    assert counted(deps.settings.buckets.evidence) == 30


async def test_more_than_one_page_while_frames_flow(deps: Deps, eventually: Callable[..., Awaitable[Any]]) -> None:
    await fill(deps, 25)
    bucket = deps.settings.buckets.frames
    newest = max(info.last_modified for info in await deps.objects.list(bucket))

    class Flowing(ObjectStore):
        """A frame is stored behind every page that is read."""

        async def delete_many(self, bucket: str, keys: Any) -> None:
            await self.put(bucket, f"0/{uuid4()}.jpg", b"new")
            await self.put(bucket, f"2/{uuid4()}.jpg", b"new")
            await super().delete_many(bucket, keys)

    async def later() -> bool:
        # The store's times may be whole seconds: what comes now must be of a later one.
        return datetime.now(UTC) >= newest.replace(microsecond=0) + timedelta(seconds=1)

    await eventually(later)
    objects = Flowing(deps.settings.objects)
    assert await retention.expire(objects, bucket, newest + timedelta(microseconds=1), page=10) == 25
    kept = [info.key for info in await objects.list(bucket)]
    assert len(kept) == 6
    assert all(key[0] in "02" for key in kept)


async def test_one_bucket_that_fails_does_not_keep_the_other(deps: Deps) -> None:
    await fill(deps, 2)
    missing = deps.settings.buckets.model_copy(update={"evidence": "never-made"})
    half = replace(deps, settings=deps.settings.model_copy(update={"buckets": missing}))
    await retention.run(half, datetime.now(UTC) + 91 * DAY)
    assert await left(deps) == (2, 0)


async def test_a_store_that_does_not_answer_is_asked_again_next_hour(deps: Deps) -> None:
    nowhere = deps.settings.objects.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    await retention.run(replace(deps, objects=ObjectStore(nowhere)), datetime.now(UTC))


async def test_it_is_a_job_of_every_hour(deps: Deps) -> None:
    await fill(deps, 3)
    url = deps.settings.postgres.url.get_secret_value()
    await asyncio.to_thread(apply, url)
    app = App(connector=PsycopgConnector(conninfo=url, kwargs={"options": f"-c search_path={JOBS_SCHEMA}"}))
    register(app)
    [periodic] = app.periodic_registry.periodic_tasks.values()
    assert (periodic.task.name, periodic.cron.split()[1:]) == (EXPIRE_OBJECTS, ["*"] * 4)
    async with app.open_async():
        later = int((datetime.now(UTC) + 25 * HOUR).timestamp())
        await periodic.task.defer_async(timestamp=later)
        await app.run_worker_async(wait=False, install_signal_handlers=False, additional_context={DEPS: deps})
    assert await left(deps) == (3, 0)


def test_a_bucket_that_expires_holds_nothing_else(deps: Deps) -> None:
    given = {name: getattr(deps.settings, name) for name in Settings.model_fields}
    for shared in (
        BucketSettings(frames="vigia-evidence"),
        BucketSettings(evidence="vigia-datasets"),
        BucketSettings(frames="vigia-artifacts"),
    ):
        with pytest.raises(ValidationError, match="bucket"):
            Settings.model_validate({**given, "buckets": shared})
    assert RetentionSettings() == RetentionSettings(evidence_days=90, frames_hours=24)
