"""Guarantee: every frame has exactly one outcome, and a fault never becomes a PASS."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts.cameras import Camera, CameraPolicy, SyntheticSource
from vigia_contracts.deployments import Deployment, ThresholdRecord
from vigia_contracts.frames import inspection_id
from vigia_contracts.inspections import Inspection, InvalidCause, Origin, Verdict
from vigia_detection.domain.evidence import image_key, is_kept, mask_key
from vigia_detection.domain.frame import Frame, account_of_unknown, camera_name, capture_time, clean
from vigia_detection.domain.hosted import find_hosted
from vigia_detection.domain.outcome import Invalid, Judged, Outcome, inspection, settle, verdict
from vigia_detection.entrypoints.lookoutvision.wire import result
from vigia_vision.interpret import Answer, FoundLabel, confidence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def a_frame(captured_at: datetime = NOW) -> Frame:
    return Frame(
        inspection_id=inspection_id("test", "frame-1"),
        frame_id="frame-1",
        source="test",
        origin=Origin.CAMERA,
        camera_id="oven-1",
        part_id="part-7",
        captured_at=captured_at,
        received_at=NOW,
    )


def a_deployment(**threshold: float | None) -> Deployment:
    record = ThresholdRecord(threshold_id="t1", **({"value": 0.5, "created_at": NOW} | threshold))  # type: ignore[arg-type]
    return Deployment(
        account_id="123456789012",
        region="us-east-1",
        project="cookies",
        model_arn="arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/1",
        model_version="1",
        triton_model="cookies-1",
        manifest={},
        threshold=record,
        revision=1,
        changed_at=NOW,
    )


def a_camera() -> Camera:
    return Camera(
        camera_id="oven-1",
        account_id="123456789012",
        region="us-east-1",
        line_id="demo",
        project="cookies",
        source=SyntheticSource(),
        policy=CameraPolicy(budget_seconds=10),
    )


def an_answer(score: float, threshold: float = 0.5, confidence: float = 0.9, area: float = 0.0) -> Answer:
    labels = (FoundLabel("cracked", area, "#23A436"),) if area else ()
    return Answer(score, score >= threshold, confidence, labels, 1 - area, None)


numbers = st.floats(allow_nan=True, allow_infinity=True)
bands = st.none() | st.floats(0, 1)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Invalid, st.sampled_from(InvalidCause), st.text()),
    st.builds(
        Judged,
        st.builds(an_answer, numbers, st.floats(0, 1), numbers, numbers),
        st.integers(1, 4096),
        st.integers(1, 4096),
    ),
)


@given(outcome=outcomes, low=bands, high=bands, age=st.floats(-10, 40), camera=st.booleans())
def test_every_combination_has_one_outcome_and_no_fault_passes(
    outcome: Outcome, low: float | None, high: float | None, age: float, camera: bool
) -> None:
    frame = a_frame(NOW - timedelta(seconds=age))
    settled = settle(outcome, frame, NOW, 10 if camera else None)
    record = inspection(
        frame,
        settled,
        account_id="123456789012",
        decided_at=NOW,
        camera=a_camera() if camera else None,
        deployment=a_deployment(review_low=low, review_high=high),
    )
    assert (record.verdict is Verdict.INVALID) == (record.cause is not None)
    if isinstance(outcome, Invalid):
        assert record.cause is outcome.cause
        return
    answer = outcome.answer
    sane = math.isfinite(answer.score) and 0 <= answer.confidence <= 1 and all(0 <= x.area <= 1 for x in answer.labels)
    if not sane:
        assert record.cause is InvalidCause.MODEL_ERROR
    elif camera and age > 10:
        assert record.cause is InvalidCause.LATE
    elif record.verdict is Verdict.PASS:
        assert not answer.is_anomalous
        assert low is None or high is None or not low <= answer.score < high
    else:
        assert answer.is_anomalous or record.verdict is Verdict.REVIEW
    # What is written can be read again.
    assert Inspection.model_validate_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.39, Verdict.PASS),
        (0.4, Verdict.REVIEW),
        (0.5, Verdict.REVIEW),
        (0.59, Verdict.REVIEW),
        (0.6, Verdict.REJECT),
    ],
)
def test_the_review_band_takes_its_lower_end_and_not_its_upper(score: float, expected: Verdict) -> None:
    threshold = a_deployment(review_low=0.4, review_high=0.6).threshold
    assert verdict(an_answer(score), threshold) is expected


def test_without_a_band_the_class_decides() -> None:
    threshold = a_deployment().threshold
    assert verdict(an_answer(0.5), threshold) is Verdict.REJECT
    assert verdict(an_answer(0.4999), threshold) is Verdict.PASS


@pytest.mark.parametrize(
    ("offset", "possible"),
    [
        (timedelta(days=-7), True),
        (timedelta(days=-7, seconds=-1), False),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5, seconds=1), False),
    ],
)
def test_a_capture_time_must_be_possible(offset: timedelta, possible: bool) -> None:
    at, accepted = capture_time(NOW + offset, NOW)
    assert accepted is possible
    assert at == (NOW + offset if possible else NOW)


def test_without_a_stated_time_the_arrival_counts() -> None:
    assert capture_time(None, NOW) == (NOW, True)


@given(st.text(max_size=40))
def test_only_a_proper_name_names_a_camera(text: str) -> None:
    name = camera_name(text, "spare")
    assert name in (text, "spare")
    if name == text:
        assert "/" not in name
        assert ".." not in name[:2]
        assert name.isascii()


def test_an_unknown_cameras_frame_is_the_plants_where_it_has_one_account() -> None:
    one = a_camera()
    other = one.model_copy(update={"account_id": "210987654321"})
    assert account_of_unknown([one, one], "000000000000") == one.account_id
    assert account_of_unknown([one, other], "000000000000") == "000000000000"
    assert account_of_unknown([], "000000000000") == "000000000000"


def test_stored_text_has_no_control_characters_and_a_bound() -> None:
    assert clean("a\x00b\nc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert len(clean("x" * 1000)) == 256


def test_evidence_of_passes_is_a_stable_sample() -> None:
    base = inspection(
        a_frame(), Judged(an_answer(0.1), 8, 8), account_id="1", decided_at=NOW, deployment=a_deployment()
    )
    some = [base.model_copy(update={"inspection_id": inspection_id("test", str(n))}) for n in range(2000)]
    kept = [one for one in some if is_kept(one, 0.1)]
    assert 140 <= len(kept) <= 260
    assert kept == [one for one in some if is_kept(one, 0.1)]
    assert not any(is_kept(one, 0.0) for one in some)
    assert all(is_kept(one, 1.0) for one in some)
    assert is_kept(base.model_copy(update={"verdict": Verdict.REJECT}), 0.0)
    assert is_kept(base.model_copy(update={"verdict": Verdict.INVALID}), 0.0)


def test_evidence_keys_name_account_camera_day_and_inspection() -> None:
    record = inspection(
        a_frame(), Invalid(InvalidCause.NO_MODEL, ""), account_id="123456789012", decided_at=NOW, camera=a_camera()
    )
    stem = f"123456789012/oven-1/2026/11/23/{record.inspection_id}"
    assert image_key(record, b"\xff\xd8\xff\xe0") == f"{stem}.jpg"
    assert image_key(record, b"\x89PNG\r\n\x1a\n") == f"{stem}.png"
    assert image_key(record, b"hello") == f"{stem}.bin"
    assert mask_key(record) == f"{stem}.mask.png"


def test_the_same_frame_has_the_same_inspection() -> None:
    assert a_frame().inspection_id == a_frame().inspection_id == UUID(str(inspection_id("test", "frame-1")))
    assert inspection_id("other", "frame-1") != a_frame().inspection_id


def test_a_request_means_a_serving_version_of_its_own_account() -> None:
    one = a_deployment()
    ten = one.model_copy(update={"model_version": "10", "model_arn": one.model_arn.removesuffix("1") + "10"})
    two = one.model_copy(update={"model_version": "2", "model_arn": one.model_arn.removesuffix("1") + "2"})
    rows = [(d.model_arn, d) for d in (one, ten, two)] + [("oven-1", one)]

    def ask(version: str, account: str = "123456789012", region: str | None = "us-east-1") -> str | None:
        found = find_hosted(rows, account_id=account, region=region, project="cookies", version=version)
        return found.model_version if found else None

    assert ask("2") == "2"
    assert ask("latest") == "10"
    assert ask("3") is None
    assert ask("1", account="210987654321") is None
    assert ask("1", region="eu-west-1") is None
    assert ask("1", region=None) == "1"
    # A model that gives labels may stand beside them under the same names.
    sorter = ten.model_copy(update={"manifest": {"kind": "classification"}, "model_version": "11"})
    rows.append((sorter.model_arn, sorter))
    assert ask("11") is None
    assert ask("latest") == "10"
    rows = [(one.model_arn, one.model_copy(update={"state": "draining"}))]
    assert ask("1") is None


@given(
    scores=st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)),
    threshold=st.floats(0.001, 0.999),
)
def test_ranking_images_by_the_answer_on_the_wire_is_ranking_them_by_score(
    scores: tuple[float, float], threshold: float
) -> None:
    low, high = sorted(scores)

    def rank(score: float) -> float:
        anomalous = score >= threshold
        answer = Answer(score, anomalous, confidence(score, threshold), (), 1.0, None)
        told = json.loads(json.dumps(result(answer, None)))["DetectAnomalyResult"]
        return float(told["Confidence"] if told["IsAnomalous"] else 1 - told["Confidence"])

    assert rank(low) <= rank(high)
    # Single precision, which is what the service answers in, tells no closer ones apart.
    if high - low > 2.5e-7:
        assert rank(low) < rank(high)
