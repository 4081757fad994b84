"""The ingestion process: this replica's cameras, and the push door for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from vigia_ingestion.bootstrap import build
from vigia_ingestion.entrypoints.http import push_app
from vigia_ingestion.settings import Settings
from vigia_runtime.http import serve
from vigia_runtime.lifecycle import Lifecycle


async def work(lifecycle: Lifecycle, settings: Settings) -> None:
    """Run until told to stop; cameras stop first, then the door, then the producer."""
    parts = build(settings, lifecycle.health)
    await parts.producer.start()
    lifecycle.health.probe("kafka", parts.producer.probe)
    lifecycle.spawn("camera failure", _first_of(parts.supervisor.failure(), lifecycle))
    table = lifecycle.spawn("camera table", parts.table.run(lifecycle.stopping))
    door = lifecycle.spawn(
        "push door",
        serve(push_app(parts.door, parts.authenticator, settings.http.max_body_bytes), settings.http, lifecycle),
    )
    try:
        await parts.assignment.run(lifecycle.stopping)
    finally:
        lifecycle.stop()
        await asyncio.wait({table, door}, timeout=lifecycle.remaining())
        await parts.producer.stop()


async def _first_of(failure: Coroutine[Any, Any, None], lifecycle: Lifecycle) -> None:
    """Wait for a camera's failure, no longer than the process lives."""
    watched, stopping = asyncio.ensure_future(failure), asyncio.ensure_future(lifecycle.stopping.wait())
    done, waiting = await asyncio.wait({watched, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if watched in done:
        watched.result()
