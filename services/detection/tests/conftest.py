"""A line in miniature: real Kafka, object store and Triton, a tiny real model, and detection's real processes."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tritonclient.grpc.aio import InferenceServerClient

from vigia_contracts.audit import Call
from vigia_contracts.cameras import CAMERA_CHANGED, Camera, CameraPolicy, SyntheticSource
from vigia_contracts.deployments import DEPLOYMENT_CHANGED, Deployment, ThresholdRecord
from vigia_contracts.events import Event, encode
from vigia_contracts.events import decode as decode_event
from vigia_contracts.inspections import Inspection
from vigia_contracts.topics import AUDIT, CAMERAS, DEPLOYMENTS, INSPECTIONS, Topic
from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings
from vigia_stack.parts.objects import ObjectStoreAddress
from vigia_stack.parts.triton import TritonAddress
from vigia_vision.manifest import Decision, InputContract, Label, Manifest, TensorSpec, Threshold

T = TypeVar("T")

ACCOUNT = "123456789012"
REGION = "us-east-1"
WIDTH, HEIGHT = 64, 48
#: The secret of every key, and the token among the services.
SECRET, TOKEN = "a-secret-of-the-test", "internal-token"
SIDE = 16


def tiny_model() -> bytes:
    """A segmentation graph: the maps are the pixels' brightness, the score is the brightest pixel's."""
    tensors = [
        numpy_helper.from_array(np.array([3], np.int64), "channel"),
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "places"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array(255, np.float32), "white"),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "white"], ["shares"]),
        helper.make_node("ReduceMean", ["shares", "channel"], ["grey"], keepdims=0),
        helper.make_node("Unsqueeze", ["grey", "one"], ["maps"]),
        helper.make_node("ReduceMax", ["maps", "places"], ["top"], keepdims=0),
        helper.make_node("Unsqueeze", ["top", "one"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 1, SIDE, SIDE]),
        ],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def tiny_manifest(kind: str = "anomaly-segmentation", side: int = SIDE) -> Manifest:
    """The graph's manifest; ``anomaly-classification`` leaves the maps unread."""
    maps = kind == "anomaly-segmentation"
    return Manifest(
        kind=kind,  # type: ignore[arg-type]
        labels=(Label(name="bright", color="#23a436"),) if maps else (),
        input=InputContract(width=side, height=side, image_width=WIDTH, image_height=HEIGHT),
        outputs=(
            TensorSpec(name="score", shape=(-1, 1)),
            *((TensorSpec(name="maps", shape=(-1, 1, SIDE, SIDE)),) if maps else ()),
        ),
        threshold=Threshold(value=0.5),
        decision=Decision(pixel_thresholds=(0.5,) if maps else ()),
    )


LABELS = (("red", "#ff0000", 0.5), ("green", "#00ff00", 0.3), ("blue", "#0000ff", 0.8))


def label_model(kind: str) -> bytes:
    """A graph that gives labels: how red, green and blue an image is, or boxes of fixed places as sure as that."""
    boxes = kind == "object-detection"
    places = [[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.75, 1.0]]
    tensors = [
        numpy_helper.from_array(np.array([1, 2], np.int64), "places"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([2], np.int64), "two"),
        numpy_helper.from_array(np.array(255, np.float32), "white"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array([[0, 1, 2]], np.float32), "numbers_of_labels"),
        numpy_helper.from_array(np.array([places], np.float32), "corners"),
    ]
    shares = "scores" if boxes else "confidences"
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "white"], ["bright"]),
        helper.make_node("ReduceMean", ["bright", "places"], [shares], keepdims=0),
        helper.make_node("ReduceMax", [shares, "one"], ["score"], keepdims=1),
    ]
    outputs = [("score", ["n", 1]), (shares, ["n", 3])]
    if boxes:
        nodes += [
            helper.make_node("Mul", [shares, "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "numbers_of_labels"], ["classes"]),
            helper.make_node("Unsqueeze", ["nothing", "two"], ["nowhere"]),
            helper.make_node("Add", ["nowhere", "corners"], ["boxes"]),
        ]
        outputs += [("classes", ["n", 3]), ("boxes", ["n", 3, 4])]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def label_manifest(kind: str) -> Manifest:
    """The graph's manifest. Images are squashed, so that a box's shares are those of the image too."""
    boxes = kind == "object-detection"
    outputs = (
        (("scores", (-1, 3)), ("classes", (-1, 3)), ("boxes", (-1, 3, 4))) if boxes else (("confidences", (-1, 3)),)
    )
    return Manifest(
        kind=kind,  # type: ignore[arg-type]
        labels=tuple(Label(name=name, color=color) for name, color, _ in LABELS),
        input=InputContract(width=SIDE, height=SIDE, image_width=WIDTH, image_height=HEIGHT, any_size=True),
        outputs=(TensorSpec(name="score", shape=(-1, 1)), *(TensorSpec(name=n, shape=s) for n, s in outputs)),
        threshold=Threshold(value=0.5),
        decision=Decision(label_thresholds=tuple(threshold for *_, threshold in LABELS)),
    )


async def load_label_model(grpc: str, name: str, kind: str, **batching: Any) -> None:
    """As ``load_tiny_model``, for a model that gives labels."""
    outputs = [
        {"name": spec.name, "data_type": "TYPE_FP32", "dims": list(spec.shape[1:])}
        for spec in label_manifest(kind).outputs
    ]
    config = {
        "name": name,
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [SIDE, SIDE, 3]}],
        "output": outputs,
        "instance_group": [{"kind": "KIND_CPU", "count": 1}],
        "dynamic_batching": {"max_queue_delay_microseconds": 500, **batching},
    }
    async with InferenceServerClient(grpc) as client:
        await client.load_model(name, config=json.dumps(config), files={"file:1/model.onnx": label_model(kind)})


async def load_tiny_model(grpc: str, name: str, units: int = 1, **batching: Any) -> None:
    """What hosting does: the complete configuration and the file travel with the load request."""
    config = {
        "name": name,
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [SIDE, SIDE, 3]}],
        "output": [
            {"name": "score", "data_type": "TYPE_FP32", "dims": [1]},
            {"name": "maps", "data_type": "TYPE_FP32", "dims": [1, SIDE, SIDE]},
        ],
        "instance_group": [{"kind": "KIND_CPU", "count": units}],
        "dynamic_batching": {"max_queue_delay_microseconds": 500, **batching},
    }
    async with InferenceServerClient(grpc) as client:
        await client.load_model(name, config=json.dumps(config), files={"file:1/model.onnx": tiny_model()})


async def unload_model(grpc: str, name: str) -> None:
    """What hosting does at last with a stopped version."""
    async with InferenceServerClient(grpc) as client:
        await client.unload_model(name)


def hosted(triton_model: str, **changes: Any) -> Deployment:
    """A version as it is announced; by default ``cookies/1``, the tiny model for segmentation."""
    version = str(changes.pop("model_version", "1"))
    manifest = changes.pop("manifest", tiny_manifest())
    project = changes.pop("project", "cookies")
    return Deployment(
        account_id=ACCOUNT,
        region=REGION,
        project=project,
        model_arn=changes.pop("model_arn", f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{project}/{version}"),
        model_version=version,
        triton_model=triton_model,
        manifest=manifest.model_dump(mode="json"),
        threshold=changes.pop("threshold", ThresholdRecord(threshold_id="t1", value=0.5, created_at=datetime.now(UTC))),
        revision=1,
        changed_at=datetime.now(UTC),
        **changes,
    )


def picture(*, defect: bool, width: int = WIDTH, height: int = HEIGHT, form: str = "JPEG") -> bytes:
    """A dark part; with ``defect`` a white corner, an eighth of the image."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    if defect:
        pixels[: height // 4, : width // 2] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def painted(color: tuple[int, int, int], width: int = WIDTH, height: int = HEIGHT, form: str = "PNG") -> bytes:
    """An image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, form)
    return file.getvalue()


async def eventually(look: Callable[[], Awaitable[T | None]] | Callable[[], T | None], seconds: float = 30) -> T:
    """What ``look`` returns once it is not None; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found is not None:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


@dataclass
class Line:
    """One topic prefix with its topics, a producer, and everything that was published on ``inspections``."""

    kafka: KafkaSettings
    triton: str
    objects: ObjectStoreAddress
    logs: Path
    evidence: str = field(default_factory=lambda: f"evidence-{uuid.uuid4().hex[:8]}")
    frames: str = field(default_factory=lambda: f"frames-{uuid.uuid4().hex[:8]}")
    producer: AIOKafkaProducer = None
    inspections: list[Inspection] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    traces: dict[str, str] = field(default_factory=dict)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        await ensure_topics(self.kafka)
        for bucket in (self.evidence, self.frames):
            self.objects.client().create_bucket(Bucket=bucket)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap, acks="all", linger_ms=0)
        await self.producer.start()
        self._readers = [asyncio.create_task(read()) for read in (self._read, self._read_calls)]

    async def close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.wait(self._readers)
        await self.producer.stop()

    async def caught_up(self) -> None:
        """Wait until all that is on the topics by now has been read: what tests before this one have caused."""
        for topic, read in ((INSPECTIONS, self.inspections), (AUDIT, self.calls)):
            consumer = AIOKafkaConsumer(self.topic(topic), bootstrap_servers=self.kafka.bootstrap)
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
            await consumer.stop()
            await eventually(lambda read=read, there=sum(ends.values()): len(read) >= there or None)  # type: ignore[misc]

    async def _read(self) -> None:
        async for record in self.records(INSPECTIONS):
            event = decode_event(
                INSPECTIONS,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp,
            )
            assert isinstance(event.data, Inspection)
            assert event.id == str(event.data.inspection_id)
            self.inspections.append(event.data)
            self.traces[event.data.frame_id] = event.extensions.get("traceparent", "")

    async def _read_calls(self) -> None:
        async for record in self.records(AUDIT):
            event = decode_event(
                AUDIT, key=record.key, value=record.value, headers=record.headers, timestamp_ms=record.timestamp
            )
            assert isinstance(event.data, Call)
            assert event.id == str(event.data.record.eventID)
            self.calls.append(event.data)

    async def records(self, topic: Topic | str) -> AsyncIterator[Any]:
        """Every record of a topic from its start, without end."""
        name = self.topic(topic)
        consumer = AIOKafkaConsumer(name, bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async for record in consumer:
                yield record
        finally:
            await consumer.stop()

    def topic(self, topic: Topic | str) -> str:
        return self.kafka.topic_prefix + (topic if isinstance(topic, str) else topic.name)

    async def publish(self, topic: Topic, event: Event) -> None:
        record = encode(topic, event)
        await self.producer.send_and_wait(self.topic(topic), key=record.key, value=record.value, headers=record.headers)

    async def camera(self, camera_id: str, **policy: Any) -> Camera:
        """Register a camera."""
        camera = Camera(
            camera_id=camera_id,
            account_id=ACCOUNT,
            region=REGION,
            line_id="demo",
            station="oven",
            product="cookie",
            project="cookies",
            source=SyntheticSource(),
            policy=CameraPolicy(**policy),
        )
        await self._announce(CAMERAS, CAMERA_CHANGED, camera_id, camera)
        return camera

    async def deploy(self, key: str, triton_model: str, **changes: Any) -> Deployment:
        """Announce a hosted version under ``key``, a camera id or "model" for its own ARN."""
        deployment = hosted(triton_model, **changes)
        place = deployment.model_arn if key == "model" else key
        await self._announce(DEPLOYMENTS, DEPLOYMENT_CHANGED, place, deployment)
        return deployment

    async def withdraw(self, key: str) -> None:
        """Announce that nothing is hosted under ``key``."""
        await self.producer.send_and_wait(self.topic(DEPLOYMENTS), key=key.encode(), value=None)

    async def _announce(self, topic: Topic, kind: str, key: str, payload: Any) -> None:
        now = datetime.now(UTC)
        await self.publish(topic, Event(type=kind, source="test", id=uuid.uuid4().hex, time=now, data=payload, key=key))

    async def frame(self, camera: str | None, value: bytes | None, frame_id: str, **more: str) -> None:
        """What a plain producer sends: four headers, the camera as the key, the image as the value."""
        headers = {
            "ce_specversion": "1.0",
            "ce_id": frame_id,
            "ce_source": "plain-producer",
            "ce_type": "vigia.frame.captured.v1",
            **more,
        }
        await self.producer.send_and_wait(
            self.topic("frames"),
            key=camera.encode() if camera is not None else None,
            value=value,
            headers=[(name, text.encode()) for name, text in headers.items()],
        )

    async def inspected(self, *frame_ids: str, seconds: float = 30) -> list[Inspection]:
        """The inspections of these frames, in this order, once each has one."""

        def look() -> list[Inspection] | None:
            found = {one.frame_id: one for one in self.inspections}
            return [found[name] for name in frame_ids] if all(name in found for name in frame_ids) else None

        return await eventually(look, seconds)

    def environment(self, **more: str) -> dict[str, str]:
        given = {
            "KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "OBJECTS__ENDPOINT": self.objects.endpoint,
            "OBJECTS__REGION": self.objects.region,
            "OBJECTS__ACCESS_KEY_ID": self.objects.access_key_id,
            "OBJECTS__SECRET_ACCESS_KEY": self.objects.secret_access_key,
            "BUCKETS__EVIDENCE": self.evidence,
            "BUCKETS__FRAMES": self.frames,
            "TRITON__URLS": self.triton,
            **more,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_DETECTION_")}
        return clean | {f"VIGIA_DETECTION_{name}": value for name, value in given.items()}

    @contextmanager
    def process(self, kind: str, **settings: str) -> Iterator[Process]:
        """``vigia-detection <kind>``, ready; ended with SIGTERM, which must succeed unless it was killed."""
        side = free_port()
        log = self.logs / f"{kind}-{uuid.uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [str(Path(sys.executable).with_name("vigia-detection")), kind],
                env=self.environment(SIDE__PORT=str(side), **settings),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Process(child, f"http://127.0.0.1:{side}", log)
        try:
            running.wait_ready()
            yield running
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    code = child.wait(30)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
                    raise
                assert code == 0, log.read_text()[-3000:]


@dataclass(frozen=True)
class Process:
    """A process of detection."""

    child: subprocess.Popen[bytes]
    side: str
    log: Path

    def wait_ready(self, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while True:
            assert self.child.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            try:
                if httpx.get(f"{self.side}/ready", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 where there is none."""
        for line in httpx.get(f"{self.side}/metrics", timeout=5).text.splitlines():
            if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


@contextmanager
def serve_registry(
    policies: dict[str, str],
    sessions: dict[str, dict[str, Any]] | None = None,
    exists: Callable[[str], bool] = lambda name: False,
) -> Iterator[str]:
    """What detection asks registry for, at an address: the credential of a key, and whether a version exists, which
    Lookout names ``project/version`` and Custom Labels by its ARN."""
    app = FastAPI()

    @app.get("/internal/v1/credentials/{key}")
    async def credential(key: str, request: Request) -> Any:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if key not in policies:
            return JSONResponse({}, 404)
        answer = {
            "access_key_id": key,
            "secret_access_key": SECRET,
            "account_id": ACCOUNT,
            "principal_arn": f"arn:aws:iam::{ACCOUNT}:user/tester",
            "policies": [policies[key]],
        }
        return answer | (sessions or {}).get(key, {})

    @app.post("/internal/v1/credentials/{key}/uses", status_code=204)
    async def use(key: str) -> None:
        return None

    @app.get("/internal/v1/model-versions")
    async def model_version(arn: str, request: Request) -> Any:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return Response(status_code=204) if exists(arn) else JSONResponse({"code": "no_such_version"}, 404)

    @app.get("/2020-11-20/projects/{project}/models/{version}")
    async def describe(project: str, version: str, request: Request) -> Any:
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
        if exists(f"{project}/{version}"):
            return {}
        return JSONResponse({}, 404, headers={"x-amzn-errortype": "ResourceNotFoundException"})

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
async def tiny(triton: TritonAddress) -> str:
    """The name in Triton of the tiny model, loaded."""
    name = f"tiny-{uuid.uuid4().hex[:8]}"
    await load_tiny_model(triton.grpc, name)
    return name


@pytest.fixture(scope="module")
async def line(
    kafka: str, object_store: ObjectStoreAddress, triton: TritonAddress, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Line]:
    """A line with topics and buckets of its own."""
    settings = KafkaSettings(bootstrap=kafka, topic_prefix=f"t{uuid.uuid4().hex[:10]}.")
    one = Line(settings, triton.grpc, object_store, tmp_path_factory.mktemp("detection"))
    await one.open()
    yield one
    await one.close()


@dataclass(frozen=True)
class Kit:
    """What tests cannot import from here."""

    picture: Callable[..., bytes] = picture
    manifest: Callable[..., Manifest] = tiny_manifest
    load: Callable[..., Awaitable[None]] = load_tiny_model
    unload: Callable[..., Awaitable[None]] = unload_model
    painted: Callable[..., bytes] = painted
    label_manifest: Callable[..., Manifest] = label_manifest
    load_labels: Callable[..., Awaitable[None]] = load_label_model
    registry: Callable[..., AbstractContextManager[str]] = serve_registry
    hosted: Callable[..., Deployment] = hosted
    eventually: Callable[..., Awaitable[Any]] = eventually
    free_port: Callable[[], int] = free_port
    width: int = WIDTH
    height: int = HEIGHT
    account: str = ACCOUNT
    region: str = REGION
    secret: str = SECRET
    token: str = TOKEN


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Helpers."""
    return Kit()
