"""Trials under way: what waits, what comes again, and what goes with a version or a project."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from vigia_registry.bootstrap import Deps
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models import service as models
from vigia_registry.models.deletion import delete_model
from vigia_registry.models.domain import Numbered
from vigia_registry.projects import service as projects
from vigia_registry.projects.deletion import delete_project
from vigia_registry.trials import repository
from vigia_registry.trials.running import run_trial
from vigia_runtime.errors import Transient
from vigia_runtime.objects import ObjectInfo, ObjectStore

from .artifacts import picture
from .conftest import ACCOUNT, BUCKET, REGION, Registry, until
from .manifests import line
from .test_lifecycle import gone
from .trials import Api, stats, store, trained
from .versions import decided_by


@pytest.fixture(scope="module")
def api(registry: Registry) -> Iterator[Api]:
    made = Api(registry.url)
    yield made
    made.client.close()


@pytest.fixture
def tried(registry: Registry, lookout: Any, project: str) -> str:
    """A project with a trained version that was never hosted, and an empty training dataset; its name."""
    trained(registry, lookout, project)
    lookout.create_dataset(ProjectName=project, DatasetType="train")
    return project


def test_trials_wait_for_each_other_and_other_jobs_for_none(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    prefix = store(registry, {f"{number}.png": picture(red=250) for number in range(60)})
    source = {"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}"}
    running = [api.create(tried, source) for _ in range(3)]
    lookout.update_dataset_entries(ProjectName=tried, DatasetType="train", Changes=line("known", False).encode())
    assert stats(lookout, tried)["Total"] == 1
    doing = f"select count(*) from {JOBS_SCHEMA}.procrastinate_jobs where queue_name = 'models' and status = 'doing'"
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, registry.sql(doing)[0][0])
        states = [api.ok("GET", f"/trials/{trial['trial_id']}")["state"] for trial in running]
        return states == ["complete"] * 3

    until(look, 60)
    assert most == 1


class Interrupted(ObjectStore):
    """The real store; once so many images were read, ``action`` is done before the next one."""

    def __init__(self, settings: Any, images: int, action: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(settings)
        self.read = 0
        self._images = images
        self._action = action

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        if self.read == self._images and self._action is not None:
            await self._action()
        self.read += 1
        return await super().head(bucket, key)


@pytest.fixture
def waiting(registry: Registry, lookout: Any, api: Api, tried: str) -> tuple[str, UUID]:
    """A trial of six images that is under way, and that no worker knows of: its project's name and its id."""
    prefix = store(registry, {f"{number}.png": picture(red=250) for number in range(6)})
    trial = api.create(tried, {"kind": "upload"})
    registry.sql(
        "update registry.trials set state = 'in_progress', source = 'folder', bucket = %s where id = %s",
        BUCKET,
        trial["trial_id"],
    )
    for number in range(6):
        registry.sql(
            "insert into registry.trial_images (trial_id, number, name, key) values (%s, %s, %s, %s)",
            trial["trial_id"],
            number + 1,
            str(number),
            f"{prefix}{number}.png",
        )
    return tried, UUID(trial["trial_id"])


def judge(registry: Registry, trial: UUID, images: int = 0, action: Any = None) -> int:
    """Do the job of a trial; how many images were read. ``action(deps)`` comes after ``images`` of them."""

    async def work(deps: Deps) -> int:
        objects = Interrupted(deps.settings.objects, images, None if action is None else lambda: action(deps))
        with contextlib.suppress(Transient):
            await run_trial(deps.database, objects, deps.settings.buckets.datasets, trial)
        return objects.read

    return registry.run(work)


def test_what_was_judged_is_not_judged_again(registry: Registry, api: Api, waiting: tuple[str, UUID]) -> None:
    _, trial = waiting

    async def outage(deps: Deps) -> None:
        raise Transient("the store is away")

    judge(registry, trial, 2, outage)
    between = api.ok("GET", f"/trials/{trial}")
    assert (between["state"], between["counts"]["judged"], between["counts"]["waiting"]) == ("in_progress", 2, 4)
    assert judge(registry, trial) == 4
    assert api.ok("GET", f"/trials/{trial}")["state"] == "complete"
    assert judge(registry, trial) == 0


def test_a_trial_is_judged_by_the_threshold_that_decides_now(
    registry: Registry, api: Api, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting
    model = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{project}/1"

    def found() -> set[tuple[str, bool]]:
        rows = api.ok("GET", f"/trials/{trial}/images")["items"]
        return {(row["prediction"], row["score"] > 0.5) for row in rows if row["prediction"]}

    async def outage(deps: Deps) -> None:
        raise Transient("the store is away")

    judge(registry, trial, 2, outage)
    assert found() == {("anomaly", True)}
    decided_by(registry, model, 0.9999)
    judge(registry, trial)
    assert found() == {("anomaly", True), ("normal", True)}


def test_a_trial_fails_when_its_version_is_deleted_and_keeps_what_was_judged(
    registry: Registry, lookout: Any, api: Api, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting

    async def delete(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            await models.delete(session, registry.owner, Numbered(project, 1))

    assert judge(registry, trial, 2, delete) == 3
    failed = api.ok("GET", f"/trials/{trial}")
    assert (failed["state"], failed["counts"]["judged"]) == ("failed", 2)
    assert failed["status_message"] == "The model version was deleted before every image was judged."
    gone(lambda: lookout.describe_model(ProjectName=project, ModelVersion="1"))
    assert api.ok("GET", f"/trials/{trial}")["model_version"] == "1"
    assert api.refused(404, "POST", f"/trials/{trial}/start")["code"] == "model_not_found"
    # What the model found can still be verified.
    assert api.ok("PATCH", f"/trials/{trial}/images/1", json={"verification": "correct"})["has_mask"]


def test_a_trial_under_way_goes_with_its_project_and_leaves_nothing(
    registry: Registry, lookout: Any, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting
    [(project_id, version_id)] = registry.sql(
        "select p.id, m.id from registry.projects p join registry.model_versions m on m.project_id = p.id "
        "where p.name = %s",
        project,
    )
    below = {"Bucket": registry.settings.buckets.datasets, "Prefix": f"{ACCOUNT}/{project_id}/"}

    async def delete(deps: Deps) -> None:
        assert registry.s3().list_objects_v2(**below)["KeyCount"] > 0
        registry.sql("delete from registry.datasets where project_id = %s", project_id)
        # The version, the project, and both jobs, as if done between two images.
        registry.sql("update registry.model_versions set state = 'DELETING' where id = %s", version_id)
        await delete_model(deps.database, deps.objects, deps.settings.buckets.artifacts, version_id)
        async with deps.database.transaction() as session:
            await projects.delete(session, registry.owner, project)
        await delete_project(deps.database, deps.objects, deps.settings.buckets.datasets, project_id)

    assert judge(registry, trial, 2, delete) == 3
    gone(lambda: lookout.describe_project(ProjectName=project))
    assert registry.sql("select count(*) from registry.trials where id = %s", trial) == [(0,)]
    assert registry.s3().list_objects_v2(**below)["KeyCount"] == 0


def test_whoever_deletes_a_project_waits_for_the_mask_that_is_being_written(
    registry: Registry, waiting: tuple[str, UUID]
) -> None:
    """Otherwise the mask would come after everything below the project was removed, and stay for ever."""
    _, trial = waiting

    async def work(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            run = await repository.lock_run(session, trial)
            assert run is not None
            with pytest.raises(Exception, match="lock timeout"):
                async with deps.database.transaction() as other:
                    await repository.remove_of_project(other, run.trial.project_id)

    registry.run(work)
