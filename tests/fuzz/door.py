"""The registry's app without a port: every request goes through all of it but the HTTP parser."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import psycopg
from botocore.credentials import Credentials
from pydantic import SecretStr
from sqlalchemy import text

from tests.e2e import tiny
from vigia_registry.bootstrap import Deps, open_deps
from vigia_registry.datasets.deletion import delete_dataset
from vigia_registry.datasets.importer import import_entries
from vigia_registry.entrypoints.http import build
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Owner, Vault
from vigia_registry.jobs import queue
from vigia_registry.migrate import migrate
from vigia_registry.models import copying, given
from vigia_registry.models.deletion import delete_model
from vigia_registry.packaging import job as packaging
from vigia_registry.projects.deletion import delete_project
from vigia_registry.settings import BootstrapSettings, LimitSettings, QuotaSettings, RateSettings, Settings
from vigia_runtime.policies import canonical
from vigia_runtime.rights import asked_rights
from vigia_runtime.settings import BucketSettings, HttpSettings, KafkaSettings, ObjectSettings, PostgresSettings
from vigia_stack.parts.objects import ObjectStoreAddress

ACCOUNT, REGION = "111122223333", "us-east-1"
KEY, SECRET = "AKIAVIGIAFUZZADMIN01", "a-secret-that-only-the-fuzzer-knows"
MOST_BODY = 256 * 1024
_LIMITED = {
    "Statement": [
        {"Effect": "Allow", "Action": ["lookoutvision:List*", "lookoutvision:Describe*"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["lookoutvision:CreateModel", "lookoutvision:StartModel", "lookoutvision:*Tag*"],
            "Resource": f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/p1/*",
            "Condition": {"StringEquals": {"aws:RequestTag/a": "b"}},
        },
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"aws:ResourceTag/b": "*"}}},
    ]
}
#: Longer than this is a hang: the longest wait that is meant is that for a lock, three seconds.
SECONDS = 10

_JOBS = f"{queue.JOBS_SCHEMA}.procrastinate_jobs"
#: Hosting has done what was asked; every third training fails.
_HOSTED = (
    "update registry.hostings set triton_model = 'm', "
    "observed = case desired when 'hosted' then 'serving' else 'absent' end"
)
_TRAINED = (
    "update registry.model_versions set state = case when version % 3 > 0 then 'TRAINED' else 'TRAINING_FAILED' end, "
    """artifact = '{"bucket": "artifacts", "key": "manifest.json"}', manifest = :manifest """
    "where state = 'TRAINING'"
)
#: What may not be when no job waits.
_UNSETTLED = (
    "select 'dataset ' || state from registry.datasets where state like '%IN_PROGRESS' union all "
    "select 'project ' || name from registry.projects where state = 'DELETING' union all "
    "select 'model ' || arn from registry.model_versions where state = 'DELETING' union all "
    "select 'packaging ' || name from registry.packaging_jobs where state in ('CREATED', 'RUNNING') union all "
    "select 'tags of nothing ' || resource_arn from registry.tags where resource_arn not in "
    "(select arn from registry.model_versions union all select arn from registry.projects union all "
    "select substring(p.arn from '^(.*)/') || '/dataset/' || d.kind || '/' || "
    "round(extract(epoch from d.created_at) * 1000)::bigint from registry.datasets d "
    "join registry.projects p on p.id = d.project_id) union all "
    "select 'entries of nothing' from registry.dataset_entries e join registry.datasets d "
    "on d.id = e.dataset_id where d.state = 'CREATE_FAILED'"
)

#: What changes when anything is made, changed or removed, in one row. That somebody asked is written down every time.
_EVERYTHING = text(
    "select (select count(*) from registry.client_tokens), "
    "(select count(*) from registry.outbox where topic <> 'audit'), "
    f"(select count(*) from {_JOBS}), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.projects t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.datasets t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.model_versions t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.hostings t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.packaging_jobs t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.tags t), "
    "(select coalesce(sum(hashtextextended(t::text, 0)), 0) from registry.project_policies t), "
    "(select count(*) from registry.dataset_entries)"
)

_RECORDS = text("select count(*) from registry.outbox where topic = 'audit'")


@dataclass(frozen=True)
class Request:
    """A request as it is on the wire; ``body`` comes in these pieces."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: Sequence[bytes]


@dataclass
class Answer:
    """What came back. ``raised`` is what the app let through."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raised: str = ""


@contextlib.contextmanager
def surroundings(postgres_server: str, store: ObjectStoreAddress) -> Iterator[Settings]:
    """Settings of a registry on a database of its own, with small limits that random requests reach."""
    name = f"fuzz_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
    settings = Settings(
        kafka=KafkaSettings(bootstrap="127.0.0.1:1"),  # nothing here talks to it
        postgres=PostgresSettings(url=SecretStr(postgres_server.rpartition("/")[0] + f"/{name}"), pool_size=4),
        objects=ObjectSettings(
            endpoint=store.endpoint,
            region=store.region,
            access_key_id=store.access_key_id,
            secret_access_key=SecretStr(store.secret_access_key),
        ),
        http=HttpSettings(max_body_bytes=MOST_BODY),
        buckets=BucketSettings(datasets=f"{name}-datasets".replace("_", "-")),
        bootstrap=BootstrapSettings(
            account_id=ACCOUNT, region=REGION, access_key_id=KEY, secret_access_key=SecretStr(SECRET)
        ),
        limits=LimitSettings(
            projects=5, models=4, trainings=3, inference_units=5, tags=4, packagings=2, packaging_jobs=6
        ),
        quotas=QuotaSettings(
            max_images_train=60, max_images_test=40, max_labels=4, max_mask_labels=2, max_manifest_bytes=100_000
        ),
        rates=RateSettings(per_second=100_000, burst=100_000),
        secret_key=SecretStr("a-key-of-at-least-thirty-two-characters"),
        internal_token=SecretStr("the-internal-token"),
    )
    migrate(settings)
    yield settings
    with contextlib.suppress(psycopg.Error), psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


class Door:
    """Sends requests, and looks at what they did."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._app = build(deps)
        self._manifest = tiny.artifact().manifest.model_dump_json()
        self._rights = asked_rights(deps.settings.buckets, None)

    async def limited_key(self) -> Credentials:
        """The key of a user who may do some things to some models."""
        settings = self._deps.settings
        vault, owner = Vault(settings.secret_key.get_secret_value()), Owner(ACCOUNT, REGION)
        async with self._deps.database.transaction() as session:
            await identity.put_user(session, owner, "limited", (), {"inline": canonical(_LIMITED)})
            key, secret = await identity.add_key(session, vault, owner, "limited")
        return Credentials(key.access_key_id, secret)

    async def send(self, request: Request) -> Answer:
        """The app's answer; one that does not come in time has ``raised`` TimeoutError."""
        answer = Answer()
        pieces = [*request.body]

        async def receive() -> dict[str, Any]:
            if not pieces:
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(request.path),
            "raw_path": request.path.encode("ascii"),
            "query_string": request.query.encode("ascii"),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        try:
            async with asyncio.timeout(SECONDS):
                await self._app(scope, receive, send)
        except Exception as error:
            answer.raised = f"{type(error).__name__}: {error}"
        return answer

    async def everything(self) -> tuple[Any, ...]:
        """Equal to what it was before when nothing was made, changed or removed."""
        async with self._deps.database.engine.connect() as connection:
            return tuple((await connection.execute(_EVERYTHING)).one())

    async def records(self) -> int:
        """Audit records since the jobs were last done."""
        async with self._deps.database.engine.connect() as connection:
            return int((await connection.execute(_RECORDS)).scalar_one())

    async def work(self) -> list[str]:
        """Do the jobs that wait, as the worker would, and play training and hosting; what is wrong afterwards."""
        deps = self._deps
        async with deps.database.transaction() as session:
            waiting = (await session.execute(text(f"select id, task_name, args from {_JOBS} order by id"))).all()
            await session.execute(text(_HOSTED))
        buckets = deps.settings.buckets
        for job in waiting:
            subject = uuid.UUID(job.args["subject"])
            match job.task_name:
                case queue.IMPORT_ENTRIES:
                    await import_entries(deps.database, deps.objects, deps.settings, subject)
                case queue.DELETE_DATASET:
                    await delete_dataset(deps.database, subject)
                case queue.DELETE_MODEL:
                    await delete_model(deps.database, deps.objects, buckets.artifacts, subject)
                case queue.DELETE_PROJECT:
                    await delete_project(deps.database, deps.objects, buckets.datasets, subject)
                case queue.PACKAGE_MODEL:  # of versions that nobody has really trained
                    await packaging.fail(deps.database, deps.objects, subject, "There is no artifact.")
                case queue.READ_MANIFESTS:
                    most = deps.settings.custom_labels.max_manifest_bytes
                    await given.read(deps.database, deps.objects, buckets, most, subject, self._rights)
                case queue.COPY_MODEL:  # as above
                    await copying.fail(deps.database, subject, "There is no artifact.")
                case other:
                    raise AssertionError(other)
        async with deps.database.transaction() as session:
            done = [job.id for job in waiting]
            await session.execute(text(f"set local search_path to {queue.JOBS_SCHEMA}"))  # for the tables' triggers
            await session.execute(text(f"delete from {_JOBS} where id = any(:ids)"), {"ids": done})
            problems = [f"after all jobs: {row}" for row in (await session.execute(text(_UNSETTLED))).scalars()]
            await session.execute(text("delete from registry.outbox"))
            await session.execute(text(_TRAINED), {"manifest": self._manifest})
        kept = [info.key for info in await deps.objects.list(buckets.datasets) if "/changes/" in info.key]
        return problems + [f"after all jobs: changes {key}" for key in kept]


@contextlib.asynccontextmanager
async def door(settings: Settings) -> AsyncIterator[Door]:
    """The app, open until the block ends."""
    async with open_deps(settings) as deps:
        for bucket in (settings.buckets.datasets, settings.buckets.artifacts):
            await deps.objects.create_bucket(bucket)
        yield Door(deps)
