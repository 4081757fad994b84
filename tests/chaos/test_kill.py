"""Any one process is killed while frames flow: none is lost, none is doubled, none is judged wrongly."""

from __future__ import annotations

import os
import signal
import uuid
from collections import Counter

import pytest

from tests.conftest import PROJECT
from tests.e2e import tiny
from tests.line import Frame, Line, until

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(420)]

FRAMES = 2000
#: What the machine sustains beside everything else, so that the kill falls into the flow and not into a backlog.
PER_SECOND = 150.0
VICTIMS = (
    "detection-worker",
    "aggregator-worker",
    "registry-http",
    "registry-worker",
    "registry-hosting",
    "triton",
    "kafka",
    "postgres",
)


def frames() -> list[Frame]:
    """Every tenth part is bright, which the model calls anomalous."""
    images = {True: [tiny.image(200, s) for s in range(5)], False: [tiny.image(60, s) for s in range(5)]}
    return [Frame(f"part-{n}", images[n % 10 == 0][n % 5], "REJECT" if n % 10 == 0 else "PASS") for n in range(FRAMES)]


@pytest.mark.parametrize("victim", VICTIMS)
async def test_kill(line: Line, victim: str) -> None:
    camera = f"chaos-{victim}"
    source = f"/chaos/{victim}/{uuid.uuid4().hex[:6]}"
    await line.add_camera(camera, PROJECT)
    restarts = line.stack.status(victim).restarts
    sent = frames()

    await line.publish(
        camera,
        sent,
        source=source,
        per_second=PER_SECOND,
        at={FRAMES // 3: lambda: os.kill(line.pid(victim), signal.SIGKILL)},
    )

    until(f"{FRAMES} rows", lambda: line.count(source) >= FRAMES, within=180)
    rows = line.rows(source)
    assert Counter(row["frame_id"] for row in rows) == Counter(frame.frame_id for frame in sent)
    by_frame = {row["frame_id"]: row for row in rows}
    wrong = Counter(
        (f.verdict, row["verdict"], row["cause"], row["detail"])
        for f in sent
        if (row := by_frame[f.frame_id])["verdict"] != f.verdict
    )
    assert wrong == Counter()
    assert line.stack.status(victim).restarts > restarts, f"{victim} was not killed"
    until(f"{victim} is ready again", lambda: line.ready(victim), within=120)
    # What dashboards show is what was really written.
    totals = line.select(
        "select verdict, sum(inspections)::int from inspection.rollups "
        "where resolution = 'total' and camera_id = %s group by verdict",
        [camera],
    )
    rows_by_verdict = line.select(
        "select verdict, count(*)::int from inspection.inspections where camera_id = %s group by verdict", [camera]
    )
    assert dict(totals) == dict(rows_by_verdict)
