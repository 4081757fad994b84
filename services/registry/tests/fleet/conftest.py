"""A migrated database, an artifact bucket, and model versions small enough to load in a second."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import boto3
import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import insert, select

from vigia_contracts import topics
from vigia_contracts.base import ObjectRef
from vigia_contracts.events import Event, decode
from vigia_registry import migrate, schema
from vigia_registry.bootstrap import Deps, open_deps
from vigia_registry.entrypoints.http import build
from vigia_registry.hosting.settings import HostingSettings, ScalingSettings
from vigia_registry.identity import service as identity
from vigia_registry.identity.domain import Owner, Vault
from vigia_registry.settings import Settings
from vigia_vision import Artifact, Manifest
from vigia_vision.artifact import MANIFEST_FILE, npy
from vigia_vision.manifest import Golden, InputContract, TensorSpec, Threshold

from .calls import BASE, Aws

OWNER = Owner("123456789012", "us-east-1")
SECRET_KEY = "k" * 32
KEY_ID, SECRET = "AKIAFLEETTESTS000001", "fleet-secret"


def graph(scale: float, work: int = 0) -> bytes:
    """An ONNX graph: uint8 image in, its mean brightness times ``scale`` out, as ``score``.

    ``work`` products of matrices, a fifth of a millisecond each, are made for every run and change nothing.
    """
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["mean"], keepdims=0),
        helper.make_node("ReduceMax", ["mean"], ["most"], keepdims=0),
        helper.make_node("Mul", ["eye", "most"], ["work0"]),
        *(helper.make_node("MatMul", [f"work{step}", "eye"], [f"work{step + 1}"]) for step in range(work)),
        helper.make_node("ReduceMean", [f"work{work}"], ["worked"], keepdims=0),
        helper.make_node("Mul", ["worked", "nothing"], ["zero"]),
        helper.make_node("Add", ["mean", "zero"], ["same"]),
        helper.make_node("Mul", ["same", "factor"], ["scores"]),
        helper.make_node("Unsqueeze", ["scores", "one"], ["score"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.array(scale / 255, np.float32), "factor"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.eye(256 if work else 1, dtype=np.float32), "eye"),
        numpy_helper.from_array(np.array(0, np.float32), "nothing"),
    ]
    body = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])],
        constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def build_artifact(
    *, scale: float = 1.0, answer: float | None = None, model: bytes | None = None, work: int = 0
) -> Artifact:
    """An artifact with one golden sample of brightness 0.2; ``answer`` replaces what is right, ``model`` the graph."""
    image = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 51, np.uint8)).save(image, "PNG")
    manifest = Manifest(
        kind="anomaly-classification",
        input=InputContract(width=8, height=8, image_width=8, image_height=8),
        outputs=(TensorSpec(name="score", shape=(-1, 1)),),
        threshold=Threshold(value=0.5),
        golden=(Golden(file="golden/a.png", outputs={"score": "golden/a.npy"}, is_anomalous=False),),
        provenance={"id": str(uuid4())},
    )
    files = {
        "model.onnx": graph(scale, work) if model is None else model,
        "golden/a.png": image.getvalue(),
        "golden/a.npy": npy(np.array([0.2 * scale if answer is None else answer], np.float32)),
    }
    return Artifact.build(manifest, files)


@dataclass
class Fleet:
    """The registry's database as a test fills it and looks at it."""

    deps: Deps
    bucket: str
    projects: dict[str, UUID] = field(default_factory=dict)

    async def project(self, name: str = "cookies") -> UUID:
        """The project of that name, created if need be."""
        if name not in self.projects:
            self.projects[name] = uuid4()
            row = {
                "id": self.projects[name],
                "account_id": OWNER.account_id,
                "region": OWNER.region,
                "name": name,
                "arn": f"arn:aws:lookoutvision:{OWNER.region}:{OWNER.account_id}:project/{name}",
                "state": "ACTIVE",
            }
            async with self.deps.database.transaction() as session:
                await session.execute(insert(schema.projects.projects).values(row))
        return self.projects[name]

    async def version(self, number: int, artifact: Artifact | None = None, project: str = "cookies") -> UUID:
        """A trained version; with ``artifact``, that one lies in the object store."""
        project_id, version_id = await self.project(project), uuid4()
        artifact = artifact or build_artifact()
        ref = await self.store(artifact)
        row: dict[str, Any] = {
            "id": version_id,
            "arn": arn(number, project),
            "project_id": project_id,
            "account_id": OWNER.account_id,
            "region": OWNER.region,
            "version": number,
            "state": "TRAINED",
            "output": {"bucket": "b", "prefix": ""},
            "training_manifest": {"bucket": "b", "key": "k"},
            "artifact": ref.model_dump(mode="json"),
            "manifest": artifact.manifest.model_dump(mode="json"),
        }
        async with self.deps.database.transaction() as session:
            await session.execute(insert(schema.models.model_versions).values(row))
        return version_id

    async def store(self, artifact: Artifact) -> ObjectRef:
        """Write the artifact; without an object store, only its reference is made."""
        folder = f"a/{artifact.folder}/"
        if self.bucket:
            for name, content in artifact.all_files().items():
                await self.deps.objects.put(self.bucket, folder + name, content)
        digest = hashlib.sha256(artifact.manifest_bytes).hexdigest()
        return ObjectRef(bucket=self.bucket or "none", key=folder + MANIFEST_FILE, sha256=digest)

    async def take(self, topic: topics.Topic) -> list[tuple[str, Event | None]]:
        """What was announced on ``topic`` since the last call, in order: key, and event or None for a tombstone."""
        outbox = schema.outbox
        async with self.deps.database.transaction() as session:
            rows = (
                await session.execute(select(outbox).where(outbox.c.topic == topic.name).order_by(outbox.c.id))
            ).all()
            await session.execute(outbox.delete().where(outbox.c.topic == topic.name))
        return [
            (
                row.key.decode(),
                None
                if row.value is None
                else decode(
                    topic,
                    key=row.key,
                    value=row.value,
                    headers=[(name, value.encode()) for name, value in row.headers],
                    timestamp_ms=0,
                ),
            )
            for row in rows
        ]


def arn(number: int, project: str = "cookies") -> str:
    return f"arn:aws:lookoutvision:{OWNER.region}:{OWNER.account_id}:model/{project}/{number}"


async def wait_for(condition: Callable[[], Awaitable[Any]], within: float = 30.0) -> Any:
    """The first true answer of ``condition``; AssertionError with the last one after ``within`` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = await condition()
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"not within {within} s, last: {answer!r}"
        await asyncio.sleep(0.05)


def settings_for(url: str, store: Any = None, tritons: tuple[str, ...] = ()) -> Settings:
    """Settings of a process on this database; without a store or Kafka where a test needs none."""
    return Settings.model_validate(
        {
            "kafka": {"bootstrap": "127.0.0.1:1"},
            "postgres": {"url": SecretStr(url)},
            "objects": {
                "endpoint": store.endpoint if store else "http://127.0.0.1:1",
                "region": store.region if store else "us-east-1",
                "access_key_id": store.access_key_id if store else "none",
                "secret_access_key": store.secret_access_key if store else "none",
            },
            "triton": {"urls": tritons} if tritons else None,
            "hosting": HostingSettings(
                namespace=f"t{uuid4().hex[:8]}",
                drain_seconds=0.5,
                drain_limit_seconds=2,
                probe_seconds=0.5,
                lost_seconds=3,
                load_seconds=30,
            ),
            "scaling": ScalingSettings(window_seconds=0.5, queue_seconds=0.01, in_windows=4),
            "secret_key": SECRET_KEY,
            "internal_token": "t" * 16,
        }
    )


@pytest.fixture
def make_artifact() -> Callable[..., Artifact]:
    """See ``build_artifact``."""
    return build_artifact


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """See ``wait_for``."""
    return wait_for


@pytest.fixture
async def fleet(postgres_url: str) -> AsyncIterator[Fleet]:
    """A migrated database with one account and its key; no object store, no Triton."""
    await asyncio.to_thread(migrate.upgrade, postgres_url)
    async with open_deps(settings_for(postgres_url)) as deps:
        await _account(deps)
        yield Fleet(deps, "")


@pytest.fixture
async def hosting_fleet(postgres_url: str, object_store: Any) -> AsyncIterator[Fleet]:
    """As ``fleet``, with a bucket for artifacts."""
    await asyncio.to_thread(migrate.upgrade, postgres_url)
    bucket = f"fleet-{uuid4().hex[:8]}"
    client = boto3.client(
        "s3",
        endpoint_url=object_store.endpoint,
        region_name=object_store.region,
        aws_access_key_id=object_store.access_key_id,
        aws_secret_access_key=object_store.secret_access_key,
    )
    await asyncio.to_thread(client.create_bucket, Bucket=bucket)
    async with open_deps(settings_for(postgres_url, object_store)) as deps:
        await _account(deps)
        yield Fleet(deps, bucket)


async def _account(deps: Deps) -> None:
    async with deps.database.transaction() as session:
        await identity.put_admin(session, Vault(SECRET_KEY), OWNER.account_id, KEY_ID, SECRET)


@pytest.fixture
async def aws(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build(fleet.deps), client=("10.1.2.3", 5))
    headers = {"User-Agent": "Boto3/test"}
    async with httpx.AsyncClient(transport=transport, base_url=BASE, auth=Aws(), headers=headers) as client:
        yield client
