"""The worker as a process, with a real broker and a real object store, killed in the middle of a job."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from vigia_contracts.base import ObjectRef, Payload
from vigia_contracts.events import Event, decode
from vigia_contracts.topics import TRAINING_EVENTS, TRAINING_JOBS, dead_topic
from vigia_contracts.training import (
    TRAINING_REQUESTED,
    OutputLocation,
    TrainingCompleted,
    TrainingFailed,
    TrainingProgress,
    TrainingRequest,
    TrainingStarted,
)
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.kafka.topics import ensure_topics, topic_name
from vigia_runtime.sealing import Keyring, is_sealed
from vigia_runtime.settings import KafkaSettings
from vigia_vision import Artifact

WAIT = 240.0
ACCOUNT = "111122223333"
ROOT_KEY = "a-root-key-of-thirty-two-characters"


class Line:
    """A broker, a bucket with the plates, and what the worker has said."""

    def __init__(self, settings: KafkaSettings, store: Any, bucket: str, folder: Path) -> None:
        self.settings, self.address, self.client = settings, store, store.client()
        self.bucket, self.folder = bucket, folder
        self.said: list[Payload] = []

    def request(self, plates: Any, version: int) -> TrainingRequest:
        """Uploads the plates; what registry would ask for."""
        for key, data in plates.objects.items():
            if data is not None:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        manifest = plates.manifest.replace(b"s3://plates/", f"s3://{self.bucket}/".encode())
        key = f"snapshots/{version}.manifest"
        self.client.put_object(Bucket=self.bucket, Key=key, Body=manifest)
        return TrainingRequest(
            model_arn=f"arn:aws:lookoutvision:us-east-1:{ACCOUNT}:model/plates/{version}",
            account_id=ACCOUNT,
            region="us-east-1",
            project="plates",
            model_version=str(version),
            training_manifest=ObjectRef(bucket=self.bucket, key=key),
            output=OutputLocation(bucket=self.bucket, prefix="out/"),
            artifact_prefix=OutputLocation(bucket=self.bucket, prefix=f"artifacts/{version}"),
            requested_at=datetime.now(UTC),
        )

    async def send(self, request: TrainingRequest) -> None:
        async with Producer(self.settings, "test") as producer:
            event = Event(
                TRAINING_REQUESTED, "test", request.model_arn, datetime.now(UTC), request, key=request.model_arn
            )
            await producer.send(TRAINING_JOBS, event)

    def opened(self, key: str) -> bytes:
        """A sealed object's content; it lies there encrypted."""
        stored = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        assert is_sealed(stored)
        return Keyring([ROOT_KEY]).open(stored, f"{self.bucket}/{key}")

    async def until(self, condition: Callable[[Payload], bool]) -> Any:
        """The first announcement, said or to come, for which the condition holds."""
        seen = 0
        async with asyncio.timeout(WAIT):
            while True:
                for payload in self.said[seen:]:
                    if condition(payload):
                        return payload
                seen = len(self.said)
                await asyncio.sleep(0.05)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {
            **os.environ,
            "VIGIA_TRAINING_KAFKA__BOOTSTRAP": self.settings.bootstrap,
            "VIGIA_TRAINING_KAFKA__TOPIC_PREFIX": self.settings.topic_prefix,
            "VIGIA_TRAINING_OBJECTS__ENDPOINT": self.address.endpoint,
            "VIGIA_TRAINING_OBJECTS__ACCESS_KEY_ID": self.address.access_key_id,
            "VIGIA_TRAINING_OBJECTS__SECRET_ACCESS_KEY": self.address.secret_access_key,
            "VIGIA_TRAINING_OBJECTS__SEALING_KEY": ROOT_KEY,
            "VIGIA_TRAINING_SIDE__PORT": "0",
            "VIGIA_TRAINING_LEARNING__CHECKPOINT_SECONDS": "0.01",
            "VIGIA_TRAINING_LEARNING__IMAGES": "96",
            "VIGIA_TRAINING_LEARNING__ITERATIONS": "40",
            "VIGIA_TRAINING_LEARNING__FOLD_ITERATIONS": "30",
        }
        command = [sys.executable, "-c", "from vigia_training.entrypoints.cli import main; main()", "worker"]
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                assert process.wait(30) == 0


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
async def line(kafka: str, object_store: Any, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Line]:
    settings = KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix)
    await ensure_topics(settings, [TRAINING_JOBS, TRAINING_EVENTS, dead_topic(TRAINING_JOBS)])
    bucket = f"{topic_prefix.strip('.')}-plates"
    line = Line(settings, object_store, bucket, tmp_path)
    line.client.create_bucket(Bucket=bucket)
    async with _listening(line):
        yield line


@asynccontextmanager
async def _listening(line: Line) -> AsyncIterator[None]:
    consumer = AIOKafkaConsumer(
        topic_name(line.settings, TRAINING_EVENTS),
        bootstrap_servers=line.settings.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()

    async def listen() -> None:
        async for record in consumer:
            event = decode(
                TRAINING_EVENTS,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp,
            )
            assert isinstance(event.data, Payload)
            assert event.key == event.data.model_arn  # type: ignore[attr-defined]
            line.said.append(event.data)

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        await consumer.stop()


@pytest.mark.slow
async def test_a_job_survives_the_death_of_its_worker_and_has_one_effect(line: Line, plates: Any) -> None:
    request = line.request(plates, 1)
    with line.worker() as worker:
        await line.send(request)
        await line.until(lambda said: isinstance(said, TrainingProgress) and said.stage == "training")
        (child,) = children(worker.pid)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        await asyncio.to_thread(_until_gone, child)  # a training whose worker is dead ends itself
    assert not any(isinstance(said, TrainingCompleted) for said in line.said)

    with line.worker():
        completed = await line.until(lambda said: isinstance(said, TrainingCompleted))
        assert completed.attempt == 2
        assert [said.attempt for said in line.said if isinstance(said, TrainingStarted)] == [1, 2]
        assert "training goes on from a checkpoint" in (line.folder / "worker.log").read_text()
        keys = [item["Key"] for item in line.client.list_objects_v2(Bucket=line.bucket)["Contents"]]
        assert not [key for key in keys if "/jobs/" in key and not key.endswith(".json")]
        before = len(line.said)
        await line.send(request)
        again = await line.until(lambda said: said is line.said[-1] and len(line.said) > before)
        assert again == completed
        assert [item["Key"] for item in line.client.list_objects_v2(Bucket=line.bucket)["Contents"]] == keys

    folder = completed.artifact.key.rsplit("/", 1)[0] + "/"
    assert folder.startswith("artifacts/1/")
    files = {key.removeprefix(folder): line.opened(key) for key in keys if key.startswith(folder)}
    artifact = Artifact.load(files)
    assert folder == f"artifacts/1/{artifact.folder}/"
    assert completed.artifact.sha256 == artifact.digest
    assert completed.manifest == artifact.manifest.model_dump(mode="json")
    assert completed.evaluation_manifest.key == "out/EvaluationManifest-plates-1.json"
    assert completed.evaluation_result.key == "out/EvaluationResult-plates-1.json"
    assert {completed.evaluation_manifest.key, completed.evaluation_result.key} < set(keys)
    assert {"out/EvaluationReport-plates-1.html", "out/EvaluationReport-plates-1.json"} < set(keys)


@pytest.mark.slow
async def test_bad_data_and_trainings_that_die_end_as_failed(line: Line, plates: Any) -> None:
    bad = plates.changed({"masks/plate-30.png": plates.objects["images/plate-30.jpg"], "images/plate-3.jpg": None})
    with line.worker() as worker:
        await line.send(line.request(bad, 2))
        failed = await line.until(lambda said: isinstance(said, TrainingFailed))
        assert failed.code == "bad_data"
        assert f"mask s3://{line.bucket}/masks/plate-30.png: it is a JPEG file; masks are PNG files" in failed.message
        assert f"image s3://{line.bucket}/images/plate-3.jpg: it does not exist" in failed.message
        assert failed.attempt == 1

        await line.send(line.request(plates, 3))
        for attempt in (1, 2, 3):
            await line.until(
                lambda said, attempt=attempt: (
                    isinstance(said, TrainingProgress) and said.attempt == attempt and said.model_arn.endswith("/3")
                )
            )
            (child,) = children(worker.pid)
            os.kill(child, signal.SIGKILL)
        gave_up = await line.until(lambda said: isinstance(said, TrainingFailed) and said.model_arn.endswith("/3"))
        assert (gave_up.code, gave_up.attempt) == ("failed", 3)
