"""One check per door of an installation: does it answer, and if not, what to do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import boto3
import httpx
import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vigia_client.api import ApiError, Vigia
from vigia_client.environment import Environment, NotConfiguredError
from vigia_contracts.topics import FRAMES

_SECONDS = 5
_QUICK = Config(connect_timeout=_SECONDS, read_timeout=10, retries={"total_max_attempts": 1})


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; ``advice`` says what to do where it is not well."""

    door: str
    state: State
    detail: str
    advice: str = ""


Check = Callable[[Environment], Iterator[Finding]]

_ERRORS = (
    ApiError,
    BotoCoreError,
    ClientError,
    KafkaError,
    NotConfiguredError,
    OSError,
    httpx.HTTPError,
    psycopg.Error,
    TimeoutError,
)


def run(environment: Environment) -> Iterator[Finding]:
    """Every check, in the order in which a fault spreads; a check that fails does not stop the others."""
    environment.export()
    for door, check, advice in CHECKS:
        try:
            yield from check(environment)
        except _ERRORS as error:
            # psycopg and httpx may quote an address: only the kind of error and its first line are shown.
            text = str(error).splitlines()[0] if str(error) else ""
            yield Finding(door, State.FAILED, f"{type(error).__name__}: {text}"[:300], advice)


def gateway(environment: Environment) -> Iterator[Finding]:
    """Something answers HTTP at VIGIA_URL."""
    url = environment.need("VIGIA_URL")
    answer = httpx.get(f"{url}/api/v1/lines", timeout=_SECONDS)
    if answer.status_code >= 500:
        yield Finding(
            "gateway", State.FAILED, f"{url} answers {answer.status_code}", "the gateway runs, registry does not"
        )
    else:
        yield Finding("gateway", State.OK, url)


def sign_in(environment: Environment) -> Iterator[Finding]:
    """The access key is known, and this machine's clock is right."""
    with Vigia.of(environment) as vigia:
        count = sum(1 for _ in vigia.lines())
    yield Finding("sign-in", State.OK, f"{environment.need('AWS_ACCESS_KEY_ID')} is known; {count} line(s)")


def kafka(environment: Environment) -> Iterator[Finding]:
    """A broker answers and has the topics."""
    bootstrap = environment.need("VIGIA_KAFKA")
    wanted = f"{environment.get('VIGIA_KAFKA_TOPIC_PREFIX') or ''}{FRAMES.name}"

    async def topics() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_SECONDS * 1000)
        async with asyncio.timeout(2 * _SECONDS):
            try:
                await admin.start()
                return set(await admin.list_topics())
            finally:
                await admin.close()

    found = asyncio.run(topics())
    if wanted in found:
        yield Finding("kafka", State.OK, f"{bootstrap}, {len(found)} topics")
    else:
        yield Finding("kafka", State.FAILED, f"topic {wanted} is missing", "create the topics: make up")


def postgres(environment: Environment) -> Iterator[Finding]:
    """The database answers and has both schemas."""
    with psycopg.connect(environment.need("VIGIA_POSTGRES"), connect_timeout=_SECONDS) as connection:
        rows = connection.execute(
            "select nspname from pg_namespace where nspname in ('registry', 'inspection') order by 1"
        ).fetchall()
    missing = {"registry", "inspection"} - {row[0] for row in rows}
    if missing:
        advice = "run the migrations: vigia-registry migrate; vigia-aggregator migrate"
        yield Finding("postgres", State.FAILED, f"schema {', '.join(sorted(missing))} is missing", advice)
    else:
        yield Finding("postgres", State.OK, "schemas registry and inspection are there")


def objects(environment: Environment) -> Iterator[Finding]:
    """The object store answers and has the user's bucket."""
    bucket = environment.need("VIGIA_BUCKET")
    _client("s3").head_bucket(Bucket=bucket)
    yield Finding("object store", State.OK, f"bucket {bucket}")


def prometheus(environment: Environment) -> Iterator[Finding]:
    """Prometheus answers, and what it scrapes is up."""
    url = environment.need("VIGIA_PROMETHEUS")
    answer = httpx.get(f"{url}/api/v1/query", params={"query": "up"}, timeout=_SECONDS).raise_for_status()
    targets = answer.json()["data"]["result"]
    down = sorted(_target(row["metric"]) for row in targets if row["value"][1] != "1")
    if down:
        yield Finding("prometheus", State.FAILED, f"down: {', '.join(down)}", "look into the logs of these processes")
    else:
        yield Finding("prometheus", State.OK, f"{url}, {len(targets)} targets up")


def _target(labels: Mapping[str, str]) -> str:
    """A scraped process by its name where it has one, as in ``detection-worker (127.0.0.1:9100)``."""
    instance = labels.get("instance", "?")
    return f"{labels['process']} ({instance})" if "process" in labels else instance


def models(environment: Environment) -> Iterator[Finding]:
    """The Lookout for Vision API answers, and some model is hosted."""
    client = _client("lookoutvision")
    hosted = []
    for page in client.get_paginator("list_projects").paginate():
        for project in page["Projects"]:
            name = project["ProjectName"]
            for models_page in client.get_paginator("list_models").paginate(ProjectName=name):
                hosted += [f"{name} {m['ModelVersion']}" for m in models_page["Models"] if m["Status"] == "HOSTED"]
    if hosted:
        yield Finding("models", State.OK, f"hosted: {', '.join(hosted)}")
    else:
        advice = "frames will be INVALID: aws lookoutvision start-model"
        yield Finding("models", State.WARNING, "no model is hosted", advice)


def label_models(environment: Environment) -> Iterator[Finding]:
    """The Custom Labels API answers; cameras need none of its models, so none has to run."""
    client = _client("rekognition", environment.get("AWS_ENDPOINT_URL_REKOGNITION") or environment.need("VIGIA_URL"))
    running = []
    for page in client.get_paginator("describe_projects").paginate():
        for project in page["ProjectDescriptions"]:
            versions = client.get_paginator("describe_project_versions").paginate(ProjectArn=project["ProjectArn"])
            for versions_page in versions:
                for version in versions_page["ProjectVersionDescriptions"]:
                    if version["Status"] == "RUNNING":
                        _, name, _, version_name, _ = version["ProjectVersionArn"].rsplit("/", 4)
                        running.append(f"{name} {version_name}")
    yield Finding("label models", State.OK, f"running: {', '.join(running)}" if running else "none is running")


def cameras(environment: Environment) -> Iterator[Finding]:
    """Every enabled camera gives frames that become inspections."""
    with Vigia.of(environment) as vigia:
        found = [camera for camera in vigia.cameras() if camera["enabled"]]
        if not found:
            yield Finding("cameras", State.WARNING, "no camera is enabled", "vigia cameras add CAMERA --rtsp ADDRESS")
        for camera in found:
            yield _camera(vigia, camera)


def _camera(vigia: Vigia, camera: dict[str, Any]) -> Finding:
    name = camera["camera_id"]
    for fault in vigia.faults(camera=name, kind="blind", open=True):
        advice = _BLIND_ADVICE.get(fault["cause"], "look at the camera and its network")
        return Finding(f"camera {name}", State.FAILED, f"blind since {fault['started_at']}: {fault['cause']}", advice)
    items = vigia.inspection_page(camera=name, limit=1)["items"]
    if not items:
        return Finding(f"camera {name}", State.WARNING, "never seen", "is it switched on, does ingestion run?")
    last = items[0]
    seconds = (datetime.now(UTC) - datetime.fromisoformat(last["captured_at"])).total_seconds()
    seen = f"last seen {seconds:.0f} s ago, {last['verdict']}"
    if seconds > _patience(camera):
        # Not blind, and yet nothing comes: what reads it or what judges it does not run.
        return Finding(f"camera {name}", State.WARNING, seen, "do ingestion, detection and the aggregator run?")
    if last["cause"]:
        return Finding(f"camera {name}", State.WARNING, f"{seen} {last['cause']}", _invalid_advice(last["cause"]))
    return Finding(f"camera {name}", State.OK, seen)


def _patience(camera: dict[str, Any]) -> float:
    """Seconds without an inspection that are normal; no limit for sources that send when there is something to send."""
    if camera["source"]["kind"] in ("push", "folder"):
        return math.inf
    policy = camera["policy"]
    every = 2 / policy["frames_per_second"] if policy["frames_per_second"] else 0.0
    return float(max(policy["blind_after_seconds"], every)) + 30.0


def _invalid_advice(cause: str) -> str:
    return _INVALID_ADVICE.get(cause, "see docs/operator.md, Not judged")


_INVALID_ADVICE = {
    "no_model": "give the camera a project whose model is hosted: aws lookoutvision start-model",
    "wrong_size": "the camera's pictures are not of the size that the model was trained on",
    "late": "decisions come after the camera's budget: is detection behind, is the camera's clock right?",
    "bad_time": "the publisher's clock is wrong",
    "model_error": "look into the logs of detection and Triton",
    "overloaded": "the model server's queue is full: more inference units, or fewer frames",
}

_BLIND_ADVICE = {
    "auth": "the camera refuses the password: vigia cameras add again with the right one",
    "not_found": "the camera answers and has no such path",
    "refused": "the camera's address refuses connections: is it switched on, is the port right?",
    "timeout": "the camera does not answer: cable, power, firewall",
    "stalled": "the camera is connected and sends nothing: restart it",
    "codec": "the camera sends something that is not H.264, H.265 or JPEG video",
}


def _client(service: str, endpoint: str | None = None) -> Any:
    return boto3.client(service, endpoint_url=endpoint, config=_QUICK)


#: Name, check, and what to do when it cannot even be made.
CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("gateway", gateway, "is the stack up? make up; make status"),
    ("sign-in", sign_in, "is the key right (client.env), is registry up, is this machine's clock right?"),
    ("kafka", kafka, "is the broker up? make status"),
    ("postgres", postgres, "is the database up, is the password right? make status"),
    ("object store", objects, "is the store up, does the bucket exist? make status"),
    ("prometheus", prometheus, "history and detection work without it; dashboards and alerts do not"),
    ("models", models, "is registry up, is AWS_ENDPOINT_URL_LOOKOUTVISION the gateway?"),
    ("label models", label_models, "is registry up, is AWS_ENDPOINT_URL_REKOGNITION the gateway?"),
    ("cameras", cameras, "is the history API up?"),
)
