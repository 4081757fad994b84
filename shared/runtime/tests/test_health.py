"""Live is progress, ready is answers, and both are told from outside the event loop."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from vigia_runtime.errors import Transient, Unavailable
from vigia_runtime.health import Health
from vigia_runtime.settings import SideSettings
from vigia_runtime.side import SideServer


def ask(port: int, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  any condition, not an event
            await asyncio.sleep(0.01)


@pytest.fixture
def side() -> Iterator[tuple[Health, int]]:
    health = Health("test")
    server = SideServer(SideSettings(port=0), health)
    server.start()
    yield health, server.port
    health.close()
    server.close()


def test_live_while_loops_tick(side: tuple[Health, int]) -> None:
    health, port = side
    beat = health.heartbeat("loop", 0.2)
    status, body = ask(port, "/live")
    assert (status, body["status"]) == (200, "ok")
    deadline = time.monotonic() + 5
    while ask(port, "/live")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.02)
    status, body = ask(port, "/live")
    components = body["components"]
    assert isinstance(components, dict)
    assert status == 503
    assert components["loop"]["code"] == "no_tick"
    assert components["loop"]["age"] > 0.2
    beat.tick()
    assert ask(port, "/live")[0] == 200


async def test_a_blocked_event_loop_is_reported_by_the_side_door(side: tuple[Health, int]) -> None:
    health, port = side
    beat = health.heartbeat("event loop", 0.2)
    answers: list[int] = []

    def watch() -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and 503 not in answers:
            answers.append(ask(port, "/live")[0])
            time.sleep(0.02)

    watcher = asyncio.get_running_loop().run_in_executor(None, watch)
    beat.tick()
    time.sleep(0.6)  # noqa: ASYNC251  blocking the loop is what is tested
    await watcher
    assert answers[0] == 200
    assert answers[-1] == 503


async def test_ready_follows_the_probes_and_names_the_code(side: tuple[Health, int]) -> None:
    health, port = side
    fault: Exception | None = Unavailable("no_model", "nothing serves")

    async def probe() -> None:
        if fault is not None:
            raise fault

    status, body = ask(port, "/ready")
    assert status == 503, "a process that has not said what it needs is starting"
    assert "starting" in str(body)
    health.probe("triton", probe, every_seconds=0.05)
    status, _ = await asyncio.to_thread(ask, port, "/ready")
    assert status == 503
    await until(lambda: health.ready()[1]["triton"]["code"] == "no_model")
    fault = Transient("gone")
    await until(lambda: health.ready()[1]["triton"]["code"] == "Transient")
    assert health.live()[0]
    fault = None
    await until(lambda: health.ready()[0])
    health.stopping = True
    assert not health.ready()[0]


async def test_a_probe_that_hangs_fails(side: tuple[Health, int]) -> None:
    health, _ = side

    async def probe() -> None:
        await asyncio.Event().wait()

    health.probe("database", probe, every_seconds=0.1)
    await until(lambda: health.ready()[1]["database"]["code"] == "timeout")


def test_metrics_and_unknown_paths(side: tuple[Health, int]) -> None:
    _, port = side
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"# HELP vigia_frames_total" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/../etc/passwd", timeout=5)
    assert caught.value.code == 404
