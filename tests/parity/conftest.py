"""Models in a real Triton, brought there as hosting brings them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

# Threads that wait for each other sleep instead of spinning; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from vigia_contracts.base import ObjectRef
from vigia_registry.hosting.domain import triton_name
from vigia_registry.hosting.replica import Order, Replica
from vigia_registry.hosting.replica_plan import Wanted
from vigia_registry.hosting.settings import HostingSettings, ServingSettings
from vigia_registry.hosting.triton import Triton
from vigia_registry.hosting.versions import ReplicaReport, Report
from vigia_runtime.objects import ObjectStore
from vigia_runtime.settings import ObjectSettings
from vigia_stack.parts.objects import ObjectStoreAddress
from vigia_stack.parts.triton import TritonAddress
from vigia_vision import Artifact
from vigia_vision.artifact import MANIFEST_FILE

NAMESPACE = f"parity{uuid.uuid4().hex[:8]}"


@dataclass
class Hosting:
    """One Triton's loop of the hosting process, without the database that tells it what to hold."""

    replica: Replica
    bucket: str

    async def host(self, artifact: Artifact) -> tuple[str, ReplicaReport]:
        """The version's name in Triton, and what hosting says once it is ready or has failed."""
        folder = f"{artifact.folder}/"
        for file, content in artifact.all_files().items():
            await self.replica.objects.put(self.bucket, folder + file, content)
        ref = ObjectRef(bucket=self.bucket, key=folder + MANIFEST_FILE, sha256=artifact.digest)
        name = triton_name(NAMESPACE, "plates", 1, artifact.digest, artifact.digest)
        order = Order(Wanted(1), ref, artifact.manifest.model_dump(mode="json"), generation=1)
        self.replica.obey({**(self.replica.orders or {}), name: order})
        async with asyncio.timeout(60):
            while (report := self.replica.report(name)).report not in (Report.READY, Report.FAILED):
                await self.replica.round()
        return name, report

    async def probe_again(self, name: str) -> ReplicaReport:
        """What hosting says after another inference of the version's golden sample."""
        before = (await self.replica.triton.loaded())[name].answered
        async with asyncio.timeout(30):
            while (await self.replica.triton.loaded())[name].answered == before:
                await self.replica.round()
        return self.replica.report(name)


@pytest.fixture(scope="module")
async def hosting(triton: TritonAddress, object_store: ObjectStoreAddress) -> AsyncIterator[Hosting]:
    """Hosting of one Triton; what it loaded is unloaded at the end."""
    bucket = f"parity-{uuid.uuid4().hex[:8]}"
    object_store.client().create_bucket(Bucket=bucket)
    objects = ObjectStore(
        ObjectSettings.model_validate(
            {
                "endpoint": object_store.endpoint,
                "region": object_store.region,
                "access_key_id": object_store.access_key_id,
                "secret_access_key": object_store.secret_access_key,
            }
        )
    )
    client = Triton(triton.grpc)
    settings = HostingSettings(namespace=NAMESPACE, probe_seconds=0.01)
    running = Hosting(Replica(client, objects, asyncio.Semaphore(1), settings, ServingSettings()), bucket)
    yield running
    running.replica.obey({})
    while await running.replica.round():
        pass
    await client.close()
