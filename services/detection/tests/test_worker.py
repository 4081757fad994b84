"""The worker on real Kafka, object store and Triton."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vigia_contracts.base import ObjectRef
from vigia_contracts.deployments import ThresholdRecord
from vigia_contracts.events import Event
from vigia_contracts.frames import FRAME_STORED, FrameReference, inspection_id
from vigia_contracts.inspections import InvalidCause, Verdict
from vigia_contracts.topics import FRAMES
from vigia_vision.manifest import Decision, InputContract, Label, Manifest, TensorSpec, Threshold

SORTER = Manifest(
    kind="classification",
    labels=(Label(name="nut", color="#23a436"), Label(name="bolt", color="#c81414")),
    input=InputContract(width=16, height=16, image_width=64, image_height=48, any_size=True),
    outputs=(TensorSpec(name="score", shape=(-1, 1)), TensorSpec(name="confidences", shape=(-1, 2))),
    threshold=Threshold(value=0.5),
    decision=Decision(label_thresholds=(0.5, 0.5)),
)


@pytest.fixture(scope="module")
async def worker(line: Any, tiny: str) -> AsyncIterator[Any]:
    """A worker that judges camera ``oven-1`` with the tiny model."""
    await line.camera("oven-1", budget_seconds=60, pass_evidence_share=0)
    await line.deploy("oven-1", tiny)
    with line.process("worker") as process:
        yield process


def wide_png(width: int) -> bytes:
    """A valid header of a very wide image, with hardly any content."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, 48, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def stored(line: Any, ref: ObjectRef) -> bytes:
    content: bytes = line.objects.client().get_object(Bucket=ref.bucket, Key=ref.key)["Body"].read()
    return content


async def test_a_plain_producer_with_four_headers_is_inspected(line: Any, worker: Any, kit: Any) -> None:
    good, bad = kit.picture(defect=False), kit.picture(defect=True)
    await line.frame("oven-1", good, "plain-good")
    await line.frame("oven-1", bad, "plain-bad", ce_partid="part-7", ce_traceparent="00-" + "a" * 32 + "-1-01")
    passed, rejected = await line.inspected("plain-good", "plain-bad")
    assert (passed.verdict, passed.is_anomalous, passed.labels) == (Verdict.PASS, False, [])
    assert passed.evidence.image is None
    assert passed.inspection_id == inspection_id("plain-producer", "plain-good")

    assert (rejected.verdict, rejected.is_anomalous) == (Verdict.REJECT, True)
    assert rejected.confidence is not None
    assert rejected.confidence > 0.9
    assert [label.name for label in rejected.labels] == ["bright"]
    assert rejected.labels[0].area == pytest.approx(1 / 8, abs=0.03)
    assert (rejected.account_id, rejected.camera_id, rejected.line_id) == (kit.account, "oven-1", "demo")
    assert (rejected.station, rejected.product, rejected.part_id) == ("oven", "cookie", "part-7")
    assert (rejected.project, rejected.model_version, rejected.threshold_id) == ("cookies", "1", "t1")
    assert line.traces["plain-bad"] == "00-" + "a" * 32 + "-1-01"
    assert (rejected.width, rejected.height) == (kit.width, kit.height)
    assert {"queue", "decode", "infer", "interpret", "evidence", "total"} <= rejected.timings.keys()


async def test_evidence_is_the_image_as_it_came_and_its_mask(line: Any, worker: Any, kit: Any) -> None:
    image = kit.picture(defect=True)
    await line.frame("oven-1", image, "evidence")
    (record,) = await line.inspected("evidence")
    assert record.evidence.image is not None
    assert record.evidence.mask is not None
    day = f"{record.captured_at:%Y/%m/%d}"
    assert record.evidence.image.key == f"{kit.account}/oven-1/{day}/{record.inspection_id}.jpg"
    assert record.evidence.mask.key == f"{kit.account}/oven-1/{day}/{record.inspection_id}.mask.png"
    assert stored(line, record.evidence.image) == image
    assert record.evidence.image.sha256 == hashlib.sha256(image).hexdigest()
    with Image.open(io.BytesIO(stored(line, record.evidence.mask))) as mask:
        pixels = np.asarray(mask.convert("RGB"))
    assert pixels.shape == (kit.height, kit.width, 3)
    assert tuple(pixels[1, 1]) == (0x23, 0xA4, 0x36)
    assert tuple(pixels[-1, -1]) == (255, 255, 255)


async def test_bad_frames_are_invalid_with_their_cause_and_harm_nothing(line: Any, worker: Any, kit: Any) -> None:
    image = kit.picture(defect=False)
    too_large = io.BytesIO()
    Image.new("RGB", (5000, 10)).save(too_large, "JPEG")
    cases: dict[str, tuple[str | None, bytes, InvalidCause]] = {
        "truncated": ("oven-1", image[: len(image) // 2], InvalidCause.UNDECODABLE),
        "empty": ("oven-1", b"", InvalidCause.UNDECODABLE),
        "wide": ("oven-1", wide_png(60_000), InvalidCause.TOO_LARGE),
        "long-side": ("oven-1", too_large.getvalue(), InvalidCause.TOO_LARGE),
        "text": ("oven-1", b"this is not an image", InvalidCause.UNDECODABLE),
        "small": ("oven-1", kit.picture(defect=False, width=32), InvalidCause.WRONG_SIZE),
        "stranger": ("nobody-knows-me", image, InvalidCause.UNKNOWN_CAMERA),
        "nameless": (None, image, InvalidCause.UNKNOWN_CAMERA),
        "odd-name": ("../../etc\x00", image, InvalidCause.UNKNOWN_CAMERA),
    }
    before = {cause: worker.metric("vigia_invalid_frames_total", cause=cause.value) for cause in InvalidCause}
    for name, (camera, value, _) in cases.items():
        await line.frame(camera, value, f"bad-{name}")
    await line.frame("oven-1", image, "bad-none")
    *records, fine = await line.inspected(*(f"bad-{name}" for name in cases), "bad-none")
    for record, (name, (_, value, cause)) in zip(records, cases.items(), strict=True):
        assert (record.verdict, record.cause) == (Verdict.INVALID, cause), name
        assert record.is_anomalous is None
        assert record.detail
        assert record.account_id == kit.account
        if value:
            assert record.evidence.image is not None
            assert stored(line, record.evidence.image) == value, name
    assert fine.verdict is Verdict.PASS
    assert records[5].width == 32
    for cause in {cause for *_, cause in cases.values()}:
        expected = sum(1 for *_, one in cases.values() if one is cause)
        counted = worker.metric("vigia_invalid_frames_total", cause=cause.value) - before[cause]
        assert counted == (expected if cause is not InvalidCause.UNKNOWN_CAMERA else 3), cause


async def test_a_model_that_gives_labels_judges_no_frame(line: Any, worker: Any, tiny: str, kit: Any) -> None:
    await line.camera("sorter-1", budget_seconds=60)
    await line.deploy("sorter-1", tiny, project="sorting", manifest=SORTER)
    await line.frame("sorter-1", kit.picture(defect=False), "to-sort")
    (record,) = await line.inspected("to-sort")
    assert (record.verdict, record.cause) == (Verdict.INVALID, InvalidCause.MODEL_ERROR)
    assert record.detail == "a model of the kind classification gives labels; it does not judge images"
    assert record.project == "sorting"
    assert "infer" not in record.timings


async def test_a_frame_said_to_be_from_another_year_is_invalid(line: Any, worker: Any, kit: Any) -> None:
    stated = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    await line.frame("oven-1", kit.picture(defect=False), "future", ce_time=stated)
    (record,) = await line.inspected("future")
    assert record.cause is InvalidCause.BAD_TIME
    assert abs(record.captured_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_frame_read_after_its_budget_is_late(line: Any, worker: Any, kit: Any) -> None:
    taken = datetime.now(UTC) - timedelta(seconds=61)
    await line.frame("oven-1", kit.picture(defect=True), "late", ce_time=taken.isoformat())
    (record,) = await line.inspected("late")
    assert record.cause is InvalidCause.LATE
    assert "infer" not in record.timings
    assert record.captured_at == taken


async def test_a_message_without_headers_is_counted_and_kept_as_dead(line: Any, worker: Any, kit: Any) -> None:
    image = kit.picture(defect=False)
    sent = await line.producer.send_and_wait(line.topic("frames"), key=b"oven-1", value=image)
    (record,) = await line.inspected(f"{sent.partition}/{sent.offset}")
    assert record.cause is InvalidCause.BAD_MESSAGE
    assert record.camera_id == "oven-1"
    assert record.line_id == "demo"
    async for dead in line.records("frames.dead"):
        assert dead.value == image
        assert dict(dead.headers)["vigia_dead_code"] == b"bad_headers"
        break


async def test_a_frame_that_comes_twice_is_the_same_inspection(line: Any, worker: Any, kit: Any) -> None:
    image = kit.picture(defect=True)
    for _ in range(2):
        await line.frame("oven-1", image, "twice")

    def both() -> list[Any] | None:
        found = [one for one in line.inspections if one.frame_id == "twice"]
        return found if len(found) == 2 else None

    first, second = await kit.eventually(both)
    assert first.inspection_id == second.inspection_id
    assert first.verdict is second.verdict is Verdict.REJECT
    assert first.evidence.image.key == second.evidence.image.key


async def test_frames_too_large_for_kafka_come_by_reference(line: Any, worker: Any, kit: Any) -> None:
    image = kit.picture(defect=True, form="PNG")
    line.objects.client().put_object(Bucket=line.frames, Key="a/1.png", Body=image)
    there = ObjectRef(bucket=line.frames, key="a/1.png", sha256=hashlib.sha256(image).hexdigest())
    cases = {
        "there": (there, None),
        "gone": (ObjectRef(bucket=line.frames, key="a/2.png"), InvalidCause.EXPIRED),
        "other": (there.model_copy(update={"sha256": "0" * 64}), InvalidCause.UNDECODABLE),
        "odd": (ObjectRef(bucket=line.frames, key="../%00//x"), InvalidCause.EXPIRED),
        "elsewhere": (ObjectRef(bucket=line.evidence, key="x"), InvalidCause.BAD_MESSAGE),
    }
    for name, (image_ref, _) in cases.items():
        event = Event(
            type=FRAME_STORED,
            source="test",
            id=f"ref-{name}",
            time=datetime.now(UTC),
            data=FrameReference(image=image_ref, content_type="image/png"),
            key="oven-1",
        )
        await line.publish(FRAMES, event)
    records = await line.inspected(*(f"ref-{name}" for name in cases))
    assert [record.cause for record in records] == [cause for _, cause in cases.values()]
    assert records[0].verdict is Verdict.REJECT
    assert records[0].evidence.image.key.endswith(".png")


async def test_what_is_hosted_for_a_camera_decides(line: Any, worker: Any, tiny: str, kit: Any) -> None:
    await line.camera("oven-2", budget_seconds=60)
    image = kit.picture(defect=True)
    # A camera becomes known by another topic than its frames: asked until it is.
    attempt = 0

    async def known() -> Any:
        nonlocal attempt
        attempt += 1
        await line.frame("oven-2", image, f"hosted-{attempt}")
        (record,) = await line.inspected(f"hosted-{attempt}")
        return None if record.cause is InvalidCause.UNKNOWN_CAMERA else record

    assert (await kit.eventually(known)).cause is InvalidCause.NO_MODEL

    async def decided_by(version: str) -> Any:
        nonlocal attempt
        attempt += 1
        await line.frame("oven-2", image, f"hosted-{attempt}")
        (record,) = await line.inspected(f"hosted-{attempt}")
        return record if record.model_version == version else None

    await line.deploy("oven-2", tiny)
    assert (await kit.eventually(lambda: decided_by("1"))).verdict is Verdict.REJECT
    review = ThresholdRecord(
        threshold_id="t2", value=0.5, review_low=0.4, review_high=1.1, created_at=datetime.now(UTC)
    )
    await line.deploy("oven-2", tiny, model_version="2", threshold=review)
    record = await kit.eventually(lambda: decided_by("2"))
    assert (record.verdict, record.is_anomalous, record.threshold_id) == (Verdict.REVIEW, True, "t2")
    # A graph that takes another tensor than its manifest says: an error of the model, never a verdict.
    await line.deploy("oven-2", tiny, model_version="3", manifest=kit.manifest(side=24))
    assert (await kit.eventually(lambda: decided_by("3"))).cause is InvalidCause.MODEL_ERROR
