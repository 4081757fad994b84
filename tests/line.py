"""A whole stack with a hosted model, for tests that need the product as it runs.

Training is left out: the harness answers the training job itself, with a model whose verdict on any image is known.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import boto3
import botocore.session
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from psycopg.rows import dict_row

from tests.e2e import tiny
from vigia_client.api import Vigia
from vigia_client.service_model import data_path
from vigia_client.signing import SigV4
from vigia_contracts.base import ObjectRef
from vigia_contracts.events import Event, decode, encode
from vigia_contracts.frames import FRAME_CAPTURED
from vigia_contracts.topics import TRAINING_EVENTS, TRAINING_JOBS
from vigia_contracts.training import TRAINING_COMPLETED, ModelMetrics, TrainingCompleted, TrainingRequest
from vigia_stack.parts.gateway import GatewayPart
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.parts.prometheus import PrometheusPart
from vigia_stack.services import PROCESSES, USER_BUCKET
from vigia_stack.stack import Stack
from vigia_vision.artifact import Artifact

#: Everything but training, which would take torch into memory for nothing.
PARTS = ("prometheus", "gateway", *(process.name for process in PROCESSES if process.name != "training"))
#: Seconds between questions to the control plane, which answers five a second for long.
POLL = 0.25
T = TypeVar("T")


def until(what: str, found: Callable[[], T | None], within: float = 60.0, every: float = 0.1) -> T:
    """What ``found`` gives as soon as that is something; AssertionError naming ``what`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        last = found()
        if last:
            return last  # type: ignore[return-value]
        time.sleep(every)
    raise AssertionError(f"not within {within:.0f} s: {what} (last seen: {last!r})")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to publish: its id, what its value is, and the verdict that it must get."""

    frame_id: str
    value: bytes
    verdict: str


class Line:
    """The stack's doors, and the few things that tests do with them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.kafka = stack.part(KafkaPart).bootstrap
        self.postgres = stack.part(PostgresPart).url("vigia")
        self.prometheus = stack.part(PrometheusPart).url
        store = stack.part(ObjectsPart).store
        self.s3 = store.client()
        self.url = stack.part(GatewayPart).url
        self.api = Vigia(self.url, SigV4(store.access_key_id, store.secret_access_key, store.region))
        self.lookout = self.client(self.url)
        self.labels = self.client(self.url, "rekognition")

    def client(self, url: str, service: str = "lookoutvision") -> Any:
        """A boto3 client of Lookout for Vision, or of another service, at ``url``."""
        store = self.stack.part(ObjectsPart).store
        core = botocore.session.Session()
        core.set_config_variable("data_path", str(data_path()))
        session = boto3.Session(
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
            region_name=store.region,
            botocore_session=core,
        )
        return session.client(service, endpoint_url=url)

    def pid(self, part: str) -> int:
        """The process id of a part that runs."""
        found = self.stack.status(part).pid
        assert found is not None, f"{part} does not run"
        return found

    def ready(self, part: str) -> bool:
        """Whether the part says that it is ready."""
        return self.stack.status(part).state == "ready"

    def host(self, project: str, artifact: Artifact | None = None) -> str:
        """Makes a project with a hosted model (the known one, unless given); returns the model's ARN."""
        self.lookout.create_project(ProjectName=project)
        keys = self._upload(project)
        manifest = f"{project}/train.manifest"
        self.s3.put_object(Bucket=USER_BUCKET, Key=manifest, Body="\n".join(map(json.dumps, keys)).encode())
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": USER_BUCKET, "Key": manifest}}}
        self.lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source)
        until("the dataset is imported", lambda: self._dataset(project) == "CREATE_COMPLETE", every=POLL)
        made = self.lookout.create_model(
            ProjectName=project, OutputConfig={"S3Location": {"Bucket": USER_BUCKET, "Prefix": "out"}}
        )["ModelMetadata"]
        asyncio.run(self._train(made["ModelArn"], artifact or tiny.artifact()))
        version = made["ModelVersion"]
        until("the model is trained", lambda: self.model(project, version) == "TRAINED", every=POLL)
        self.lookout.start_model(ProjectName=project, ModelVersion=version, MinInferenceUnits=1)
        until("the model is hosted", lambda: self.model(project, version) == "HOSTED", within=120, every=POLL)
        arn: str = made["ModelArn"]
        return arn

    def host_labels(self, project: str, artifact: Artifact) -> str:
        """Makes a project of Custom Labels with this model, which is hosted; returns the model's ARN."""
        made = self.labels.create_project(ProjectName=project)["ProjectArn"]
        lines = [
            {"source-ref": line["source-ref"], "light": line["anomaly-label"], "light-metadata": metadata}
            for line in self._upload(project)
            for metadata in [line["anomaly-label-metadata"]]
        ]
        for kind in ("TRAIN", "TEST"):
            manifest = f"{project}/labels-{kind}.manifest"
            self.s3.put_object(Bucket=USER_BUCKET, Key=manifest, Body="\n".join(map(json.dumps, lines)).encode())
            source = {"GroundTruthManifest": {"S3Object": {"Bucket": USER_BUCKET, "Name": manifest}}}
            dataset = self.labels.create_dataset(ProjectArn=made, DatasetType=kind, DatasetSource=source)["DatasetArn"]
            until("the dataset is imported", partial(self._labelled, dataset), every=POLL)
        arn: str = self.labels.create_project_version(
            ProjectArn=made, VersionName="1", OutputConfig={"S3Bucket": USER_BUCKET, "S3KeyPrefix": f"{project}/out"}
        )["ProjectVersionArn"]
        asyncio.run(self._train(arn, artifact))
        until("the model is trained", lambda: self._label_model(made) == "TRAINING_COMPLETED", every=POLL)
        self.labels.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)
        until("the model is hosted", lambda: self._label_model(made) == "RUNNING", within=120, every=POLL)
        return arn

    def _labelled(self, dataset: str) -> bool:
        found = self.labels.describe_dataset(DatasetArn=dataset)["DatasetDescription"]
        assert not found["Status"].endswith("FAILED"), found["StatusMessage"]
        return bool(found["Status"] == "CREATE_COMPLETE")

    def _label_model(self, project: str) -> str:
        (found,) = self.labels.describe_project_versions(ProjectArn=project)["ProjectVersionDescriptions"]
        status: str = found["Status"]
        assert not status.endswith("FAILED"), found["StatusMessage"]
        return status

    def _upload(self, project: str) -> list[dict[str, Any]]:
        lines = []
        for number in range(40):
            anomalous = number >= 25
            key = f"{project}/images/{number}.jpg"
            body = tiny.image(200 if anomalous else 60, seed=number)
            self.s3.put_object(Bucket=USER_BUCKET, Key=key, Body=body)
            name = "anomaly" if anomalous else "normal"
            lines.append(
                {
                    "source-ref": f"s3://{USER_BUCKET}/{key}",
                    "anomaly-label": int(anomalous),
                    "anomaly-label-metadata": {
                        "class-name": name,
                        "type": "groundtruth/image-classification",
                        "human-annotated": "yes",
                        "creation-date": "2024-01-01T00:00:00",
                        "confidence": 1,
                        "job-name": "labeling",
                    },
                }
            )
        return lines

    def _dataset(self, project: str) -> str:
        answer = self.lookout.describe_dataset(ProjectName=project, DatasetType="train")
        status: str = answer["DatasetDescription"]["Status"]
        assert not status.endswith("FAILED"), answer["DatasetDescription"]["StatusMessage"]
        return status

    def model(self, project: str, version: str) -> str:
        """The model's status; a failure is an AssertionError with its message."""
        answer = self.lookout.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]
        status: str = answer["Status"]
        assert not status.endswith("FAILED"), answer["StatusMessage"]
        return status

    async def _train(self, arn: str, artifact: Artifact) -> None:
        """Takes the job from its topic and completes it with this model."""
        request = await self._job(arn)
        bucket = request.artifact_prefix.bucket
        folder = f"{request.artifact_prefix.prefix.rstrip('/')}/{artifact.folder}"
        for name, content in artifact.all_files().items():
            self.s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=content)
        evaluation = ObjectRef(bucket=request.output.bucket, key=f"{request.output.prefix}/evaluation.json")
        completed = TrainingCompleted(
            model_arn=arn,
            attempt=1,
            artifact=ObjectRef(
                bucket=bucket, key=f"{folder}/manifest.json", sha256=artifact.digest, size=len(artifact.manifest_bytes)
            ),
            manifest=json.loads(artifact.manifest_bytes),
            metrics=ModelMetrics(
                precision=1, recall=1, f1=1, roc_auc=1, average_precision=1, training_images=30, test_images=10
            ),
            evaluation_manifest=evaluation,
            evaluation_result=evaluation,
            seconds=1,
            completed_at=datetime.now(UTC),
        )
        record = encode(
            TRAINING_EVENTS,
            Event(
                type=TRAINING_COMPLETED,
                source="/tests/training",
                id=str(uuid.uuid4()),
                time=datetime.now(UTC),
                data=completed,
                key=arn,
            ),
        )
        async with AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all") as producer:
            await producer.send_and_wait(TRAINING_EVENTS.name, record.value, key=record.key, headers=record.headers)

    async def _job(self, arn: str) -> TrainingRequest:
        consumer = AIOKafkaConsumer(TRAINING_JOBS.name, bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        async with consumer, asyncio.timeout(30):
            async for record in consumer:
                event = decode(
                    TRAINING_JOBS,
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    timestamp_ms=record.timestamp,
                )
                if isinstance(event.data, TrainingRequest) and event.data.model_arn == arn:
                    return event.data
        raise AssertionError("unreachable")

    async def add_camera(self, camera: str, project: str, image: bytes | None = None, **policy: object) -> None:
        """Makes a camera whose frames are published by the test, and waits until its frames are judged.

        An announcement travels beside the frames: a frame that overtakes it is rightly INVALID, so trial frames of
        ``image`` are sent, from a source of their own, until one is judged.
        """
        self.api.put_camera(camera, {"kind": "push"}, project=project, policy={"budget_seconds": 900, **policy})
        for _ in range(100):
            source = f"/trial/{uuid.uuid4().hex}"
            trial = Frame("trial", image or tiny.image(60), "PASS")
            await self.publish(camera, [trial], source=source, per_second=10, at={})
            rows = until("the trial has an outcome", partial(self.rows, source))
            if rows[0]["verdict"] != "INVALID":
                return
        raise AssertionError(f"frames of {camera} are not judged")

    async def publish(
        self, camera: str, frames: Iterable[Frame], *, source: str, per_second: float, at: dict[int, Callable[[], None]]
    ) -> None:
        """Publishes as any plain program may, four headers each; ``at[i]`` is called before frame ``i``."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka, acks="all", enable_idempotence=True, request_timeout_ms=60_000
        )
        async with producer:
            sent = []
            started = time.monotonic()
            for number, frame in enumerate(frames):
                if number in at:
                    await asyncio.to_thread(at[number])
                headers = [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", frame.frame_id.encode()),
                    ("ce_source", source.encode()),
                    ("ce_type", FRAME_CAPTURED.encode()),
                ]
                sent.append(await producer.send("frames", frame.value, key=camera.encode(), headers=headers))
                await asyncio.sleep(max(0.0, started + (number + 1) / per_second - time.monotonic()))
            await asyncio.gather(*sent)

    def rows(self, source: str) -> list[dict[str, Any]]:
        """All inspections of frames from ``source``; empty while Postgres is away."""
        try:
            with psycopg.connect(self.postgres, connect_timeout=3, row_factory=dict_row) as connection:
                return connection.execute(
                    "select * from inspection.inspections where frame_source = %s", [source]
                ).fetchall()
        except psycopg.OperationalError:
            return []

    def count(self, source: str) -> int:
        """How many inspections of frames from ``source`` there are; 0 while Postgres is away."""
        try:
            with psycopg.connect(self.postgres, connect_timeout=3) as connection:
                row = connection.execute(
                    "select count(*) from inspection.inspections where frame_source = %s", [source]
                ).fetchone()
        except psycopg.OperationalError:
            return 0
        assert row is not None
        return int(row[0])

    def select(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of any statement."""
        with psycopg.connect(self.postgres) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[call-overload,no-any-return]
