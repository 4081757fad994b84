"""Jobs of datasets: what comes again, is overtaken, dies or cannot be told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from procrastinate import RetryDecision

from vigia_registry.datasets import importer
from vigia_registry.datasets.deletion import delete_dataset
from vigia_registry.datasets.importer import import_entries
from vigia_registry.jobs import tasks
from vigia_runtime.errors import Transient
from vigia_runtime.objects import ObjectNotFound, ObjectStore

from .conftest import Registry
from .datasets import entries, source, status
from .manifests import line, manifest
from .test_errors import refused
from .test_lifecycle import OUTPUT


def work(registry: Registry, project: str) -> None:
    """Do the job about the project's dataset that waits."""
    [(dataset_id, state)] = registry.sql(
        "select d.id, d.state from registry.datasets d join registry.projects p on p.id = d.project_id "
        "where p.name = %s",
        project,
    )

    async def job(deps: Any) -> None:
        if state == "DELETE_IN_PROGRESS":
            await delete_dataset(deps.database, dataset_id)
        else:
            await import_entries(deps.database, deps.objects, deps.settings, dataset_id)

    registry.run(job)


def test_what_is_under_way_forbids_the_rest(quiet: Registry) -> None:
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    where = {"ProjectName": project, "DatasetType": "train"}
    from_manifest = {**where, "DatasetSource": source(quiet.put(manifest(31, 32)))}

    def forbidden(**also: Any) -> None:
        """Everything that changes or needs whole entries is a conflict, and changes nothing."""
        before = status(lookout, project)
        calls = {
            "update": lambda: lookout.update_dataset_entries(**where, Changes=line("x", False).encode()),
            "create": lambda: lookout.create_dataset(**from_manifest),
            "empty": lambda: lookout.create_dataset(**where),
            "delete": lambda: lookout.delete_dataset(**where),
            "train": lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT),
            "project": lambda: lookout.delete_project(ProjectName=project),
            **also,
        }
        for name, call in calls.items():
            error = refused(call)
            assert (error["code"], error["type"]) == (
                "ConflictException",
                "PROJECT" if name == "project" else "DATASET",
            ), name
        assert status(lookout, project) == before

    def listed() -> Any:
        return lookout.list_dataset_entries(**where)

    lookout.create_project(ProjectName=project)
    assert lookout.create_dataset(**from_manifest)["DatasetMetadata"]["Status"] == "CREATE_IN_PROGRESS"
    assert status(lookout, project) == "CREATE_IN_PROGRESS"
    forbidden(list=listed)
    work(quiet, project)
    assert status(lookout, project) == "CREATE_COMPLETE"

    answer = lookout.update_dataset_entries(**where, Changes=line("new", False).encode())
    assert answer["Status"] == status(lookout, project) == "UPDATE_IN_PROGRESS"
    forbidden()
    assert len(entries(lookout, project)) == 63  # as they were, as long as the update runs
    work(quiet, project)
    assert status(lookout, project) == "UPDATE_COMPLETE"
    assert len(entries(lookout, project)) == 64

    lookout.delete_dataset(**where)
    assert status(lookout, project) == "DELETE_IN_PROGRESS"
    forbidden(list=listed)
    work(quiet, project)
    assert refused(listed)["code"] == "ResourceNotFoundException"
    # The kind is free again.
    assert lookout.create_dataset(**where)["DatasetMetadata"]["Status"] == "CREATE_COMPLETE"


def test_a_job_that_comes_again_changes_nothing(quiet: Registry) -> None:
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    lookout.create_project(ProjectName=project)
    place = source(quiet.put(manifest(2, 1)))
    lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place)
    for _ in range(2):
        work(quiet, project)
        assert status(lookout, project) == "CREATE_COMPLETE"
        assert len(entries(lookout, project)) == 3


@pytest.mark.parametrize("then", ["a manifest", "nothing, for it is gone"])
def test_an_import_that_was_overtaken_changes_nothing(
    quiet: Registry, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A worker that was thought dead goes on reading, while another one has done its job and the customer goes on."""
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    where = {"ProjectName": project, "DatasetType": "train"}
    lookout.create_project(ProjectName=project)
    lookout.create_dataset(**where, DatasetSource=source(quiet.put(manifest(2, 1))))
    [(dataset_id,)] = quiet.sql(
        "select d.id from registry.datasets d join registry.projects p on p.id = d.project_id where p.name = %s",
        project,
    )
    read = importer.stream

    async def slow(objects: Any, place: Any) -> AsyncIterator[bytes]:
        monkeypatch.setattr(importer, "stream", read)
        await asyncio.to_thread(work, quiet, project)
        assert status(lookout, project) == "CREATE_COMPLETE"
        lookout.update_dataset_entries(**where, Changes=line("normal-0", True).encode())
        if then != "a manifest":
            raise ObjectNotFound(place.bucket, place.key)
        async for chunk in read(objects, place):
            yield chunk

    monkeypatch.setattr(importer, "stream", slow)
    quiet.run(lambda deps: import_entries(deps.database, deps.objects, deps.settings, dataset_id))
    assert status(lookout, project) == "UPDATE_IN_PROGRESS"
    work(quiet, project)
    assert status(lookout, project) == "UPDATE_COMPLETE"
    assert lookout.describe_dataset(**where)["DatasetDescription"]["ImageStats"]["Anomaly"] == 2


def test_changes_go_also_when_their_job_was_broken_off_before_it_removed_them(
    quiet: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    lookout.create_project(ProjectName=project)
    lookout.create_dataset(ProjectName=project, DatasetType="train")

    async def broken(*_: Any) -> None:
        raise Transient("the store does not answer")

    for changes, end in (
        (line("a", False).encode(), "UPDATE_COMPLETE"),
        (b"not json", "UPDATE_FAILED_ROLLBACK_COMPLETE"),
    ):
        lookout.update_dataset_entries(ProjectName=project, DatasetType="train", Changes=changes)
        with monkeypatch.context() as patched:
            patched.setattr(ObjectStore, "delete", broken)
            with pytest.raises(Transient):
                work(quiet, project)
        assert status(lookout, project) == end
        work(quiet, project)
        listed = quiet.s3().list_objects_v2(Bucket=quiet.settings.buckets.datasets)
        [(project_id,)] = quiet.sql("select id from registry.projects where name = %s", project)
        assert not [item for item in listed.get("Contents", []) if f"{project_id}/changes/" in item["Key"]]


def test_an_import_that_kills_its_workers_is_given_up(quiet: Registry) -> None:
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    lookout.create_project(ProjectName=project)
    place = source(quiet.put(manifest(2, 1)))
    lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place)
    [(dataset_id,)] = quiet.sql(
        "select d.id from registry.datasets d join registry.projects p on p.id = d.project_id where p.name = %s",
        project,
    )

    async def attempt(deps: Any) -> None:
        context: Any = SimpleNamespace(job=SimpleNamespace(attempts=6), additional_context={tasks.DEPS: deps})
        await tasks._import_entries(context, str(dataset_id))

    quiet.run(attempt)
    assert status(lookout, project) == "CREATE_FAILED"
    assert entries(lookout, project) == []


def test_a_failure_that_cannot_be_told_is_told_later(quiet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away at the very moment at which the last attempt gives up."""
    lookout, project = quiet.client(), f"p-{uuid.uuid4().hex[:8]}"
    lookout.create_project(ProjectName=project)
    place = source(quiet.put(manifest(2, 1)))
    lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place)
    [(dataset_id,)] = quiet.sql(
        "select d.id from registry.datasets d join registry.projects p on p.id = d.project_id where p.name = %s",
        project,
    )

    async def away(*_: Any) -> None:
        raise Transient("away")

    async def attempt(deps: Any, number: int) -> RetryDecision | None:
        job: Any = SimpleNamespace(attempts=number)
        context: Any = SimpleNamespace(job=job, additional_context={tasks.DEPS: deps})
        try:
            await tasks._import_entries(context, str(dataset_id))
        except Exception as error:
            return tasks._Again(6).get_retry_decision(exception=error, job=job)
        return None

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "import_entries", away)
        patched.setattr(tasks, "fail", away)
        for number in (4, 5, 6, 7):
            assert quiet.run(partial(attempt, number=number)) is not None
        assert status(lookout, project) == "CREATE_IN_PROGRESS"
    assert quiet.run(partial(attempt, number=8)) is None
    assert status(lookout, project) == "CREATE_FAILED"
