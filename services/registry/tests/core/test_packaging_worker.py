"""The worker that makes components: what it leaves when it dies, cannot write, or is given up."""

from __future__ import annotations

import asyncio
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from vigia_contracts.training import OutputLocation
from vigia_registry.bootstrap import Deps
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs import tasks
from vigia_registry.objects import asked_rights
from vigia_registry.packaging import job as jobs
from vigia_registry.packaging import service
from vigia_registry.packaging.domain import Configuration, Device, PackagingRequest
from vigia_registry.projects import service as projects
from vigia_runtime.errors import Transient
from vigia_runtime.objects import MOST_KEY_BYTES, ObjectStore

from .components import done, greengrass, written
from .conftest import ACCOUNT, BUCKET, REGION, Registry
from .test_errors import refused
from .test_lifecycle import describe, gone
from .versions import trained


@pytest.fixture
def component() -> str:
    return f"com.example.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def arn(registry: Registry, project: str) -> str:
    """The ARN of a trained version."""
    return trained(registry, project)


def test_a_version_is_not_deleted_while_it_is_packaged(
    registry: Registry, lookout: Any, project: str, arn: str, component: str
) -> None:
    job = lookout.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=greengrass(component))[
        "JobName"
    ]
    done(lookout, project, job)
    for state in ("CREATED", "RUNNING"):
        registry.sql("update registry.packaging_jobs set state = %s where component_name = %s", state, component)
        error = refused(lambda: lookout.delete_model(ProjectName=project, ModelVersion="1"))
        assert (error["code"], error["type"], error["id"]) == ("ConflictException", "MODEL", f"{project}/1")
        assert job in error["message"]
    registry.sql("update registry.packaging_jobs set state = 'SUCCEEDED' where component_name = %s", component)
    lookout.delete_model(ProjectName=project, ModelVersion="1")
    gone(lambda: describe(lookout, project))
    # What was made stays, and so does the job, until the project goes.
    assert done(lookout, project, job)["ModelVersion"] == "1"
    assert "recipe.json" in written(registry, component, "1.0.0")
    lookout.delete_project(ProjectName=project)
    gone(lambda: lookout.describe_project(ProjectName=project))
    assert registry.sql("select * from registry.packaging_jobs where component_name = %s", component) == []
    assert "recipe.json" in written(registry, component, "1.0.0")


def asked(alone: Registry, component: str) -> uuid.UUID:
    """A job asked for while no worker runs."""
    name, owner = f"p-{uuid.uuid4().hex[:12]}", Owner(ACCOUNT, REGION)
    configuration = Configuration(
        device=Device.JETSON_XAVIER,
        output=OutputLocation(bucket=BUCKET, prefix="edge/"),
        component_name=component,
    )

    async def project(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            await projects.create(session, owner, name, 1000)

    async def job(deps: Deps) -> uuid.UUID:
        async with deps.database.transaction() as session:
            request = PackagingRequest(configuration=configuration)
            made = await service.start(
                session,
                deps.objects,
                deps.settings.buckets,
                deps.settings.limits,
                owner,
                name,
                1,
                request,
                asked_rights(deps.settings.buckets, None),
            )
        return made.id

    alone.run(project)
    trained(alone, name)
    return alone.run(job)


def state(alone: Registry, job: uuid.UUID) -> str:
    [(found,)] = alone.sql("select state from registry.packaging_jobs where id = %s", job)
    return str(found)


class Killed(BaseException):
    """The worker dies at this moment: nothing of its own runs any more."""


@pytest.mark.parametrize("write", range(4))
def test_a_worker_that_dies_leaves_no_component_and_another_makes_it_whole(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    job = asked(alone, component)
    put, count = ObjectStore.put, 0

    async def dying(self: ObjectStore, *args: Any, **more: Any) -> Any:
        nonlocal count
        ref = await put(self, *args, **more)
        count += 1
        if count == write + 1:
            raise Killed
        return ref

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", dying)
        with pytest.raises(Killed):
            alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "RUNNING"
    left = written(alone, component, "1.0.0")
    # The recipe comes last: where it is, everything is.
    whole = {"model.zip", "settings.json", "tags.json", "recipe.json"}
    assert "recipe.json" not in left or set(left) == whole

    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "SUCCEEDED"
    made = written(alone, component, "1.0.0")
    assert set(made) == whole
    assert all(made[name] == content for name, content in left.items())
    # Once more changes nothing.
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert written(alone, component, "1.0.0") == made


def test_what_cannot_be_written_fails_and_leaves_nothing(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses the recipe at every attempt: after the last one the job has failed, and says so."""
    job = asked(alone, component)
    put = ObjectStore.put

    async def failing(self: ObjectStore, bucket: str, key: str, *args: Any, **more: Any) -> Any:
        if key.endswith("recipe.json"):
            raise Transient("object store: away")
        return await put(self, bucket, key, *args, **more)

    monkeypatch.setattr(ObjectStore, "put", failing)

    def attempt(number: int) -> None:
        async def run(deps: Deps) -> None:
            context: Any = SimpleNamespace(job=SimpleNamespace(attempts=number), additional_context={tasks.DEPS: deps})
            await tasks._package_model(context, str(job))

        with pytest.raises(Transient):
            alone.run(run)

    attempt(0)
    assert state(alone, job) == "RUNNING"
    attempt(5)
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_job_that_kills_its_workers_is_given_up(alone: Registry, component: str) -> None:
    job = asked(alone, component)

    async def run(deps: Deps) -> None:
        context: Any = SimpleNamespace(job=SimpleNamespace(attempts=6), additional_context={tasks.DEPS: deps})
        await tasks._package_model(context, str(job))

    alone.run(run)
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_key_is_as_long_as_the_store_takes_it(registry: Registry, lookout: Any, project: str, arn: str) -> None:
    """One byte more is refused when the job is asked for, not when it writes."""
    component = f"c{uuid.uuid4().hex[:8]}"
    longest = MOST_KEY_BYTES - len(f"/{component}/1.0.0/{uuid.uuid4()}/settings.json")

    def start(length: int) -> str:
        prefix = "/".join(["p" * 200] * 6)[: length - 1] + "p"
        place = {"Bucket": BUCKET, "Prefix": prefix}
        configuration = greengrass(component, S3OutputLocation=place, ComponentVersion="1.0.0")
        answer = lookout.start_model_packaging_job(ProjectName=project, ModelVersion="1", Configuration=configuration)
        return str(answer["JobName"])

    assert refused(lambda: start(longest + 1))["code"] == "ValidationException"
    assert done(lookout, project, start(longest))["Status"] == "SUCCEEDED"


@pytest.mark.parametrize("written_last", ["model.zip", "tags.json"])
def test_a_job_given_up_meanwhile_gets_no_recipe(
    alone: Registry, component: str, monkeypatch: pytest.MonkeyPatch, written_last: str
) -> None:
    """A worker believed dead goes on after another one has failed the job."""
    job = asked(alone, component)
    put = ObjectStore.put

    async def slow(self: ObjectStore, bucket: str, key: str, *args: Any, **more: Any) -> Any:
        ref = await put(self, bucket, key, *args, **more)
        if key.endswith(written_last):
            await asyncio.to_thread(alone.run, lambda deps: jobs.fail(deps.database, deps.objects, job, "given up"))
        return ref

    monkeypatch.setattr(ObjectStore, "put", slow)
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    assert state(alone, job) == "FAILED"
    assert written(alone, component, "1.0.0") == {}


def test_a_bucket_that_vanished_is_named(alone: Registry, component: str) -> None:
    job = asked(alone, component)
    alone.sql(
        "update registry.packaging_jobs set configuration = jsonb_set(configuration, '{output,bucket}', "
        "'\"nobody-has-this-bucket\"') where id = %s",
        job,
    )
    alone.run(lambda deps: jobs.package(deps.database, deps.objects, job))
    [(found, message)] = alone.sql("select state, status_message from registry.packaging_jobs where id = %s", job)
    assert found == "FAILED"
    assert "nobody-has-this-bucket" in message
