"""The process as it is run: ready when its parts answer, secrets never printed, an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import httpx

from vigia_contracts.cameras import RtspSource, SyntheticSource

from .conftest import Plant, camera, until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_worker_runs_tells_no_secret_and_ends_in_order(plant: Plant) -> None:
    side, http = free_port(), free_port()
    settings = {
        "KAFKA__BOOTSTRAP": plant.settings.bootstrap,
        "KAFKA__TOPIC_PREFIX": plant.settings.topic_prefix,
        "OBJECTS__ENDPOINT": "http://127.0.0.1:9",
        "OBJECTS__ACCESS_KEY_ID": "k",
        "OBJECTS__SECRET_ACCESS_KEY": "s",
        "REGISTRY__URL": "http://127.0.0.1:9",
        "REGISTRY__TOKEN": "t",
        "HTTP__PORT": str(http),
        "SIDE__PORT": str(side),
    }
    environment = os.environ | {f"VIGIA_INGESTION_{name}": value for name, value in settings.items()}
    await plant.announce(camera(SyntheticSource(width=64, height=48), "line", frames_per_second=20))
    await plant.announce(camera(RtspSource(url="rtsp://user:hunter2@127.0.0.1:9/x"), "gone"))
    command = "from vigia_ingestion.entrypoints.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, "worker", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        await until(lambda: len(plant.frames) >= 10 and plant.faults, 40)
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"http://127.0.0.1:{side}/ready")
            told = (await client.get(f"http://127.0.0.1:{side}/metrics")).text
            closed = await client.post(f"http://127.0.0.1:{http}/api/v1/frames/line", content=b"x")
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, log.decode()
    assert ready.status_code == 200, ready.text
    assert closed.status_code in {401, 403}
    assert 'vigia_frames_total{camera="line",outcome="published",service="ingestion"}' in told
    assert 'vigia_camera_reconnects_total{camera="gone",reason="refused"}' in told
    assert b"hunter2" not in log
    assert "hunter2" not in str(plant.faults)
    # The blind camera's fault is closed by the orderly end.
    await until(lambda: len(plant.faults) >= 2)
    assert plant.faults[-1].ended_at is not None
