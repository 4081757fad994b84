"""The processes themselves: started by their commands, killed, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from vigia_contracts.base import ObjectRef
from vigia_registry.bootstrap import Deps
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import DatasetKind
from vigia_registry.identity.domain import Owner
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models.tables import model_versions
from vigia_registry.objects import asked_rights
from vigia_registry.projects import service as projects
from vigia_registry.trials import service as trials
from vigia_registry.trials.domain import Source, SourceKind, TrialRequest

from .artifacts import colours, picture
from .conftest import ACCOUNT, BUCKET, REGION, SEALING_KEY, Registry, answers, free_port, until
from .manifests import line

COMMAND = [str(Path(sys.executable).with_name("vigia-registry"))]


def environment(registry: Registry, **more: str) -> dict[str, str]:
    """What a process of the registry reads."""
    settings = registry.settings
    values = {
        "KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "POSTGRES__URL": settings.postgres.url.get_secret_value(),
        "OBJECTS__ENDPOINT": registry.store.endpoint,
        "OBJECTS__REGION": registry.store.region,
        "OBJECTS__ACCESS_KEY_ID": registry.store.access_key_id,
        "OBJECTS__SECRET_ACCESS_KEY": registry.store.secret_access_key,
        "OBJECTS__SEALING_KEY": SEALING_KEY,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "INTERNAL_TOKEN": settings.internal_token.get_secret_value(),
        "SIDE__PORT": str(free_port()),
        **more,
    }
    return {**os.environ, **{f"VIGIA_REGISTRY_{name}": value for name, value in values.items()}}


@pytest.fixture
def crowded(alone: Registry) -> str:
    """A dataset whose import takes a while, asked for while no worker runs; the project's name."""
    name = f"p-{uuid.uuid4().hex[:12]}"
    owner = Owner(ACCOUNT, REGION)
    lines = "\n".join(line(f"image-{n}", n % 2 == 0) for n in range(15_000))
    place = alone.put(lines.encode())

    async def ask(deps: Deps) -> None:
        source = ObjectRef(bucket=place["Bucket"], key=place["Key"])
        async with deps.database.transaction() as session:
            await projects.create(session, owner, name, 1000)
            await datasets.create(
                session, owner, name, DatasetKind.TRAIN, source, asked_rights(deps.settings.buckets, None)
            )

    alone.run(ask)
    return name


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes; those still there at the end are killed."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def state(registry: Registry, project: str) -> tuple[Any, ...]:
    [row] = registry.sql(
        "select d.state, count(e.id) from registry.datasets d join registry.projects p on p.id = d.project_id "
        "left join registry.dataset_entries e on e.dataset_id = d.id where p.name = %s group by d.state",
        project,
    )
    return row


def test_a_killed_worker_leaves_nothing_half_made_and_another_goes_on(
    alone: Registry, crowded: str, workers: list[subprocess.Popen[bytes]]
) -> None:
    workers.append(subprocess.Popen([*COMMAND, "worker"], env=environment(alone)))
    doing = f"select 1 from {JOBS_SCHEMA}.procrastinate_jobs where status = 'doing'"
    until(lambda: bool(alone.sql(doing)), 60)
    workers[0].send_signal(signal.SIGKILL)
    workers[0].wait(10)
    assert state(alone, crowded) == ("CREATE_IN_PROGRESS", 0)

    workers.append(subprocess.Popen([*COMMAND, "worker"], env=environment(alone)))
    until(lambda: state(alone, crowded) == ("CREATE_COMPLETE", 15_000), 90)
    workers[1].send_signal(signal.SIGTERM)
    assert workers[1].wait(30) == 0


def judged(registry: Registry) -> list[tuple[Any, ...]]:
    return registry.sql("select number, judged_at from registry.trial_images where state = 'judged' order by number")


def test_a_killed_worker_leaves_a_trial_where_it_was(alone: Registry, workers: list[subprocess.Popen[bytes]]) -> None:
    """Another worker judges what is left, and nothing twice."""
    artifact, count = colours(), 300
    folder = f"a/{uuid.uuid4().hex}/"
    for name, content in artifact.all_files().items():
        alone.put(content, folder + name)
    keys = [alone.put(picture(red=250), f"trial/{uuid.uuid4().hex}.png")["Key"] for _ in range(count)]

    async def ask(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            project = await projects.create(session, alone.owner, "tried", 1000)
            values = {
                "id": uuid.uuid4(),
                "arn": "arn:tried",
                "project_id": project.id,
                "account_id": ACCOUNT,
                "region": REGION,
                "version": 1,
                "state": "TRAINED",
                "output": {"bucket": BUCKET, "prefix": ""},
                "training_manifest": {"bucket": BUCKET, "key": "k"},
                "artifact": {"bucket": BUCKET, "key": f"{folder}manifest.json", "sha256": artifact.digest},
                "manifest": artifact.manifest.model_dump(mode="json"),
            }
            await session.execute(insert(model_versions).values(values))
            request = TrialRequest("long", Source(SourceKind.IMAGES, BUCKET))
            await trials.create(session, deps.objects, deps.settings.limits, alone.owner, "tried", 1, request, keys)

    alone.run(ask)
    workers.append(subprocess.Popen([*COMMAND, "worker"], env=environment(alone)))
    until(lambda: len(judged(alone)) >= 20, 60)
    workers[0].send_signal(signal.SIGKILL)
    workers[0].wait(10)
    before = judged(alone)
    assert len(before) < count

    workers.append(subprocess.Popen([*COMMAND, "worker"], env=environment(alone)))
    until(lambda: bool(alone.sql("select 1 from registry.trials where state = 'complete'")), 90)
    after = judged(alone)
    assert len(after) == count
    assert after[: len(before)] == before
    workers[1].send_signal(signal.SIGTERM)
    assert workers[1].wait(30) == 0


def test_migrate_can_be_repeated_and_settings_are_named(alone: Registry) -> None:
    good = environment(alone)
    assert subprocess.run([*COMMAND, "migrate"], env=good, check=False).returncode == 0
    bad = {**good, "VIGIA_REGISTRY_NO_SUCH": "x"}
    del bad["VIGIA_REGISTRY_SECRET_KEY"]
    refused = subprocess.run([*COMMAND, "migrate"], env=bad, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "VIGIA_REGISTRY_NO_SUCH" in refused.stderr
    assert "VIGIA_REGISTRY_SECRET_KEY" in refused.stderr


def test_a_job_that_cannot_be_done_settles_what_clients_wait_for(
    alone: Registry, crowded: str, workers: list[subprocess.Popen[bytes]]
) -> None:
    """Something is wrong on our side: after the last attempt the dataset has failed, and says so."""
    alone.sql("alter table registry.dataset_entries rename column line to broken")
    workers.append(subprocess.Popen([*COMMAND, "worker"], env=environment(alone)))

    def hurried() -> bool:
        # Without the waits between attempts.
        alone.sql(
            f"set search_path to {JOBS_SCHEMA}; update procrastinate_jobs set scheduled_at = now() "
            "where status = 'todo' and scheduled_at > now()"
        )
        return state(alone, crowded) == ("CREATE_FAILED", 0)

    until(hurried, 60)
    alone.sql("alter table registry.dataset_entries rename column broken to line")
    workers[0].send_signal(signal.SIGTERM)
    assert workers[0].wait(30) == 0


def test_the_door_opens_says_that_it_is_ready_and_closes(
    alone: Registry, workers: list[subprocess.Popen[bytes]]
) -> None:
    side = free_port()
    more = {"HTTP__PORT": str(alone.settings.http.port), "SIDE__PORT": str(side)}
    workers.append(subprocess.Popen([*COMMAND, "http"], env=environment(alone, **more)))
    until(lambda: answers(alone.url), 60)
    until(lambda: httpx.get(f"http://127.0.0.1:{side}/ready", trust_env=False).status_code == 200)
    assert alone.client().list_projects()["Projects"] is not None
    assert 'route="/2020-11-20/projects"' in httpx.get(f"http://127.0.0.1:{side}/metrics", trust_env=False).text
    workers[0].send_signal(signal.SIGTERM)
    assert workers[0].wait(30) == 0
