"""Whatever is published as a frame ends in one counted outcome, and harms nothing else."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.conftest import PROJECT
from tests.e2e import tiny
from tests.line import Frame, Line, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def invalid_total(line: Line, camera: str) -> float:
    """INVALID inspections of a camera, as Prometheus counts them."""
    query = {"query": f'sum(vigia_inspections_total{{camera="{camera}",verdict="INVALID"}})'}
    result = httpx.get(f"{line.prometheus}/api/v1/query", params=query).json()["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def invalid_rows(line: Line, camera: str) -> int:
    """INVALID inspections of a camera, as rows."""
    statement = "select count(*)::int from inspection.inspections where camera_id = %s and verdict = 'INVALID'"
    return int(line.select(statement, [camera])[0][0])


async def test_what_is_no_good_frame_is_invalid_with_its_cause(line: Line) -> None:
    source = f"/bad/{uuid.uuid4().hex[:6]}"
    camera = f"bad-{uuid.uuid4().hex[:6]}"
    await line.add_camera(camera, PROJECT)
    good = tiny.image(60)
    bad = {
        "truncated": (good[: len(good) // 2], "undecodable"),
        "empty": (b"", "undecodable"),
        "wide": (tiny.png(60_000, 2), "too_large"),
        "text": (b"this is not an image", "undecodable"),
        "size": (tiny.png(tiny.WIDTH, tiny.HEIGHT + 1), "wrong_size"),
    }
    sent = [Frame(name, value, "INVALID") for name, (value, _) in bad.items()]
    before = invalid_rows(line, camera)
    await line.publish(camera, [*sent, Frame("good", good, "PASS")], source=source, per_second=50, at={})
    await line.publish("nobody", [Frame("stranger", good, "INVALID")], source=source, per_second=50, at={})

    until("all have an outcome", lambda: line.count(source) == len(bad) + 2)
    found = {row["frame_id"]: (row["verdict"], row["cause"]) for row in line.rows(source)}
    assert found == {
        **{name: ("INVALID", cause) for name, (_, cause) in bad.items()},
        "good": ("PASS", None),
        "stranger": ("INVALID", "unknown_camera"),
    }
    assert invalid_rows(line, camera) == before + len(bad)
    until("Prometheus counts them", lambda: invalid_total(line, camera) == before + len(bad))


async def test_a_frame_published_twice_is_one_part(line: Line) -> None:
    source = f"/twice/{uuid.uuid4().hex[:6]}"
    camera = f"twice-{uuid.uuid4().hex[:6]}"
    await line.add_camera(camera, PROJECT)
    frame = Frame("same", tiny.image(200), "REJECT")
    last = Frame("last", tiny.image(60), "PASS")
    await line.publish(camera, [frame, frame, frame, last], source=source, per_second=50, at={})
    until("the last one is there", lambda: [r for r in line.rows(source) if r["frame_id"] == "last"] or None)
    assert sorted(row["frame_id"] for row in line.rows(source)) == ["last", "same"]


async def test_a_reject_can_be_looked_at(line: Line) -> None:
    source = f"/look/{uuid.uuid4().hex[:6]}"
    camera = f"look-{uuid.uuid4().hex[:6]}"
    await line.add_camera(camera, PROJECT)
    image = tiny.image(200)
    await line.publish(camera, [Frame("reject", image, "REJECT")], source=source, per_second=50, at={})
    page = until("the history has it", lambda: list(line.api.inspections(camera=camera, verdict="REJECT")) or None)
    assert page[0]["score"] == pytest.approx(tiny.score(image), abs=1e-5)
    assert page[0]["threshold"] == tiny.THRESHOLD
    assert line.api.evidence(page[0]["inspection_id"]) == image


def test_the_same_image_by_the_api_gives_the_same_answer(line: Line) -> None:
    for brightness, anomalous in ((60, False), (200, True)):
        image = tiny.image(brightness)
        answer = line.lookout.detect_anomalies(
            ProjectName=PROJECT, ModelVersion="1", ContentType="image/jpeg", Body=image
        )["DetectAnomalyResult"]
        assert answer["IsAnomalous"] is anomalous
        assert answer["Source"] == {"Type": "direct"}
        assert "AnomalyMask" not in answer
