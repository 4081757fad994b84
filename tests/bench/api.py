"""DetectAnomalies through the gateway, signed, as an SDK sends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.caller import Callers, signed
from tests.bench.figures import Figure, Report, quantile
from tests.line import Line
from vigia_stack.parts.objects import ObjectsPart
from vigia_vision.artifact import Artifact
from vigia_vision.session import Session

CALLERS = 8
RATE = 20.0
SECONDS = 15.0
SDK_CALLS = 100


def measure(report: Report, line: Line, project: str, artifact: Artifact, images: Sequence[bytes]) -> None:
    """Highest rate, latency at 20 requests a second, and an SDK's; beside them the model alone in one process."""
    session = Session(artifact)
    began = time.monotonic()
    for number in range(100):
        session.inspect(images[number % len(images)])
    alone = 100 / (time.monotonic() - began)

    requests = signed(line.url, line.stack.part(ObjectsPart).store, project, images)
    rate, steady = asyncio.run(_measure(line.url, requests))
    report.add(
        Figure(f"DetectAnomalies, {CALLERS} callers", rate, "requests/s", alone, "images/s in process", "≥ 65/s")
    )
    report.add(_latency(f"DetectAnomalies at {RATE:.0f}/s, median", quantile(steady, 0.5), alone))
    report.add(_latency(f"DetectAnomalies at {RATE:.0f}/s, p99", quantile(steady, 0.99), alone, "≤ 60 ms"))

    def call(number: int) -> float:
        began = time.monotonic()
        line.lookout.detect_anomalies(
            ProjectName=project, ModelVersion="1", ContentType="image/jpeg", Body=images[number % len(images)]
        )
        return (time.monotonic() - began) * 1000

    with ThreadPoolExecutor(1) as pool:
        taken = list(pool.map(call, range(SDK_CALLS)))
    report.add(_latency("DetectAnomalies by boto3, one after the other, median", quantile(taken, 0.5), alone))


async def _measure(url: str, requests: Sequence[bytes]) -> tuple[float, list[float]]:
    callers = Callers(url)
    await callers.in_turns(requests, CALLERS, 3.0)  # does not count
    _, rate = await callers.in_turns(requests, CALLERS, SECONDS)
    return rate, await callers.at_rate(requests, RATE, SECONDS)


def _latency(name: str, milliseconds: float, alone: float, goal: str = "") -> Figure:
    return Figure(name, milliseconds, "ms", 1000 / alone, "ms in process", goal)
