"""Guarantee: whatever the world answers, a frame ends in exactly one published inspection, and never in a false PASS.

The ports are scripted here, so that every combination of what can go wrong is gone through; what the real Kafka,
Triton and object store answer is in ``test_worker.py``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia_contracts.base import ObjectRef
from vigia_contracts.cameras import Camera, CameraPolicy, SyntheticSource
from vigia_contracts.deployments import Deployment, ThresholdRecord
from vigia_contracts.events import Event
from vigia_contracts.frames import FrameReference, inspection_id
from vigia_contracts.inspections import Inspection, InvalidCause, Origin, Verdict
from vigia_detection.app.ask import Asker
from vigia_detection.app.errors import ImageGone, ImageTooLarge, ModelAway, ModelBusy, ModelFailed, ModelLate
from vigia_detection.app.inspect import InspectFrame, Policy
from vigia_detection.app.judge import Judge
from vigia_detection.app.ports import Outputs, Pixels
from vigia_detection.app.record import Recorder
from vigia_detection.domain.frame import Frame
from vigia_runtime.errors import Transient
from vigia_vision.decode import DecodeError, Limits
from vigia_vision.find import Finding
from vigia_vision.interpret import Answer
from vigia_vision.manifest import InputContract, Manifest, TensorSpec, Threshold
from vigia_vision.prepare import Prepared, WrongSize

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
BUDGET = 10.0
MANIFEST = Manifest(
    kind="anomaly-classification",
    input=InputContract(width=8, height=8, image_width=8, image_height=8),
    outputs=(TensorSpec(name="score", shape=(-1, 1)),),
    threshold=Threshold(value=0.5),
)
DEPLOYMENT = Deployment(
    account_id="123456789012",
    region="us-east-1",
    project="cookies",
    model_arn="arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/1",
    model_version="1",
    triton_model="cookies-1",
    manifest=MANIFEST.model_dump(mode="json"),
    threshold=ThresholdRecord(threshold_id="t1", value=0.5, created_at=START),
    revision=1,
    changed_at=START,
)
CAMERA = Camera(
    camera_id="oven-1",
    account_id="123456789012",
    region="us-east-1",
    source=SyntheticSource(),
    policy=CameraPolicy(budget_seconds=BUDGET, pass_evidence_share=0.0),
)
#: What a model server may do; numbers are scores.
ANSWERS: list[Exception | float] = [
    0.1, 0.9, float("nan"), ModelFailed("broken"), ModelBusy("queue full"), ModelAway("refused"), ModelLate("slow"),
]  # fmt: skip
IMAGES: list[Exception | None] = [
    None, DecodeError("undecodable", "no image"), DecodeError("too_large", "60000x10"), WrongSize(9, 9, 8, 8),
]  # fmt: skip
STORED: list[Exception | None] = [None, ImageGone("gone"), ImageTooLarge("9 GB"), Transient("store is away")]


class World:
    """Every port, scripted. Time passes only by sleeping and asking the model."""

    def __init__(self, *, answers: list[Exception | float], image: Exception | None = None) -> None:
        self.time = 0.0
        self.answers = iter(answers)
        self.last: Exception | float = 0.1
        self.image = image
        self.stored: Exception | None = None
        self.cameras: dict[str, Camera] = {"oven-1": CAMERA}
        self.deployments: dict[str, Deployment] = {"oven-1": DEPLOYMENT}
        self.published: list[Inspection] = []
        self.asked: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.bytes = b"\xff\xd8\xffimage"

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += max(seconds, 1e-3)

    async def infer(self, model: str, manifest: Manifest, tensor: Pixels, seconds: float) -> Outputs:
        assert seconds > 0
        self.asked.append(model)
        self.last = next(self.answers, self.last)
        self.time += 0.01
        if isinstance(self.last, ModelLate):
            self.time += seconds
        if isinstance(self.last, Exception):
            raise self.last
        return {"score": np.array([self.last], np.float32)}

    def manifest(self, deployment: Deployment) -> Manifest:
        return MANIFEST

    async def prepare(self, image: bytes, manifest: Manifest, limits: Limits) -> Prepared:
        if self.image is not None:
            raise self.image
        return Prepared(np.zeros((8, 8, 3), np.uint8), 8, 8)

    async def interpret(
        self, outputs: Any, deployment: Deployment, manifest: Manifest, size: tuple[int, int]
    ) -> Answer:
        score = float(outputs["score"][0])
        return Answer(score, score >= 0.5, 0.9, (), 1.0, None)

    async def find(
        self, outputs: Outputs, manifest: Manifest, size: tuple[int, int], min_confidence: float | None
    ) -> tuple[Finding, ...]:
        raise AssertionError("nobody asks for labels")

    async def mask(self, answer: Answer, manifest: Manifest) -> bytes | None:
        return None

    async def fetch(self, reference: ObjectRef) -> bytes:
        if self.stored is not None:
            raise self.stored
        return self.bytes

    async def put(self, key: str, data: bytes, content_type: str, account_id: str) -> ObjectRef:
        self.kept[key] = data
        return ObjectRef(bucket="evidence", key=key)

    async def announce(
        self, inspection: Inspection, key: str | None, trace: Mapping[str, str], call: Event | None = None
    ) -> None:
        self.published.append(inspection)

    async def announce_call(self, call: Event) -> None:
        raise AssertionError("no call brought the frame")

    def use_case(self) -> InspectFrame:
        return InspectFrame(
            cameras=_Table(self.cameras),
            deployments=_Table(self.deployments),
            frames=self,
            judge=Judge(Asker(self, self, self), self),
            recorder=Recorder(self, self, retry_seconds=0.5, max_evidence_bytes=1000),
            clock=self,
            policy=Policy(account_id="000000000000", frames_bucket="frames"),
        )


class _Table:
    def __init__(self, rows: dict[str, Any]) -> None:
        self.get = rows.get
        self.items = rows.items


def frame(*, camera: str | None = "oven-1", age: float = 0.0, possible: bool = True) -> Frame:
    return Frame(
        inspection_id=inspection_id("test", "1"),
        frame_id="1",
        source="test",
        origin=Origin.CAMERA,
        camera_id=camera,
        part_id=None,
        captured_at=START - timedelta(seconds=age),
        received_at=START,
        time_possible=possible,
    )


def reference(sha256: str | None = None, bucket: str = "frames") -> FrameReference:
    return FrameReference(image=ObjectRef(bucket=bucket, key="f.jpg", sha256=sha256))


SHA = hashlib.sha256(b"\xff\xd8\xffimage").hexdigest()
CONTENTS: list[bytes | FrameReference] = [
    b"\xff\xd8\xffimage", b"", reference(), reference(SHA), reference("0" * 64), reference(bucket="secrets"),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4),
    image=st.sampled_from(IMAGES),
    stored=st.sampled_from(STORED),
    content=st.sampled_from(CONTENTS),
    camera=st.sampled_from(["oven-1", "stranger", None]),
    hosted=st.booleans(),
    possible=st.booleans(),
    age=st.sampled_from([-200.0, 0.0, 9.0, 9.99, 10.5, 600.0]),
)
async def test_every_combination_is_published_once(
    answers: list[Exception | float],
    image: Exception | None,
    stored: Exception | None,
    content: bytes | FrameReference,
    camera: str | None,
    hosted: bool,
    possible: bool,
    age: float,
) -> None:
    world = World(answers=answers, image=image)
    world.stored = stored
    if not hosted:
        world.deployments.clear()
    record = await world.use_case()(frame(camera=camera, age=age, possible=possible), content, {})
    assert world.published == [record]
    assert record.inspection_id == inspection_id("test", "1")
    fine = camera == "oven-1" and hosted and possible and age <= BUDGET and image is None
    if record.verdict is Verdict.PASS:
        assert fine
        assert world.last == 0.1
    if record.verdict is not Verdict.INVALID:
        assert (record.decided_at - record.captured_at).total_seconds() <= BUDGET
    else:
        assert record.cause is not None
    # Nobody waits longer than the camera's budget.
    assert world.time <= BUDGET + 1


CAUSES: list[tuple[str, Callable[[World], None], dict[str, Any], bytes | FrameReference, InvalidCause]] = [
    ("unknown camera", lambda w: None, {"camera": "stranger"}, b"x", InvalidCause.UNKNOWN_CAMERA),
    ("no camera", lambda w: None, {"camera": None}, b"x", InvalidCause.UNKNOWN_CAMERA),
    ("impossible time", lambda w: None, {"possible": False}, b"x", InvalidCause.BAD_TIME),
    ("read too late", lambda w: None, {"age": 10.01}, b"x", InvalidCause.LATE),
    ("nothing hosted", lambda w: w.deployments.clear(), {}, b"x", InvalidCause.NO_MODEL),
    ("object gone", lambda w: setattr(w, "stored", STORED[1]), {}, reference(), InvalidCause.EXPIRED),
    ("object too large", lambda w: setattr(w, "stored", STORED[2]), {}, reference(), InvalidCause.TOO_LARGE),
    ("store away", lambda w: setattr(w, "stored", STORED[3]), {}, reference(), InvalidCause.LATE),
    ("other object", lambda w: None, {}, reference("0" * 64), InvalidCause.UNDECODABLE),
    ("other bucket", lambda w: None, {}, reference(bucket="secrets"), InvalidCause.BAD_MESSAGE),
    ("no image", lambda w: setattr(w, "image", IMAGES[1]), {}, b"x", InvalidCause.UNDECODABLE),
    ("huge image", lambda w: setattr(w, "image", IMAGES[2]), {}, b"x", InvalidCause.TOO_LARGE),
    ("wrong size", lambda w: setattr(w, "image", IMAGES[3]), {}, b"x", InvalidCause.WRONG_SIZE),
    ("model error", lambda w: setattr(w, "answers", iter([ANSWERS[3]])), {}, b"x", InvalidCause.MODEL_ERROR),
    ("not a number", lambda w: setattr(w, "answers", iter([ANSWERS[2]])), {}, b"x", InvalidCause.MODEL_ERROR),
    ("always busy", lambda w: setattr(w, "answers", iter([ANSWERS[4]])), {}, b"x", InvalidCause.OVERLOADED),
    ("always away", lambda w: setattr(w, "answers", iter([ANSWERS[5]])), {}, b"x", InvalidCause.LATE),
    ("no answer in time", lambda w: setattr(w, "answers", iter([ANSWERS[6]])), {}, b"x", InvalidCause.LATE),
]


@pytest.mark.parametrize(("prepare", "how", "content", "cause"), [c[1:] for c in CAUSES], ids=[c[0] for c in CAUSES])
async def test_each_fault_has_its_cause(
    prepare: Callable[[World], None], how: dict[str, Any], content: bytes | FrameReference, cause: InvalidCause
) -> None:
    world = World(answers=[0.1])
    prepare(world)
    record = await world.use_case()(frame(**how), content, {})
    assert (record.verdict, record.cause) == (Verdict.INVALID, cause)


async def test_a_late_frame_costs_no_inference() -> None:
    world = World(answers=[0.1])
    await world.use_case()(frame(age=10.01), b"x", {})
    assert world.asked == []


async def test_a_frame_waits_for_a_server_that_comes_back() -> None:
    world = World(answers=[*itertools.repeat(ModelAway("refused"), 8), 0.9])
    record = await world.use_case()(frame(), b"x", {})
    assert record.verdict is Verdict.REJECT
    assert record.timings["wait"] > 1


async def test_a_waiting_frame_is_judged_by_what_is_hosted_then() -> None:
    world = World(answers=[ModelAway("unloaded"), 0.1])
    newer = DEPLOYMENT.model_copy(update={"triton_model": "cookies-2", "model_version": "2"})

    async def sleep(seconds: float) -> None:
        world.time += seconds
        world.deployments["oven-1"] = newer

    world.sleep = sleep  # type: ignore[method-assign]
    record = await world.use_case()(frame(), b"x", {})
    assert world.asked == ["cookies-1", "cookies-2"]
    assert record.model_version == "2"


async def test_a_busy_server_is_asked_again_while_half_of_the_budget_is_left() -> None:
    world = World(answers=[ModelBusy("full"), ModelBusy("full"), 0.1])
    assert (await world.use_case()(frame(), b"x", {})).verdict is Verdict.PASS
    world = World(answers=[ModelBusy("full")])
    await world.use_case()(frame(), b"x", {})
    assert BUDGET / 2 <= world.time <= BUDGET / 2 + 1


async def test_an_outcome_that_cannot_be_recorded_is_not_done() -> None:
    world = World(answers=[0.9])

    async def announce(
        inspection: Inspection, key: str | None, trace: Mapping[str, str], call: Event | None = None
    ) -> None:
        raise Transient("broker is away")

    world.announce = announce  # type: ignore[method-assign]
    with pytest.raises(Transient):
        await world.use_case()(frame(), b"x", {})


async def test_evidence_is_stored_before_the_inspection_is_published() -> None:
    world = World(answers=[0.9])
    order: list[str] = []
    put, announce = world.put, world.announce

    async def noted_put(key: str, data: bytes, content_type: str, account_id: str) -> ObjectRef:
        order.append("evidence")
        return await put(key, data, content_type, account_id)

    async def noted_announce(
        inspection: Inspection, key: str | None, trace: Mapping[str, str], call: Event | None = None
    ) -> None:
        order.append("inspection")
        await announce(inspection, key, trace)

    world.put, world.announce = noted_put, noted_announce  # type: ignore[method-assign]
    record = await world.use_case()(frame(), b"\xff\xd8\xffimage", {})
    assert order == ["evidence", "inspection"]
    assert record.evidence.image is not None
    assert world.kept[record.evidence.image.key] == b"\xff\xd8\xffimage"


async def test_a_pass_outside_the_sample_keeps_nothing() -> None:
    world = World(answers=[0.1])
    record = await world.use_case()(frame(), b"\xff\xd8\xffimage", {})
    assert record.evidence.image is None
    assert world.kept == {}
