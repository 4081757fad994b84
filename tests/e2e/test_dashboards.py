"""Every query of every dashboard runs against the real Prometheus and the real Postgres of a line at work."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bench import classifier
from tests.conftest import PROJECT
from tests.e2e import tiny
from tests.line import Frame, Line, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BOARDS = sorted((Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "out").glob("*.json"))
#: What Grafana puts in for its variables.
VARIABLES = {"$line": ".*", "$__range": "30m"}
#: Panels that a line in order leaves empty: what they show has not happened.
MAY_BE_EMPTY = {
    "Reconnects in five minutes",
    "Blind and lost",
    "Frames dropped or refused",
    "Not judged, by cause",
    "Dead letters",
    "Requests a second",
    "Inference queue",
    "Refused because too many came",
}


def queries(key: str) -> Iterator[tuple[str, str]]:
    """(panel, query) of every target that has ``key``."""
    for path in BOARDS:
        board = json.loads(path.read_text())
        for panel in [p for top in board["panels"] for p in (top, *top.get("panels", []))]:
            for target in panel.get("targets", []):
                if key in target:
                    yield panel["title"], target[key]


@pytest.fixture(scope="module")
async def busy(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The line after some parts of every kind, and some images that were labelled."""
    camera, source = f"board-{uuid.uuid4().hex[:6]}", f"/board/{uuid.uuid4().hex[:6]}"
    await line.add_camera(camera, PROJECT)
    frames = [Frame(str(n), tiny.image(200 if n % 5 == 0 else 60), "") for n in range(40)]
    frames.append(Frame("bad", b"no image", "INVALID"))
    await line.publish(camera, frames, source=source, per_second=10, at={})
    for number in range(4):
        image = tiny.image(200 if number else 60)
        line.lookout.detect_anomalies(ProjectName=PROJECT, ModelVersion="1", ContentType="image/jpeg", Body=image)
    labels = classifier.artifact(tmp_path_factory.mktemp("labels"))
    arn = await asyncio.to_thread(line.host_labels, "light", labels)
    for number in range(4):
        image = {"Bytes": tiny.image(200 if number else 60)}
        line.labels.detect_custom_labels(ProjectVersionArn=arn, Image=image)
    until("all have an outcome", lambda: line.count(source) == len(frames))
    until("Prometheus has them", lambda: instant(line, f'vigia_inspections_total{{camera="{camera}"}}') or None)
    return line


def instant(line: Line, query: str) -> list[dict[str, Any]]:
    """The result of an instant query."""
    answer = httpx.get(f"{line.prometheus}/api/v1/query", params={"query": query}).raise_for_status().json()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


@pytest.mark.parametrize(("panel", "query"), list(queries("expr")))
def test_prometheus_answers(busy: Line, panel: str, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)

    def shown() -> list[dict[str, Any]]:
        now = time.time()
        parameters: dict[str, Any] = {"query": query, "start": now - 60, "end": now, "step": 5}
        answer = httpx.get(f"{busy.prometheus}/api/v1/query_range", params=parameters)
        assert answer.status_code == 200, f"{panel}: {answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    if shown() or panel in MAY_BE_EMPTY:
        return
    # Some things are measured once a minute.
    until(f"{panel} shows something", shown, within=120, every=1)


@pytest.mark.parametrize(("panel", "query"), list(queries("rawSql")))
def test_postgres_answers(busy: Line, panel: str, query: str) -> None:
    statement = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - interval '30 minutes'", query)
    rows = busy.select(statement)
    if panel not in MAY_BE_EMPTY:
        assert rows, f"{panel} is empty"
