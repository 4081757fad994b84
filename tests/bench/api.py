"""DetectAnomalies through the gateway, signed, as an SDK sends it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figures import Figure, Report, quantile
from tests.line import Line
from vigia_vision.artifact import Artifact
from vigia_vision.session import Session

CALLERS = 4
CALLS = 300


def measure(report: Report, line: Line, project: str, artifact: Artifact, images: Sequence[bytes]) -> None:
    """Rate and latency with four callers; beside it the model alone in one process, image after image."""

    def call(number: int) -> float:
        began = time.monotonic()
        line.lookout.detect_anomalies(
            ProjectName=project, ModelVersion="1", ContentType="image/jpeg", Body=images[number % len(images)]
        )
        return (time.monotonic() - began) * 1000

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(40)))
        began = time.monotonic()
        taken = list(pool.map(call, range(CALLS)))
        rate = CALLS / (time.monotonic() - began)
    session = Session(artifact)
    began = time.monotonic()
    for number in range(100):
        session.inspect(images[number % len(images)])
    alone = 100 / (time.monotonic() - began)
    report.add(Figure(f"DetectAnomalies, {CALLERS} callers", rate, "requests/s", alone, "images/s in process"))
    report.add(Figure("DetectAnomalies, median", quantile(taken, 0.5), "ms", 1000 / alone, "ms in process"))
    report.add(Figure("DetectAnomalies, p99", quantile(taken, 0.99), "ms", 1000 / alone, "ms in process"))
