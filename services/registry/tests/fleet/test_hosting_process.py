"""``vigia-registry hosting`` as it is run: killed in the middle of a load, started again, told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vigia_contracts.topics import DEPLOYMENTS
from vigia_registry.hosting import service
from vigia_registry.hosting.domain import Observed
from vigia_registry.hosting.triton import Triton
from vigia_stack.parts.triton import TritonAddress

COMMAND = [str(Path(sys.executable).with_name("vigia-registry")), "hosting"]


@pytest.fixture
def run_hosting(hosting_fleet: Any, triton: TritonAddress) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts the process; those still running at the end are killed."""
    settings = hosting_fleet.deps.settings
    values = {
        "KAFKA__BOOTSTRAP": "127.0.0.1:1",  # announcements wait in the outbox: hosting needs no broker
        "POSTGRES__URL": settings.postgres.url.get_secret_value(),
        "OBJECTS__ENDPOINT": settings.objects.endpoint,
        "OBJECTS__REGION": settings.objects.region,
        "OBJECTS__ACCESS_KEY_ID": settings.objects.access_key_id,
        "OBJECTS__SECRET_ACCESS_KEY": settings.objects.secret_access_key.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "INTERNAL_TOKEN": settings.internal_token.get_secret_value(),
        "TRITON__URLS": triton.grpc,
        "HOSTING__NAMESPACE": settings.hosting.namespace,
        "SIDE__PORT": "0",
    }
    environment = {**os.environ, **{f"VIGIA_REGISTRY_{name}": value for name, value in values.items()}}
    started: list[subprocess.Popen[bytes]] = []

    def run() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(COMMAND, env=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


async def test_a_load_survives_kill_9_and_what_serves_survives_the_end(
    run_hosting: Callable[[], subprocess.Popen[bytes]],
    hosting_fleet: Any,
    triton: TritonAddress,
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    version = await hosting_fleet.version(1)

    async def observed() -> Observed:
        async with hosting_fleet.deps.database.transaction() as session:
            return (await service.view(session, version)).observed

    async def is_loading() -> bool:
        return await observed() is Observed.LOADING

    async def is_serving() -> bool:
        return await observed() is Observed.SERVING

    async with hosting_fleet.deps.database.transaction() as session:
        await service.request_start(session, version, 1)
    first = run_hosting()
    await eventually(is_loading)
    first.kill()
    first.wait()
    second = run_hosting()
    await eventually(is_serving)
    second.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait, 15) == 0
    client = Triton(triton.grpc)
    try:
        [(_, event)] = await hosting_fleet.take(DEPLOYMENTS)
        assert event.data.triton_model in await client.loaded()
        await client.unload(event.data.triton_model, 30)
    finally:
        await client.close()
