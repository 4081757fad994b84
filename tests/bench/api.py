"""DetectAnomalies and DetectCustomLabels through the gateway, signed, as an SDK sends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.bench.caller import Callers, signed, signed_labels
from tests.bench.figures import Figure, Report, quantile
from tests.line import Line
from vigia_stack.parts.objects import ObjectsPart
from vigia_vision.artifact import Artifact
from vigia_vision.session import Session

CALLERS = 8
RATE = 20.0
SECONDS = 15.0
SDK_CALLS = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Highest rate (requests/s), and latency (ms) at 20 requests a second."""

    rate: float
    median: float
    p99: float


def measure(report: Report, line: Line, project: str, artifact: Artifact, images: Sequence[bytes]) -> Measured:
    """Highest rate, latency at 20 requests a second, and an SDK's; beside them the model alone in one process."""
    session = Session(artifact)
    alone = _alone(session.inspect, images)
    found = asyncio.run(_measure(line.url, signed(line.url, line.stack.part(ObjectsPart).store, project, images)))
    report.add(
        Figure(f"DetectAnomalies, {CALLERS} callers", found.rate, "requests/s", alone, "images/s in process", "≥ 65/s")
    )
    report.add(_latency(f"DetectAnomalies at {RATE:.0f}/s, median", found.median, alone))
    report.add(_latency(f"DetectAnomalies at {RATE:.0f}/s, p99", found.p99, alone, "≤ 60 ms"))

    def call(number: int) -> float:
        began = time.monotonic()
        line.lookout.detect_anomalies(
            ProjectName=project, ModelVersion="1", ContentType="image/jpeg", Body=images[number % len(images)]
        )
        return (time.monotonic() - began) * 1000

    with ThreadPoolExecutor(1) as pool:
        taken = list(pool.map(call, range(SDK_CALLS)))
    report.add(_latency("DetectAnomalies by boto3, one after the other, median", quantile(taken, 0.5), alone))
    return found


def measure_labels(
    report: Report, line: Line, arn: str, artifact: Artifact, images: Sequence[bytes], beside: Measured
) -> None:
    """The same of DetectCustomLabels on a classifier; beside it the classifier alone, and DetectAnomalies."""
    alone = _alone(Session(artifact).find, images)
    requests = signed_labels(line.url, line.stack.part(ObjectsPart).store, arn, images)
    found = asyncio.run(_measure(line.url, requests))
    name = f"DetectCustomLabels, {CALLERS} callers"
    report.add(Figure(name, found.rate, "requests/s", alone, "images/s in process"))
    report.add(Figure(f"{name}, beside", found.rate, "requests/s", beside.rate, "requests/s DetectAnomalies"))
    for what, value, other in (("median", found.median, beside.median), ("p99", found.p99, beside.p99)):
        name = f"DetectCustomLabels at {RATE:.0f}/s, {what}"
        report.add(Figure(name, value, "ms", other, "ms DetectAnomalies"))


def _alone(run: Callable[[bytes], object], images: Sequence[bytes]) -> float:
    """Images a second in this process, decoding included."""
    began = time.monotonic()
    for number in range(100):
        run(images[number % len(images)])
    return 100 / (time.monotonic() - began)


async def _measure(url: str, requests: Sequence[bytes]) -> Measured:
    callers = Callers(url)
    await callers.in_turns(requests, CALLERS, 3.0)  # does not count
    _, rate = await callers.in_turns(requests, CALLERS, SECONDS)
    steady = await callers.at_rate(requests, RATE, SECONDS)
    return Measured(rate, quantile(steady, 0.5), quantile(steady, 0.99))


def _latency(name: str, milliseconds: float, alone: float, goal: str = "") -> Figure:
    return Figure(name, milliseconds, "ms", 1000 / alone, "ms in process", goal)
